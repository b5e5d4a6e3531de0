use super::*;
use crate::msgpack::{write_map, write_str, write_uint};

#[test]
fn frames_are_cut_and_long_ones_refused() {
    let complete = |input: &[u8]| match frame(input, 1000) {
        Ok(Frame::Complete { head, total }) => Some((head, total)),
        _ => None,
    };
    assert_eq!(complete(&[2, 0x80, 0x80]), Some((1, 3)));
    assert_eq!(complete(&[0xce, 0, 0, 0, 1, 0x80, 7]), Some((5, 6)));
    assert_eq!(complete(&[0]), Some((1, 1)));
    for short in [&[][..], &[0xce], &[0xce, 0, 0], &[5, 0x80]] {
        assert!(matches!(frame(short, 1000), Ok(Frame::Incomplete { .. })), "{short:?}");
    }
    for bad in
        [&[0xa1, b'x'][..], &[0xc0], &[0xc1], &[0xff], &[0xcb, 0], &[0x91], &[0xcd, 0x03, 0xe9]]
    {
        assert!(frame(bad, 1000).is_err(), "{bad:?}");
    }
}

#[test]
fn header_fault_keeps_the_sync_that_came_before_it() {
    let packet = [0x82, 0x01, 0x07, 0x00, 0xa1, b'x'];
    let (sync, error) = Header::decode(&packet).expect_err("type is a string");
    assert_eq!((sync, error.to_string().as_str()), (7, "Invalid MsgPack - packet header"));
}

#[test]
fn a_request_type_is_cut_to_32_bits() {
    let mut packet = Vec::new();
    write_map(&mut packet, 1);
    write_uint(&mut packet, key::REQUEST_TYPE);
    write_uint(&mut packet, (1 << 32) + request_type::PING);
    packet.push(0x80);
    let header = Header::decode(&packet).expect("good");
    assert_eq!(header.request_type, request_type::PING);
}

#[test]
fn every_known_body_key_is_type_checked() {
    let mut bytes = Vec::new();
    write_map(&mut bytes, 3);
    write_uint(&mut bytes, key::SPACE_ID);
    write_uint(&mut bytes, 512);
    write_str(&mut bytes, "unknown");
    bytes.push(0x90);
    write_uint(&mut bytes, 0x7e);
    bytes.push(0xc0);
    let body = Body::decode(&bytes).expect("good");
    assert_eq!(body.space_id, 512);
    let missing = body.require(&[key::SPACE_ID, key::LIMIT, key::KEY]).expect_err("no limit");
    assert_eq!(missing.to_string(), "Missing mandatory field 'LIMIT' in request");
    assert!(Body::decode(&[0x81, 0x21, 0x05]).is_err());
    assert!(Body::decode(&[0x90]).is_err());
}

#[test]
fn numbers_below_the_last_key_have_types_too() {
    let header = |bytes: &[u8]| Header::decode(bytes).map(|header| header.request_type);
    // A header may hold keys of bodies, of their type; numbers without a key hold nil; beyond the last key all goes.
    for good in [
        &[0x82, 0x00, 0x40, 0x21, 0x91, 0x05][..],
        &[0x82, 0x00, 0x40, 0x0c, 0xc0],
        &[0x82, 0x00, 0x40, 0x65, 0xa1, b'x'],
        &[0x82, 0x00, 0x40, 0x0b, 0x00],
    ] {
        assert_eq!(header(good).ok(), Some(request_type::PING), "{good:02x?}");
    }
    for (bad, text) in [
        (&[0x82, 0x00, 0x40, 0x21, 0x05][..], "Invalid MsgPack - packet header"),
        (&[0x82, 0x00, 0x40, 0x0c, 0x05], "Invalid MsgPack - packet header"),
        (&[0x82, 0x00, 0x40, 0x0b, 0x01], "Thread does not exist"),
    ] {
        let (_, error) = header(bad).expect_err("a bad header");
        assert_eq!(error.to_string(), text, "{bad:02x?}");
    }
    // The same in bodies.
    assert!(Body::decode(&[0x81, 0x00, 0xa1, b'x']).is_err());
    assert!(Body::decode(&[0x81, 0x16, 0x05]).is_err());
    assert!(Body::decode(&[0x81, 0x58, 0x05]).is_err());
    assert!(Body::decode(&[0x82, 0x16, 0xc0, 0x58, 0xc0]).is_ok());
}

#[test]
fn calls_read_only_the_keys_of_calls() {
    let call = |bytes| Body::decode_only(bytes, &[key::FUNCTION_NAME, key::TUPLE]);
    let body = call(&[0x82, 0x22, 0xa1, b'f', 0x10, 0xa1, b'x']).expect("a good body");
    assert_eq!(body.function_name, Some(&b"f"[..]));
    assert!(!body.has(key::SPACE_ID));
    for (bad, text) in [
        (&[][..], "Invalid MsgPack - missing request body"),
        (&[0x90], "Invalid MsgPack - packet body"),
        (&[0x81, 0x22, 0x05], "Invalid MsgPack - packet body"),
        (&[0x82, 0x22, 0xa1, b'f', 0xa1, b'x', 0x05], "Invalid MsgPack - packet body"),
    ] {
        assert_eq!(call(bad).expect_err("a bad body").to_string(), text, "{bad:02x?}");
    }
}

#[test]
fn watches_take_any_event_data() {
    let watch = [0x82, 0x57, 0xa1, b'k', 0x58, 0x05];
    assert_eq!(Body::decode_watch(&watch).expect("a good body").event_key, Some(&b"k"[..]));
    assert!(Body::decode_watch(&[0x81, 0x10, 0xa1, b'x']).is_err());
    assert!(Body::decode_watch(&[0x81, 0xa1, b'x', 0x05]).is_err());
}

#[test]
fn reply_head_is_tarantools_to_the_byte() {
    let mut out = Vec::new();
    write_empty(&mut out, 0x28_93_75_b2, 0x55);
    let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "ce0000001c8300ce0000000001cf00000000289375b205cf000000000000005580");
}

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
fn reply_head_is_tarantools_to_the_byte() {
    let mut out = Vec::new();
    write_empty(&mut out, 0x28_93_75_b2, 0x55);
    let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "ce0000001c8300ce0000000001cf00000000289375b205cf000000000000005580");
}

//! MsgPack: what the check lets through, every other reader takes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lycosa_proto::msgpack::{self, Text, Token};

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let checked = msgpack::check(&mut rest).is_ok();
    // Readers of a single token must stand any bytes.
    let _ = msgpack::read(&mut { data });
    let _ = msgpack::read_uint(&mut { data });
    let _ = msgpack::read_f64(&mut { data });
    let _ = msgpack::skip(&mut { data });
    if !checked {
        return;
    }
    let value = &data[..data.len() - rest.len()];
    assert!(msgpack::check_all(value).is_ok(), "a value alone is as good as one before others");
    assert_eq!(
        msgpack::take(&mut { data }).ok(),
        Some(value),
        "check and take agree on the length"
    );
    walk(value);
    let _ = Text(value).to_string();
    for cut in 0..value.len().min(64) {
        assert!(msgpack::check_all(&value[..cut]).is_err(), "a part of a value is no value");
    }
});

/// Every value inside a checked one is readable.
fn walk(value: &[u8]) {
    match msgpack::read(&mut { value }).expect("a checked value") {
        Token::Array(len) => {
            assert_eq!(msgpack::items(value).count() as u64, u64::from(len));
            msgpack::items(value).take(16).for_each(walk);
        }
        Token::Map(len) => {
            assert_eq!(msgpack::pairs(value).count() as u64, u64::from(len));
            msgpack::pairs(value).take(16).for_each(|(key, value)| {
                walk(key);
                walk(value);
            });
        }
        _ => {}
    }
}

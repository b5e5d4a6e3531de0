//! JSON paths of index parts: parsed, then followed into a value.
//!
//! Input: a byte of length, that many bytes of path, MsgPack values. A path that is accepted finds whole values, the same
//! whether its steps are written as they came or as messages write them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lycosa::db::json_path::{JsonPath, STEP_MAX};
use lycosa_proto::msgpack;

fuzz_target!(|data: &[u8]| {
    let Some((&len, rest)) = data.split_first() else { return };
    let Some((text, mut values)) = rest.split_at_checked(usize::from(len)) else { return };
    let Some(path) = JsonPath::parse(text) else { return };
    assert!(path.steps().len() <= STEP_MAX);
    let again: String = path.steps().iter().map(ToString::to_string).collect();
    // A message shows what is no UTF-8 as something else.
    if !text.contains(&b'"') && std::str::from_utf8(text).is_ok() {
        let again = JsonPath::parse(again.as_bytes());
        assert_eq!(again.as_ref(), Some(&path), "one path, two spellings");
    }
    while !values.is_empty() {
        let value = values;
        if msgpack::check(&mut values).is_err() {
            return;
        }
        let count = path.multikey_count(value);
        for no in 0..count.clamp(1, 4) {
            if let Some(mut found) = path.find(value, no) {
                msgpack::check(&mut found).expect("what is found is a whole value");
            }
        }
    }
});

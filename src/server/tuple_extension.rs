//! Tuples with their formats: what replies look like to a session whose IPROTO_ID named DML_TUPLE_EXTENSION, or
//! CALL_RET_TUPLE_EXTENSION for those of CALL.
//!
//! ```text
//! {DATA: [[1, "a"]]}   becomes   {DATA: [ext 7: <format id> [1, "a"]], TUPLE_FORMATS: {<format id>: [{"name": ...}, ...]}}
//! ```
//!
//! Replies are written plainly, as most clients want them, and rewritten for the few that do not.
//!
//! Source: protocol.md §8; Tarantool `src/box/iproto.cc` tx_process_select, `src/box/mp_tuple.c`,
//! `src/box/mp_box_ctx.c`.

use lycosa_proto::iproto::{HEAD_BYTES, Reply, key};
use lycosa_proto::msgpack::{self, Token, ext_type, write_array, write_ext, write_map, write_uint};

use crate::procs::Tuples;

/// The id of a format without names.
const NO_FORMAT: u64 = 0;

/// Rewrites the reply that begins at `start`; `tuples` says which of its values are tuples, all of one space, and `format`
/// what the definition of that space says, a MsgPack array of maps. The id of the space tells formats apart.
#[cold]
pub(super) fn rewrite(out: &mut Vec<u8>, start: usize, tuples: Tuples, format: &[u8]) {
    let body = out.split_off(start + HEAD_BYTES);
    let is_empty = msgpack::read_array(&mut { format }).is_ok_and(|len| len == 0);
    let format_id = match tuples.space_id() {
        Some(space_id) if !is_empty => u64::from(space_id),
        _ => NO_FORMAT,
    };
    let pairs = msgpack::pairs(&body);
    let mut tuple_count: usize = 0;
    write_map(out, pairs.clone().count() + 1);
    for (name, value) in pairs {
        out.extend_from_slice(name);
        if msgpack::read_uint(&mut { name }) != Ok(key::DATA) {
            out.extend_from_slice(value);
            continue;
        }
        out.push(0xdd);
        out.extend_from_slice(&(msgpack::items(value).count() as u32).to_be_bytes());
        for item in msgpack::items(value) {
            tuple_count += match tuples {
                Tuples::Listed(_) if is_array(item) => {
                    write_array(out, msgpack::items(item).count());
                    msgpack::items(item).map(|item| write_tuple(out, format_id, item)).sum()
                }
                Tuples::Each(_) | Tuples::Unnamed => write_tuple(out, format_id, item),
                Tuples::None | Tuples::Listed(_) => {
                    out.extend_from_slice(item);
                    0
                }
            };
        }
    }
    write_uint(out, key::TUPLE_FORMATS);
    write_map(out, tuple_count.min(1));
    if tuple_count > 0 {
        write_uint(out, format_id);
        out.extend_from_slice(format);
    }
    Reply::at(start).finish(out);
}

fn is_array(item: &[u8]) -> bool {
    msgpack::read_array(&mut { item }).is_ok()
}

/// Writes a value that is a tuple unless it is no array; tells how many tuples there were.
fn write_tuple(out: &mut Vec<u8>, format_id: u64, item: &[u8]) -> usize {
    if !is_array(item) {
        out.extend_from_slice(item);
        return 0;
    }
    let mut payload = Vec::with_capacity(item.len() + 9);
    write_uint(&mut payload, format_id);
    payload.extend_from_slice(item);
    write_ext(out, ext_type::TUPLE, &payload);
    1
}

/// The arguments of a call with plain arrays in place of tuples with formats; None if there are none.
pub(super) fn plain(args: &[u8]) -> Option<Vec<u8>> {
    let mut found = false;
    let mut out = Vec::with_capacity(args.len());
    let mut rest = args;
    while !rest.is_empty() {
        let before = rest;
        match msgpack::read(&mut rest) {
            Ok(Token::Ext(ext_type::TUPLE, payload)) => {
                let mut tuple = payload;
                msgpack::read_uint(&mut tuple).ok()?;
                out.extend_from_slice(&plain(tuple).unwrap_or_else(|| tuple.to_vec()));
                found = true;
            }
            Ok(_) => out.extend_from_slice(&before[..before.len() - rest.len()]),
            Err(_) => return None,
        }
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use lycosa_proto::iproto::write_data;

    use super::*;

    #[test]
    fn tuples_get_their_format() {
        let check = |tuples: &[&[u8]], format: &[u8], expected: &[u8]| {
            let mut out = vec![0xee];
            write_data(&mut out, 7, 3, tuples.len() as u32, &tuples.concat());
            rewrite(&mut out, 1, Tuples::Each(512), format);
            assert_eq!(&out[1 + HEAD_BYTES..], expected);
            let len = u32::from_be_bytes([out[2], out[3], out[4], out[5]]) as usize;
            assert_eq!(len, out.len() - 6, "the length is right");
        };
        let format = [0x91, 0x81, 0xa4, b'n', b'a', b'm', b'e', 0xa1, b'a'];
        check(&[], &format, &[0x82, 0x30, 0xdd, 0, 0, 0, 0, 0x60, 0x80]);
        check(
            &[&[0x91, 5]],
            &[0x90],
            &[0x82, 0x30, 0xdd, 0, 0, 0, 1, 0xc7, 3, 7, 0, 0x91, 5, 0x60, 0x81, 0, 0x90],
        );
        let mut expected = vec![0x82, 0x30, 0xdd, 0, 0, 0, 1, 0xc7, 5, 7, 0xcd, 2, 0, 0x91, 5];
        expected.extend([0x60, 0x81, 0xcd, 2, 0]);
        expected.extend(format);
        check(&[&[0x91, 5]], &format, &expected);
    }

    #[test]
    fn values_of_a_call_are_tuples_where_it_says_so() {
        let check = |value: &[u8], tuples: Tuples, expected: &[u8]| {
            let mut out = Vec::new();
            write_data(&mut out, 7, 3, 1, value);
            rewrite(&mut out, 0, tuples, &[0x90]);
            assert_eq!(&out[HEAD_BYTES..], [&[0x82, 0x30, 0xdd, 0, 0, 0, 1], expected].concat());
        };
        let none: &[u8] = &[0x60, 0x80];
        let one: &[u8] = &[0x60, 0x81, 0, 0x90];
        check(&[0x91, 5], Tuples::None, &[&[0x91, 5], none].concat());
        check(&[5], Tuples::Each(512), &[&[5], none].concat());
        check(&[0x91, 5], Tuples::Unnamed, &[&[0xc7, 3, 7, 0, 0x91, 5], one].concat());
        check(&[0x90], Tuples::Listed(512), &[&[0x90], none].concat());
        let listed = [0x91, 0xc7, 3, 7, 0, 0x91, 5];
        check(&[0x91, 0x91, 5], Tuples::Listed(512), &[&listed, one].concat());
    }

    #[test]
    fn arguments_become_plain() {
        assert_eq!(plain(&[0x92, 1, 0x91, 2]), None);
        let args = [0x92, 1, 0x81, 0xa1, b'k', 0xc7, 3, 7, 0, 0x91, 5];
        assert_eq!(plain(&args), Some(vec![0x92, 1, 0x81, 0xa1, b'k', 0x91, 5]));
    }
}

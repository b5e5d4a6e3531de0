//! Where the iterators NP and PP begin.
//!
//! Source: protocol.md §16; Tarantool `src/box/memtx_tree.cc` prepare_start_prefix_iterator.

use lycosa_proto::msgpack::{Token, read, take, write_array, write_str};

use crate::db::key_def::{Key, KeyDef};

/// Where NP and PP begin.
pub(super) enum PrefixBound {
    /// At this key, a MsgPack array; true if tuples equal to it lie before the place.
    Key(Vec<u8>, bool),
    /// Beyond every key with this prefix.
    End,
}

impl PrefixBound {
    /// The bound for a key with at least one part, upwards (NP) or downwards (PP) in an index of this order.
    pub(super) fn new(order: &KeyDef, key: &Key<'_>, is_down: bool) -> Self {
        let mut array = Vec::new();
        write_array(&mut array, key.part_count as usize);
        let mut rest = key.parts;
        for _ in 1..key.part_count {
            array.extend_from_slice(take(&mut rest).unwrap_or(&[0xc0]));
        }
        let part = &order.parts()[key.part_count as usize - 1];
        let last = read(&mut { rest }).unwrap_or(Token::Nil);
        let Token::Str(text) = last else {
            array.extend_from_slice(rest);
            return Self::Key(array, !is_down);
        };
        // Against the order of the part the prefix is passed at its own lower end.
        if is_down != part.is_desc {
            if text.is_empty() {
                return Self::End;
            }
            write_str(&mut array, text);
            return Self::Key(array, part.is_desc);
        }
        let kept = text.iter().rposition(|byte| *byte != 0xff);
        match kept {
            Some(at) => {
                let mut next = text[..=at].to_vec();
                next[at] += 1;
                write_str(&mut array, &next);
                Self::Key(array, part.is_desc)
            }
            None => Self::End,
        }
    }
}

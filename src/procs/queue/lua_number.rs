//! A number as Lua hands it on: one without a fraction is an integer, however the client has written it.
//!
//! The rock's arguments go through Lua, so clients that write all numbers as doubles may use them as ids and priorities.
//!
//! Source: Tarantool `src/lua/msgpack.c` luamp_encode, `src/lua/utils.c` luaL_tofield.

use std::borrow::Cow;

use lycosa_proto::msgpack::{self, write_int, write_uint};

/// Integers end here, 2^64, and negative ones at -2^63.
const UINTS_END: f64 = 18_446_744_073_709_551_616.0;
const INTS_BEGIN: f64 = -9_223_372_036_854_775_808.0;

/// A value, its MsgPack: a float or a double without a fraction as an integer, anything else as it is.
pub(super) fn plain(value: &[u8]) -> Cow<'_, [u8]> {
    /// What floats and doubles begin with.
    const FLOATS: [u8; 2] = [0xca, 0xcb];
    if !value.first().is_some_and(|first| FLOATS.contains(first)) {
        return Cow::Borrowed(value);
    }
    match msgpack::read_f64(&mut { value }) {
        Ok(number) if number.fract() == 0.0 && (INTS_BEGIN..UINTS_END).contains(&number) => {
            let mut integer = Vec::with_capacity(9);
            if number < 0.0 {
                write_int(&mut integer, number as i64);
            } else {
                write_uint(&mut integer, number as u64);
            }
            Cow::Owned(integer)
        }
        _ => Cow::Borrowed(value),
    }
}

#[cfg(test)]
mod tests {
    use lycosa_proto::msgpack::{Text, write_f64};

    use super::plain;

    #[test]
    fn doubles_without_a_fraction_are_integers() {
        let check = |number: f64, wanted: &str| {
            let mut bytes = Vec::new();
            write_f64(&mut bytes, number);
            assert_eq!(Text(&plain(&bytes)).to_string(), wanted, "{number}");
        };
        check(1.0, "1");
        check(-0.0, "0");
        check(-3.0, "-3");
        check(2_f64.powi(53), "9007199254740992");
        check(1.5, "1.5");
        check(1e300, "1e+300");
        check(f64::INFINITY, "inf");
        assert_eq!(*plain(&[0xca, 0x40, 0, 0, 0]), [2]);
        assert_eq!(*plain(&[0xa1, b'x']), [0xa1, b'x']);
    }
}

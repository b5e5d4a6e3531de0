//! A value as Lua's `tostring` writes it: what the rock makes of the name of a sub-queue.
//!
//! Source: Tarantool `src/lua/utils.c` luaL_pushuint64; LuaJIT `lj_strfmt.c`.

use lycosa_proto::msgpack::{self, Text, Token};

/// Numbers from here on are 64-bit integers to Tarantool's Lua, which shows.
const DOUBLE_INTEGERS_END: u64 = 100_000_000_000_000;

/// The text of a value, its MsgPack; None is nil. What is no scalar has its JSON, where Lua has an address.
pub(super) fn of(value: Option<&[u8]>) -> Vec<u8> {
    let value = value.unwrap_or(&[0xc0]);
    match msgpack::read(&mut { value }).unwrap_or(Token::Nil) {
        Token::Nil => b"nil".to_vec(),
        Token::Str(text) => text.to_vec(),
        Token::Uint(number) if number >= DOUBLE_INTEGERS_END => format!("{number}ULL").into_bytes(),
        Token::Int(number) if number.unsigned_abs() >= DOUBLE_INTEGERS_END => {
            format!("{number}LL").into_bytes()
        }
        Token::Float(number) => float(f64::from(number)).into_bytes(),
        Token::Double(number) => float(number).into_bytes(),
        _ => Text(value).to_string().into_bytes(),
    }
}

/// C's `%.14g`.
fn float(value: f64) -> String {
    /// Digits that count.
    const DIGITS: i32 = 14;
    if !value.is_finite() {
        return msgpack::general(value);
    }
    let scientific = format!("{value:.*e}", DIGITS as usize - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..DIGITS).contains(&exponent) {
        trimmed(&format!("{value:.*}", (DIGITS - 1 - exponent) as usize))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn values_are_written_as_lua_does() {
        let check = |value: &[u8], wanted: &str| assert_eq!(of(Some(value)), wanted.as_bytes());
        assert_eq!(of(None), b"nil");
        check(&[0xc0], "nil");
        check(&[5], "5");
        check(&[0xff], "-1");
        check(&[0xc3], "true");
        check(&[0xa1, b'x'], "x");
        check(&[0xcf, 0, 0, 0x5a, 0xf3, 0x10, 0x7a, 0x40, 0], "100000000000000ULL");
        let double = |value: f64, wanted: &str| {
            let mut bytes = vec![0xcb];
            bytes.extend_from_slice(&value.to_be_bytes());
            check(&bytes, wanted);
        };
        double(5.0, "5");
        double(0.1, "0.1");
        double(1e15, "1e+15");
        double(-2.5, "-2.5");
    }
}

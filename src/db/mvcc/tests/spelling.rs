//! How the small numbers of the model are written in a space: as they are, or each in several ways that compare equal.

use lycosa_proto::msgpack::{self, Decimal, Token, ext_type};
use lycosa_proto::msgpack::{write_array, write_ext, write_f32, write_f64, write_str, write_uint};

use super::model::{NUMBERS, Row};

/// What the fields of a space hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Spelling {
    /// Unsigned integers.
    Plain,
    /// Numbers of all kinds, texts in the order `unicode_ci`, scalars.
    Mixed,
}

/// The letters that stand for numbers in texts; in four spellings each.
const LETTERS: [[&str; 4]; NUMBERS as usize] = [
    ["a", "A", "\u{e1}", "\u{c1}"],
    ["e", "E", "\u{e9}", "\u{c9}"],
    ["i", "I", "\u{ed}", "\u{cd}"],
    ["o", "O", "\u{f3}", "\u{d3}"],
];

impl Spelling {
    /// How many ways there are to write each number.
    pub(super) fn count(self) -> u8 {
        if self == Self::Plain { 1 } else { 4 }
    }

    /// The parts of the three indexes.
    pub(super) fn parts(self) -> [&'static str; 3] {
        match self {
            Self::Plain => [r#"[[0,"unsigned"]]"#, r#"[[1,"unsigned"]]"#, r#"[[2,"unsigned"]]"#],
            Self::Mixed => [
                r#"[[0,"number"]]"#,
                r#"[{"field":1,"type":"string","collation":2}]"#,
                r#"[[2,"scalar"]]"#,
            ],
        }
    }

    /// Appends a number as a value of a field.
    pub(super) fn write(self, out: &mut Vec<u8>, field: u8, number: u8) {
        let (number, spelling) = (number % NUMBERS, number / NUMBERS);
        let decimal = |out: &mut Vec<u8>, zeros: u32| {
            let digits = i128::from(number) * 10_i128.pow(zeros);
            let decimal = Decimal { scale: zeros as i32, ..Decimal::from_i128(digits) };
            write_ext(out, ext_type::DECIMAL, &decimal.payload());
        };
        match (self, field, spelling) {
            (Self::Mixed, 1, _) => {
                write_str(out, LETTERS[usize::from(number)][usize::from(spelling)]);
            }
            (_, 0 | 2, 1) => write_f64(out, number.into()),
            (_, 0, 2) => decimal(out, 0),
            (_, 2, 2) => write_f32(out, number.into()),
            (_, 0 | 2, 3) => decimal(out, 1),
            _ => write_uint(out, number.into()),
        }
    }

    /// A tuple of these numbers.
    pub(super) fn array(self, numbers: &[u8]) -> Vec<u8> {
        self.array_from(0, numbers)
    }

    /// A key of an index.
    pub(super) fn key(self, index: u8, key: Option<u8>) -> Vec<u8> {
        self.array_from(index, key.as_slice())
    }

    fn array_from(self, first: u8, numbers: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_array(&mut out, numbers.len());
        (first..).zip(numbers).for_each(|(field, number)| self.write(&mut out, field, *number));
        out
    }

    /// The numbers of a tuple.
    pub(super) fn row(self, tuple: &[u8]) -> Row {
        let number = |value: &[u8]| match msgpack::read(&mut { value }).expect("a value") {
            Token::Uint(number) => number as u8,
            Token::Float(number) => number as u8,
            Token::Double(number) => number as u8,
            Token::Ext(_, payload) => Decimal::parse(payload).expect("a decimal").to_f64() as u8,
            Token::Str(text) => {
                let text = std::str::from_utf8(text).expect("a letter");
                LETTERS.iter().position(|letters| letters.contains(&text)).expect("known") as u8
            }
            other => panic!("{other:?}"),
        };
        let numbers: Vec<u8> = msgpack::items(tuple).map(number).collect();
        numbers.try_into().expect("three of them")
    }
}

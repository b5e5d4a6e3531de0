//! The hint of a string: eight bytes that order as strings do and tell more of them apart than their first eight bytes.
//!
//! Keys that share a beginning (`user:10001`, `user:10002`) tie in their first eight bytes, and each tie costs a search a
//! look at a tuple. So the bytes are written in a code of the alphabetic kind: each byte has a word of bits, none is the
//! beginning of another, and greater bytes have greater words. What such a code makes of two strings, cut anywhere,
//! compares as the strings do, or ties.
//!
//! ```text
//! byte            00-1f  20-2f  0-9  :-@  A-Z  [-`  a-z  {-7f  80-ff
//! bits of a word     13      8    6    9    8    9    6    11     10
//! ```
//!
//! Ten digits or small letters fit. From the first byte beyond ASCII on, bytes stand as they are: other alphabets lose two
//! bits in all.
//!
//! Two words are below those of all bytes, for `packed_hint`: that of nil and the one that ends a string.

/// The word of a byte.
#[derive(Clone, Copy)]
struct Word {
    bits: u16,
    len: u8,
}

/// Bits of the longest word.
const LEN_MAX: u8 = 13;

/// Bits of the words up to and with a byte.
const LENS: [(u8, u8); 9] = [
    (0x1f, 13),
    (b'/', 8),
    (b'9', 6),
    (b'@', 9),
    (b'Z', 8),
    (b'`', 9),
    (b'z', 6),
    (0x7f, 11),
    (0xff, 10),
];

/// Bits of the words of nil and of the end of a string.
const END_LEN: u32 = 6;

/// The word of nil.
const NIL: u64 = 0;

/// The word that ends a string.
const END: u64 = 1;

/// The words by byte. Each takes the next stretch of its length of the space of all words, aligned to it.
const WORDS: [Word; 256] = {
    let mut words = [Word { bits: 0, len: 0 }; 256];
    let mut next = (END as u32 + 1) << (LEN_MAX as u32 - END_LEN);
    let (mut byte, mut range) = (0, 0);
    while byte < words.len() {
        if byte > LENS[range].0 as usize {
            range += 1;
        }
        let len = LENS[range].1;
        let step = 1 << (LEN_MAX - len);
        let start = next.next_multiple_of(step);
        words[byte] = Word { bits: (start / step) as u16, len };
        next = start + step;
        byte += 1;
    }
    assert!(next <= 1 << LEN_MAX, "the words do not fit");
    words
};

/// The hint of a string: a lower hint means a lower string, equal hints mean nothing.
#[inline]
pub fn text_hint(text: &[u8]) -> u64 {
    let mut bits = Bits::new(u64::BITS);
    push_words(&mut bits, text);
    bits.value()
}

/// Appends a string and its end; false if not all of it is there, to which nothing may follow then.
#[inline]
pub(super) fn push_text(bits: &mut Bits, text: &[u8]) -> bool {
    push_words(bits, text) && bits.push(END, END_LEN)
}

/// Appends nil in the place of a string.
#[inline]
pub(super) fn push_text_nil(bits: &mut Bits) -> bool {
    bits.push(NIL, END_LEN)
}

/// Appends a string as far as it fits; false if not all of it is there as words.
#[inline]
fn push_words(bits: &mut Bits, text: &[u8]) -> bool {
    for (at, byte) in text.iter().enumerate() {
        let word = WORDS[usize::from(*byte)];
        if !bits.push(u64::from(word.bits), u32::from(word.len)) {
            return false;
        }
        if !byte.is_ascii() {
            let _ = text[at + 1..].iter().all(|byte| bits.push(u64::from(*byte), u8::BITS));
            return false;
        }
    }
    true
}

/// A word of bits that fills from the top.
pub(super) struct Bits {
    value: u64,
    /// Bits that are not written.
    free: u32,
}

impl Bits {
    /// So many bits, none of them written.
    #[inline]
    pub(super) fn new(free: u32) -> Self {
        Self { value: 0, free }
    }

    /// What is written, and zeros.
    #[inline]
    pub(super) fn value(&self) -> u64 {
        self.value
    }

    /// Bits that are not written.
    #[inline]
    pub(super) fn free(&self) -> u32 {
        self.free
    }

    /// Appends bits, as many as fit; false if not all do.
    #[inline]
    pub(super) fn push(&mut self, bits: u64, len: u32) -> bool {
        if len <= self.free {
            self.free -= len;
            self.value |= bits << self.free;
            return true;
        }
        if self.free > 0 {
            self.value |= bits >> (len - self.free);
            self.free = 0;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_with_a_common_beginning_are_told_apart() {
        for (low, high) in [
            ("0000000001", "0000000002"),
            ("user:12345", "user:12346"),
            ("abcdefghij", "abcdefghik"),
            ("", "\u{1}"),
            ("Z", "a"),
            ("\u{7f}", "\u{80}"),
            ("\u{431}\u{430}\u{431}0", "\u{431}\u{430}\u{431}1"),
        ] {
            assert!(text_hint(low.as_bytes()) < text_hint(high.as_bytes()), "{low} {high}");
        }
    }

    proptest! {
        #[test]
        fn hints_order_as_strings_do(
            prefix in "[a-z0-9:_ -]{0,9}",
            left in prop::collection::vec(any::<u8>(), 0..12),
            right in prop::collection::vec(any::<u8>(), 0..12),
        ) {
            let (left, right) =
                ([prefix.as_bytes(), &left].concat(), [prefix.as_bytes(), &right].concat());
            let (low, high) = if left <= right { (left, right) } else { (right, left) };
            prop_assert!(text_hint(&low) <= text_hint(&high));
        }
    }
}

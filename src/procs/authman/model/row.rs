//! What a row is: a tuple that this application wrote, or the Lua application did.

use lycosa_proto::msgpack::{items, read_str, read_uint, write_array, write_nil};

/// A row of a space.
pub trait Row: Sized {
    /// The key of its space in the configuration.
    const SPACE: &'static str;
    /// The number of fields that this application knows.
    const FIELDS: usize;

    /// Writes the tuple.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads a tuple; none if it is not what this application writes. Further fields are ignored.
    fn read(tuple: &[u8]) -> Option<Self>;
}

/// Fields of a tuple, from the first on. A field past the end and nil read as none.
pub(super) struct Fields<'a, I: Iterator<Item = &'a [u8]>>(pub(super) I);

impl<'a, I: Iterator<Item = &'a [u8]>> Fields<'a, I> {
    pub(super) fn raw(&mut self) -> Option<&'a [u8]> {
        self.0.next().filter(|value| *value != [0xc0])
    }

    pub(super) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?).ok()
    }

    /// A text that need not be UTF-8.
    pub(super) fn bytes(&mut self) -> Option<Vec<u8>> {
        read_str(&mut self.raw()?).ok().map(<[u8]>::to_vec)
    }

    pub(super) fn uint(&mut self) -> Option<u64> {
        read_uint(&mut self.raw()?).ok()
    }
}

/// The tuple `new` with what `old` has beyond the first `known` fields: others may keep more in a row than we know.
pub fn with_rest(new: &[u8], old: &[u8], known: usize) -> Vec<u8> {
    let old_len = items(old).count();
    if old_len <= known {
        return new.to_vec();
    }
    let mut out = Vec::with_capacity(new.len() + old.len());
    write_array(&mut out, old_len);
    items(new).for_each(|field| out.extend_from_slice(field));
    (items(new).count()..known).for_each(|_| write_nil(&mut out));
    items(old).skip(known).for_each(|field| out.extend_from_slice(field));
    out
}

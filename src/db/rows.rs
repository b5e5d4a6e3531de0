//! Tuples as Rust values: what a procedure reads and writes, through serde.
//!
//! A tuple is an array. So is a Rust tuple, and a struct whose fields stand in the order of the space's format. A field that
//! the tuple does not have reads as nil, so it must be an `Option`; fields beyond the last of the struct are passed over.
//! Texts and bytes may be borrowed from the tuple.
//!
//! ```
//! use lycosa::db::access::ADMIN;
//! use lycosa::db::schema::{bootstrap, space_id};
//! use lycosa::db::{Database, RowKey};
//! use lycosa_proto::error::Result;
//! use lycosa_proto::iproto::Iterator;
//! use serde::{Deserialize, Serialize};
//!
//! /// A row of the space `letter`, fields in the order of its format.
//! #[derive(Serialize, Deserialize)]
//! struct Letter<'a> {
//!     id: u64,
//!     to: &'a str,
//!     text: Option<&'a str>,
//! }
//!
//! # fn main() -> Result<()> {
//! # let uuid = |n| uuid::Uuid::from_u128(n);
//! # let mut db = Database::new();
//! # bootstrap::run(&mut db, uuid(1), uuid(2))?;
//! # db.transaction(ADMIN, 0.0, |txn| {
//! #     let no: [u8; 0] = [];
//! #     let map = std::collections::BTreeMap::<&str, bool>::new();
//! #     txn.insert_row(space_id::SPACE, &(512, 1, "letter", "memtx", 0, &map, no))?;
//! #     let unique = std::collections::BTreeMap::from([("unique", true)]);
//! #     let (id, to) = ([(0, "unsigned")], [(1, "string"), (0, "unsigned")]);
//! #     txn.insert_row(space_id::INDEX, &(512, 0, "id", "tree", &unique, id))?;
//! #     txn.insert_row(space_id::INDEX, &(512, 1, "to", "tree", &unique, to))
//! # })?;
//! let ((), _ticket) = db.transaction(ADMIN, 0.0, |txn| {
//!     let letters = txn.db().space_by_name("letter")?.def.id;
//!     txn.insert_row(letters, &Letter { id: 1, to: "ann", text: Some("hello") })?;
//!     txn.insert_row(letters, &(2, "bob"))?;
//!     txn.update_row(letters, &(1,), &[("=", 2, "hello again")])?;
//!     txn.delete_row(letters, &(2,))?;
//!     Ok(())
//! })?;
//!
//! let letters = db.space_by_name("letter")?;
//! let key = RowKey::new(&("ann",))?;
//! for tuple in letters.index_by_name("to")?.range(Iterator::Eq, &key)? {
//!     let letter: Letter<'_> = tuple.decode()?;
//!     assert_eq!((letter.id, letter.text), (1, Some("hello again")));
//!     assert_eq!(tuple.get::<&str>(1)?, "ann");
//! }
//! # Ok(())
//! # }
//! ```

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack;
use rmp_serde::decode;
use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, forward_to_deserialize_any};

use super::index::{Index, Walk};
use super::key_def::Key;
use super::tuple::Tuple;
use super::txn::Txn;

/// The MsgPack of a value.
///
/// # Errors
/// PROC_C with what serde says of a value that MsgPack has no form for.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    rmp_serde::to_vec(value).map_err(|error| err!(PROC_C, error.to_string()))
}

/// The same, which must be an array.
fn encode_array<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let array = encode(value)?;
    match msgpack::read_array(&mut array.as_slice()) {
        Ok(_) => Ok(array),
        Err(_) => Err(err!(TUPLE_NOT_ARRAY)),
    }
}

/// A search key that owns its MsgPack array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowKey(Vec<u8>);

impl RowKey {
    /// The key of a tuple or a struct: a part for each field.
    ///
    /// # Errors
    /// TUPLE_NOT_ARRAY for a value that is no array; PROC_C as [`encode`].
    pub fn new<K: Serialize + ?Sized>(parts: &K) -> Result<Self> {
        Ok(Self(encode_array(parts)?))
    }

    /// The MsgPack array.
    pub fn array(&self) -> &[u8] {
        &self.0
    }

    /// The key.
    pub fn key(&self) -> Key<'_> {
        Key::from_array(&self.0)
    }
}

impl Index {
    /// Walks the tuples that an iterator and a key select.
    ///
    /// # Errors
    /// UNSUPPORTED_INDEX_FEATURE, KEY_PART_COUNT, PARTIAL_KEY, KEY_PART_TYPE.
    pub fn range<'a>(&'a self, iterator: Kind, key: &'a RowKey) -> Result<Walk<'a>> {
        self.check_select(iterator, &key.key(), "", "memtx")?;
        Ok(self.select(iterator, key.key()))
    }

    /// The tuple with this key, which must have all parts of a unique index.
    ///
    /// # Errors
    /// MORE_THAN_ONE_TUPLE, EXACT_MATCH, KEY_PART_TYPE, UNSUPPORTED_INDEX_FEATURE; those of [`RowKey::new`].
    pub fn get_row<K: Serialize + ?Sized>(&self, key: &K) -> Result<Option<&Tuple>> {
        let key = RowKey::new(key)?;
        if !self.def.is_unique {
            return Err(err!(MORE_THAN_ONE_TUPLE));
        }
        self.def.key_def.check_exact_key(&key.key())?;
        if self.is_disabled() {
            return Err(self.unsupported("", "memtx", "get()"));
        }
        Ok(self.get(&key.key()))
    }
}

impl Txn<'_> {
    /// [`Txn::insert`] of a value.
    ///
    /// # Errors
    /// As [`Txn::insert`]; those of [`RowKey::new`].
    pub fn insert_row<T: Serialize + ?Sized>(&mut self, space_id: u32, row: &T) -> Result<Tuple> {
        self.insert(space_id, &encode_array(row)?)
    }

    /// [`Txn::replace`] of a value.
    ///
    /// # Errors
    /// As [`Txn::replace`]; those of [`RowKey::new`].
    pub fn replace_row<T: Serialize + ?Sized>(&mut self, space_id: u32, row: &T) -> Result<Tuple> {
        self.replace(space_id, &encode_array(row)?)
    }

    /// [`Txn::update`] by the primary key. Operations are tuples such as `("=", 2, "text")`; fields are counted from 0.
    ///
    /// # Errors
    /// As [`Txn::update`]; those of [`RowKey::new`].
    pub fn update_row<K: Serialize + ?Sized, O: Serialize + ?Sized>(
        &mut self,
        space_id: u32,
        key: &K,
        operations: &O,
    ) -> Result<Option<Tuple>> {
        self.update(space_id, 0, &encode_array(key)?, &encode_array(operations)?, 0)
    }

    /// [`Txn::upsert`] of a value, with operations as in [`Self::update_row`].
    ///
    /// # Errors
    /// As [`Txn::upsert`]; those of [`RowKey::new`].
    pub fn upsert_row<T: Serialize + ?Sized, O: Serialize + ?Sized>(
        &mut self,
        space_id: u32,
        row: &T,
        operations: &O,
    ) -> Result<()> {
        self.upsert(space_id, &encode_array(row)?, &encode_array(operations)?, 0)
    }

    /// [`Txn::delete`] by the primary key.
    ///
    /// # Errors
    /// As [`Txn::delete`]; those of [`RowKey::new`].
    pub fn delete_row<K: Serialize + ?Sized>(
        &mut self,
        space_id: u32,
        key: &K,
    ) -> Result<Option<Tuple>> {
        self.delete(space_id, 0, &encode_array(key)?)
    }
}

impl Tuple {
    /// The tuple as a Rust value.
    ///
    /// # Errors
    /// PROC_C with what serde says of a tuple of another layout.
    pub fn decode<'de, T: Deserialize<'de>>(&'de self) -> Result<T> {
        T::deserialize(Fields(self.data())).map_err(|error| wrong_layout(&error))
    }

    /// A field, zero-based; one that the tuple does not have reads as nil.
    ///
    /// # Errors
    /// PROC_C with what serde says of a field of another type.
    pub fn get<'de, T: Deserialize<'de>>(&'de self, field_no: u32) -> Result<T> {
        let bytes = self.field(field_no).unwrap_or(NIL);
        rmp_serde::from_slice(bytes).map_err(|error| wrong_layout(&error))
    }
}

/// The MsgPack of nil.
const NIL: &[u8] = &[0xc0];

fn wrong_layout(error: &decode::Error) -> Error {
    err!(PROC_C, format!("the tuple has another layout: {error}"))
}

/// What serde makes of MsgPack.
type Decoded<T> = std::result::Result<T, decode::Error>;

/// A MsgPack array that serde reads.
struct Fields<'de>(&'de [u8]);

impl<'de> Fields<'de> {
    /// The fields, with nils up to `at_least`.
    fn items(&self, at_least: usize) -> Items<'de> {
        let mut rest = self.0;
        let count = msgpack::read_array(&mut rest).unwrap_or(0) as usize;
        Items { rest, count, at_least }
    }
}

impl<'de> Deserializer<'de> for Fields<'de> {
    type Error = decode::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        visitor.visit_seq(self.items(0))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Decoded<V::Value> {
        visitor.visit_seq(self.items(len))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Decoded<V::Value> {
        visitor.visit_seq(self.items(len))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Decoded<V::Value> {
        visitor.visit_seq(self.items(fields.len()))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Decoded<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq map enum identifier ignored_any
    }
}

/// The fields of a tuple one after another.
struct Items<'de> {
    /// The fields that are left.
    rest: &'de [u8],
    /// How many they are.
    count: usize,
    /// How many the reader wants at least.
    at_least: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = decode::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Decoded<Option<T::Value>> {
        if self.count == 0 && self.at_least == 0 {
            return Ok(None);
        }
        let mut field = NIL;
        if self.count > 0 {
            self.count -= 1;
            field = msgpack::take(&mut self.rest)
                .map_err(|error| <decode::Error as serde::de::Error>::custom(error.text()))?;
        }
        self.at_least = self.at_least.saturating_sub(1);
        seed.deserialize(&mut rmp_serde::Deserializer::from_read_ref(field)).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Row<'a> {
        id: u64,
        name: &'a str,
        note: Option<String>,
    }

    fn tuple<T: Serialize>(value: &T) -> Tuple {
        Tuple::probe(&encode(value).expect("a value"))
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let row = Row { id: 7, name: "ann", note: Some("x".into()) };
        assert_eq!(tuple(&row).decode::<Row<'_>>().expect("a row"), row);
        assert_eq!(tuple(&row).decode::<(u64, String)>().expect("a row"), (7, "ann".into()));
    }

    #[test]
    fn absent_fields_are_nil_and_further_ones_are_passed_over() {
        let short = tuple(&(7, "ann"));
        assert_eq!(
            short.decode::<Row<'_>>().expect("a row"),
            Row { id: 7, name: "ann", note: None }
        );
        let long = tuple(&(7, "ann", "x", [1, 2], true));
        assert_eq!(long.decode::<Row<'_>>().expect("a row").note.as_deref(), Some("x"));
        assert_eq!(long.get::<Vec<u8>>(3).expect("a field"), [1, 2]);
        assert_eq!(short.get::<Option<u8>>(9).expect("nil"), None);
        assert_eq!(tuple(&(1, 2, 3)).decode::<Vec<u8>>().expect("all"), [1, 2, 3]);
    }

    #[test]
    fn another_layout_is_an_error() {
        assert!(tuple(&("x", "ann")).decode::<Row<'_>>().is_err());
        assert!(tuple(&(7,)).decode::<Row<'_>>().is_err(), "the name is missing");
        assert!(RowKey::new(&5).is_err(), "no array");
    }
}

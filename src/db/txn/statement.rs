//! A statement as requests and rows of files say it.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::{Body, request_type};

use super::Txn;
use crate::db::tuple::Tuple;

/// INSERT, REPLACE, UPDATE, DELETE or UPSERT with its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// Which of them.
    pub request_type: u64,
    /// The space.
    pub space_id: u32,
    /// The index that the key is of.
    pub index_id: u32,
    /// The key, a MsgPack array.
    pub key: &'a [u8],
    /// The tuple; the operations of an UPDATE. A MsgPack array.
    pub tuple: &'a [u8],
    /// The operations of an UPSERT, a MsgPack array.
    pub ops: &'a [u8],
    /// The number of the first field in operations.
    pub index_base: u32,
}

/// An array of nothing, for what a body does not have.
const EMPTY: &[u8] = &[0x90];

impl<'a> Statement<'a> {
    /// The statement of a request or a row. Space and index are those that the body has by id.
    #[inline]
    pub fn new(request_type: u64, body: &Body<'a>) -> Self {
        Self {
            request_type,
            space_id: body.space_id,
            index_id: body.index_id,
            key: body.key.unwrap_or(EMPTY),
            tuple: body.tuple.unwrap_or(EMPTY),
            ops: body.ops.unwrap_or(EMPTY),
            index_base: body.index_base,
        }
    }
}

impl Txn<'_> {
    /// Executes a statement; gives the tuple that its reply has.
    ///
    /// # Errors
    /// Those of the method for its type; UNKNOWN_REQUEST_TYPE for what is no statement.
    #[inline]
    pub fn execute(&mut self, statement: &Statement<'_>) -> Result<Option<Tuple>> {
        let Statement { request_type, space_id, index_id, key, tuple, ops, index_base } =
            *statement;
        match request_type {
            request_type::INSERT => self.insert(space_id, tuple).map(Some),
            request_type::REPLACE => self.replace(space_id, tuple).map(Some),
            request_type::UPDATE => self.update(space_id, index_id, key, tuple, index_base),
            request_type::DELETE => self.delete(space_id, index_id, key),
            request_type::UPSERT => {
                self.upsert(space_id, tuple, ops, index_base)?;
                Ok(None)
            }
            other => Err(err!(UNKNOWN_REQUEST_TYPE, other)),
        }
    }
}

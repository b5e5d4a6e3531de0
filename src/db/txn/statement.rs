//! A statement as requests and rows of files say it.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::{Body, request_type};

use super::{Privacy, Txn};
use crate::db::space::Mode;
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

impl<'a> Statement<'a> {
    fn of(request_type: u64, space_id: u32) -> Self {
        Self {
            request_type,
            space_id,
            index_id: 0,
            key: EMPTY,
            tuple: EMPTY,
            ops: EMPTY,
            index_base: 0,
        }
    }

    pub(super) fn delete(space_id: u32, index_id: u32, key: &'a [u8]) -> Self {
        Self { index_id, key, ..Self::of(request_type::DELETE, space_id) }
    }

    pub(super) fn update(
        space_id: u32,
        index_id: u32,
        key: &'a [u8],
        tuple: &'a [u8],
        index_base: u32,
    ) -> Self {
        Self { index_id, key, tuple, index_base, ..Self::of(request_type::UPDATE, space_id) }
    }

    pub(super) fn upsert(space_id: u32, tuple: &'a [u8], ops: &'a [u8], index_base: u32) -> Self {
        Self { tuple, ops, index_base, ..Self::of(request_type::UPSERT, space_id) }
    }
}

impl Txn<'_> {
    /// Has the interactive transaction at work execute a statement, which comes back here when it has taken note of it.
    #[cold]
    pub(super) fn execute_privately(&mut self, statement: &Statement<'_>) -> Result<Option<Tuple>> {
        let mut within = self.db.within.take().ok_or_else(|| err!(NO_TRANSACTION))?;
        self.privacy = Privacy::Noted;
        let done = within.execute(self, statement);
        self.privacy = Privacy::Private;
        self.db.within = Some(within);
        done
    }

    /// The same for INSERT and REPLACE.
    #[cold]
    pub(super) fn put_privately(
        &mut self,
        space_id: u32,
        tuple: &[u8],
        mode: Mode,
    ) -> Result<Tuple> {
        let request_type = match mode {
            Mode::Insert => request_type::INSERT,
            Mode::Replace => request_type::REPLACE,
        };
        let put = Statement { tuple, ..Statement::of(request_type, space_id) };
        self.execute_privately(&put)?.ok_or_else(|| err!(NO_TRANSACTION))
    }

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

//! The numbers of the protocol that the driver uses.

/// Request types, header key 0 of a request.
pub(crate) mod request_type {
    /// Read rows by key.
    pub(crate) const SELECT: u8 = 1;
    /// Add a row; a duplicate key is an error.
    pub(crate) const INSERT: u8 = 2;
    /// Add a row or put it in the place of the one with the same key.
    pub(crate) const REPLACE: u8 = 3;
    /// Change fields of one row.
    pub(crate) const UPDATE: u8 = 4;
    /// Remove one row.
    pub(crate) const DELETE: u8 = 5;
    /// Insert a row, or change the one that is there.
    pub(crate) const UPSERT: u8 = 9;
    /// Run a stored procedure.
    pub(crate) const CALL: u8 = 10;
    /// Do nothing, answer at once.
    pub(crate) const PING: u8 = 64;
}

/// Keys of header and body maps.
pub(crate) mod key {
    /// Request type, or status in a reply.
    pub(crate) const REQUEST_TYPE: u8 = 0x00;
    /// The number that pairs a reply with its request.
    pub(crate) const SYNC: u8 = 0x01;
    /// Space by number.
    pub(crate) const SPACE_ID: u8 = 0x10;
    /// Index by number, 0 = primary.
    pub(crate) const INDEX_ID: u8 = 0x11;
    /// Rows wanted at most.
    pub(crate) const LIMIT: u8 = 0x12;
    /// Iterator type.
    pub(crate) const ITERATOR: u8 = 0x14;
    /// Key parts, an array.
    pub(crate) const KEY: u8 = 0x20;
    /// Row, arguments of a call, or operations of an update.
    pub(crate) const TUPLE: u8 = 0x21;
    /// Procedure by name.
    pub(crate) const FUNCTION_NAME: u8 = 0x22;
    /// Operations of an upsert.
    pub(crate) const OPS: u8 = 0x28;
    /// Rows or values of a reply.
    pub(crate) const DATA: u8 = 0x30;
    /// Text of an error reply.
    pub(crate) const ERROR_24: u8 = 0x31;
}

/// Iterator type: rows equal to the key.
pub(crate) const ITERATOR_EQ: u64 = 0;
/// Iterator type: every row.
pub(crate) const ITERATOR_ALL: u64 = 2;

/// System space of spaces.
pub(crate) const SPACE_SPACE_ID: u32 = 280;
/// System space of indexes.
pub(crate) const INDEX_SPACE_ID: u32 = 288;
/// The owner of spaces we create: admin.
pub(crate) const ADMIN_ID: u64 = 1;

/// Status of a reply that is an error: this bit and the code.
pub(crate) const STATUS_ERROR: u32 = 0x8000;
/// Error raised by Lua; the text says which.
pub(crate) const ER_PROC_LUA: u32 = 32;
/// No procedure of that name.
pub(crate) const ER_NO_SUCH_PROC: u32 = 33;

/// Bytes of the greeting.
pub(crate) const GREETING_SIZE: usize = 128;

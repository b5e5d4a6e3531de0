//! `box.begin` and what belongs to it: a call outside of a stream cannot leave a transaction open.
//!
//! Source: protocol.md §9.3; Tarantool `src/box/lua/init.c`, `src/box/call.c`.

use lycosa_proto::err;
use lycosa_proto::error::Result;

use crate::procs::{Args, Context, Values};

/// `box.begin()`: the transaction would end with the call.
///
/// # Errors
/// FUNCTION_TX_ACTIVE.
pub(super) fn begin(_: &Context, _: &Args) -> Result<Values> {
    Err(err!(FUNCTION_TX_ACTIVE))
}

/// `box.commit()` and `box.rollback()`: without a transaction they do nothing.
pub(super) fn end(_: &Context, _: &Args) -> Result<Values> {
    Ok(Values::none())
}

/// `box.is_in_txn()`.
pub(super) fn is_in_txn(_: &Context, _: &Args) -> Result<Values> {
    Ok(Values::from(false))
}

/// `box.savepoint()`.
///
/// # Errors
/// NO_TRANSACTION.
pub(super) fn savepoint(_: &Context, _: &Args) -> Result<Values> {
    Err(err!(NO_TRANSACTION))
}

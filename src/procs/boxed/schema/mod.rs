//! `box.schema.*`: changes of the schema as the rows that Tarantool's Lua writes, with the rights of the caller.
//!
//! ```text
//! spaces indexes parts sequenced format      box.schema.space, box.schema.index, methods of spaces and indexes
//! users grants privileges                    box.schema.user, box.schema.role
//! functions sequences                        box.schema.func, box.schema.sequence, methods of sequences
//! lookup                                     objects by name or id
//! ```
//!
//! Source: Tarantool `src/box/lua/schema.lua`.

mod format;
pub(super) mod functions;
pub(super) mod grants;
pub(super) mod indexes;
mod lookup;
mod parts;
mod privileges;
mod sequenced;
pub(super) mod sequences;
pub(super) mod spaces;
pub(super) mod users;

use lycosa_proto::error::Result;
use serde::Serialize;

use crate::db::rows::encode;
use crate::db::{Tuple, Txn};

/// An update by the primary key whose operations count fields from 1, as Lua's do: the journal shows the difference.
fn update_from_one<K: Serialize, O: Serialize>(
    txn: &mut Txn<'_>,
    space_id: u32,
    key: &K,
    operations: &O,
) -> Result<Option<Tuple>> {
    txn.update(space_id, 0, &encode(key)?, &encode(operations)?, 1)
}

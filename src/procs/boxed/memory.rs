//! `box.info.memory`, `box.stat.memtx`, `box.slab.info`: what takes how much memory.
//!
//! Source: Tarantool `src/box/lua/info.c` lbox_info_memory_call, `src/box/memtx_engine.cc` memtx_engine_stat,
//! `src/box/lua/slab.cc` lbox_slab_info.

use lycosa_proto::error::Result;
use rmpv::Value;

use super::info::map;
use crate::procs::{Args, Context, Values};

/// What tuples, indexes and transactions take, bytes.
struct Memory {
    /// Tuples, with what stands before their data.
    data: usize,
    /// Nodes and pages of the indexes.
    index: usize,
    /// What both may take.
    max: usize,
    /// Rows of each transaction that is open.
    transactions: Vec<usize>,
}

impl Memory {
    fn of(context: &Context) -> Self {
        let db = context.instance.read();
        let account = db.memory();
        Self {
            data: account.data_bytes(),
            index: account.index_bytes(),
            max: account.max(),
            transactions: db.interactive_row_bytes().collect(),
        }
    }

    fn tx(&self) -> usize {
        self.transactions.iter().sum()
    }

    /// `tx` of `box.stat.memtx()`: what statements take until their transactions end.
    fn transaction_stat(&self) -> Value {
        let longest = self.transactions.iter().max().copied().unwrap_or(0);
        let mean = self.tx().checked_div(self.transactions.len()).unwrap_or(0);
        let statements =
            map([("total", self.tx().into()), ("max", longest.into()), ("avg", mean.into())]);
        map([("txn", map([("statements", statements)]))])
    }
}

/// `box.info.memory()`: one map. There is no cache of a disk engine and no Lua: both are 0.
///
/// # Errors
/// None.
pub(super) fn memory(context: &Context, _: &Args) -> Result<Values> {
    let memory = Memory::of(context);
    Values::of(&map([
        ("data", memory.data.into()),
        ("index", memory.index.into()),
        ("cache", 0.into()),
        ("tx", memory.tx().into()),
        ("net", context.instance.stat().totals().buffer_bytes().into()),
        ("lua", 0.into()),
    ]))
}

/// `box.stat.memtx()`: one map.
///
/// # Errors
/// None.
pub(super) fn memtx(context: &Context, _: &Args) -> Result<Values> {
    let memory = Memory::of(context);
    Values::of(&map([
        ("data", map([("total", memory.data.into())])),
        ("index", map([("total", memory.index.into())])),
        ("tx", memory.transaction_stat()),
    ]))
}

/// `box.stat.memtx.tx()`: the member `tx` of `box.stat.memtx()`.
///
/// # Errors
/// None.
pub(super) fn memtx_tx(context: &Context, _: &Args) -> Result<Values> {
    Values::of(&Memory::of(context).transaction_stat())
}

/// `box.slab.info()`: one map. Memory is taken from the system's allocator as it is needed and given back to it, so nothing
/// that is set aside is unused: sizes are what is used.
///
/// # Errors
/// None.
pub(super) fn slab_info(context: &Context, _: &Args) -> Result<Values> {
    let memory = Memory::of(context);
    let used = memory.data + memory.index;
    // As Tarantool divides: what would be no number is 0.
    let percent = |part: usize, whole: usize| 100.0 * part as f64 / (whole as f64 + 0.0001);
    Values::of(&map([
        ("items_size", memory.data.into()),
        ("items_used", memory.data.into()),
        ("items_used_ratio", format!("{:.2}%", percent(memory.data, memory.data)).into()),
        ("arena_size", used.into()),
        ("arena_used", used.into()),
        ("arena_used_ratio", format!("{:.1}%", percent(used, used)).into()),
        ("quota_size", memory.max.into()),
        ("quota_used", used.into()),
        ("quota_used_ratio", format!("{:.2}%", percent(used, memory.max)).into()),
    ]))
}

//! `box.info.memory`, `box.stat.memtx`: what takes how much memory.
//!
//! Everything is counted when it is asked for, on a read view and on a thread that may block: nothing is counted while
//! tuples change.
//!
//! Source: Tarantool `src/box/lua/info.c` lbox_info_memory_call, `src/box/memtx_engine.cc` memtx_engine_stat.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use rmpv::Value;

use super::info::map;
use crate::db::Tuple;
use crate::db::index::Index;
use crate::db::schema::space_def::Engine;
use crate::db::space::Space;
use crate::instance::Instance;
use crate::procs::{Args, Context, Running, Values};

/// What spaces and transactions take, bytes.
struct Memory {
    /// Tuples, with what stands before their data.
    data: usize,
    /// Nodes and pages of the indexes.
    index: usize,
    /// Rows of each transaction that is open.
    transactions: Vec<usize>,
}

impl Memory {
    /// Counts all of it. Blocks for long if there is much.
    fn of(instance: &Instance) -> Self {
        let (spaces, transactions): (Vec<Space>, _) = {
            let db = instance.read();
            let memtx = db.spaces().filter(|space| space.def.engine == Engine::Memtx);
            (memtx.cloned().collect(), db.interactive_row_bytes().collect())
        };
        let data = spaces.iter().flat_map(Space::tuples).map(Tuple::memory).sum();
        let index = spaces.iter().flat_map(Space::indexes).map(Index::bsize).sum();
        Self { data, index, transactions }
    }

    /// Counts on another thread; gives what `write` makes of it.
    fn ask(context: &Context, write: fn(&Instance, &Self) -> Value) -> Running {
        let instance = context.instance.clone();
        Box::pin(async move {
            let count = move || write(&instance, &Self::of(&instance));
            let counted = tokio::task::spawn_blocking(count).await;
            Values::of(&counted.map_err(|error| err!(SYSTEM, error.to_string()))?)
        })
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
pub(super) fn memory(context: &Context, _: &Args) -> Running {
    Memory::ask(context, |instance, memory| {
        map([
            ("data", memory.data.into()),
            ("index", memory.index.into()),
            ("cache", 0.into()),
            ("tx", memory.tx().into()),
            ("net", instance.stat().totals().buffer_bytes().into()),
            ("lua", 0.into()),
        ])
    })
}

/// `box.stat.memtx()`: one map.
pub(super) fn memtx(context: &Context, _: &Args) -> Running {
    Memory::ask(context, |_, memory| {
        map([
            ("data", map([("total", memory.data.into())])),
            ("index", map([("total", memory.index.into())])),
            ("tx", memory.transaction_stat()),
        ])
    })
}

/// `box.stat.memtx.tx()`: the member `tx` of `box.stat.memtx()`.
///
/// # Errors
/// None.
pub(super) fn memtx_tx(context: &Context, _: &Args) -> Result<Values> {
    let transactions = context.instance.read().interactive_row_bytes().collect();
    Values::of(&Memory { data: 0, index: 0, transactions }.transaction_stat())
}

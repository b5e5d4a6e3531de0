//! `box.stat`: what the server has counted.
//!
//! Source: Tarantool `src/box/lua/stat.c`, `src/box/iproto.cc` iproto_stats_get.

use std::time::Instant;

use lycosa_proto::error::Result;
use lycosa_proto::iproto::request_type;
use rmpv::Value;

use super::info::map;
use crate::procs::{Args, Context, Values};
use crate::stat::{Counter, Totals};

/// The requests that are counted, each as the sum of its types.
const REQUESTS: [(&str, &[u64]); 14] = [
    ("SELECT", &[request_type::SELECT]),
    ("INSERT", &[request_type::INSERT]),
    ("REPLACE", &[request_type::REPLACE]),
    ("UPDATE", &[request_type::UPDATE]),
    ("DELETE", &[request_type::DELETE]),
    ("UPSERT", &[request_type::UPSERT]),
    ("CALL", &[request_type::CALL, request_type::CALL_16]),
    ("EVAL", &[request_type::EVAL]),
    ("AUTH", &[request_type::AUTH]),
    ("EXECUTE", &[request_type::EXECUTE]),
    ("PREPARE", &[request_type::PREPARE]),
    ("BEGIN", &[request_type::BEGIN]),
    ("COMMIT", &[request_type::COMMIT]),
    ("ROLLBACK", &[request_type::ROLLBACK]),
];

/// What was counted since the start, and how much of it in a second.
fn counted(context: &Context) -> (Totals, Totals) {
    let stat = context.instance.stat();
    (stat.totals(), stat.rates(Instant::now()))
}

/// `box.stat()`: one map, `total` and `rps` of each kind of request and of errors.
///
/// # Errors
/// None.
pub(super) fn stat(context: &Context, _: &Args) -> Result<Values> {
    let (totals, rates) = counted(context);
    let both = |count: &dyn Fn(&Totals) -> u64| {
        map([("total", count(&totals).into()), ("rps", count(&rates).into())])
    };
    let mut fields: Vec<(Value, Value)> = REQUESTS
        .iter()
        .map(|(name, types)| {
            let count = |totals: &Totals| {
                types.iter().map(|number| totals.get(Counter::request(*number))).sum()
            };
            ((*name).into(), both(&count))
        })
        .collect();
    fields.push(("ERROR".into(), both(&|totals| totals.get(Counter::ERROR))));
    Values::of(&Value::Map(fields))
}

/// `box.stat.net()`: one map, bytes, connections, streams and requests.
///
/// # Errors
/// None.
pub(super) fn net(context: &Context, _: &Args) -> Result<Values> {
    let (totals, rates) = counted(context);
    let bytes = |counter: Counter| {
        map([("total", totals.get(counter).into()), ("rps", rates.get(counter).into())])
    };
    let with_current = |total: u64, rate: u64, current: u64| {
        map([("total", total.into()), ("rps", rate.into()), ("current", current.into())])
    };
    let (opened, begun) = (Counter::CONNECTION_OPENED, Counter::STREAM_BEGUN);
    Values::of(&map([
        ("SENT", bytes(Counter::BYTES_SENT)),
        ("RECEIVED", bytes(Counter::BYTES_RECEIVED)),
        ("CONNECTIONS", with_current(totals.get(opened), rates.get(opened), totals.connections())),
        ("STREAMS", with_current(totals.get(begun), rates.get(begun), totals.streams())),
        ("REQUESTS", with_current(totals.requests(), rates.requests(), totals.in_progress())),
    ]))
}

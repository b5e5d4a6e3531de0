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

/// What was counted since the last reset, and how much of it in a second.
fn counted(context: &Context) -> (Totals, Totals) {
    let stat = context.instance.stat();
    (stat.since_reset(), stat.rates(Instant::now()))
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
    let now = context.instance.stat().totals();
    let both = |count: &dyn Fn(&Totals) -> u64| {
        [("total", count(&totals).into()), ("rps", count(&rates).into())]
    };
    let bytes = |counter: Counter| map(both(&|totals| totals.get(counter)));
    let with_current = |count: &dyn Fn(&Totals) -> u64, current: u64| {
        let [total, rate] = both(count);
        map([total, rate, ("current", current.into())])
    };
    let of = |counter: Counter| move |totals: &Totals| totals.get(counter);
    let in_work = now.in_progress() + now.in_stream_queue();
    Values::of(&map([
        ("SENT", bytes(Counter::BYTES_SENT)),
        ("RECEIVED", bytes(Counter::BYTES_RECEIVED)),
        ("CONNECTIONS", with_current(&of(Counter::CONNECTION_OPENED), now.connections())),
        ("STREAMS", with_current(&of(Counter::STREAM_BEGUN), now.streams())),
        ("REQUESTS", with_current(&Totals::requests, in_work)),
        ("REQUESTS_IN_PROGRESS", with_current(&Totals::requests, now.in_progress())),
        ("REQUESTS_IN_STREAM_QUEUE", with_current(&of(Counter::QUEUED), now.in_stream_queue())),
    ]))
}

/// `box.stat.reset()`: no value; totals and rates begin anew.
///
/// # Errors
/// None.
pub(super) fn reset(context: &Context, _: &Args) -> Result<Values> {
    context.instance.stat().reset();
    Ok(Values::none())
}

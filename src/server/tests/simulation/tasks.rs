//! Random requests to the queue.

use rand::Rng;
use rand::rngs::StdRng;

use super::request::{Request, call};

/// A task that a client has taken: its tube, its number.
pub(super) type Taken = (String, u64);

/// Tubes that there may be.
const TUBES: [(&str, &str); 4] =
    [("a", "fifo"), ("b", "fifottl"), ("c", "utube"), ("d", "utubettl")];

/// Makes a tube, drops one, or looks at all.
pub(super) fn definition(dice: &mut StdRng) -> Request {
    let (name, kind) = TUBES[dice.random_range(0..TUBES.len())];
    match dice.random_range(0..8) {
        0..5 => call("queue.create_tube", &format!(r#"["{name}", "{kind}"]"#)),
        5 => call(&format!("queue.tube.{name}:drop"), "[]"),
        6 => call(&format!("queue.tube.{name}:truncate"), "[]"),
        _ => call("queue.statistics", "[]"),
    }
}

/// A method of a tube; `taken` are tasks that the client has taken.
pub(super) fn method(dice: &mut StdRng, taken: &[Taken]) -> Request {
    let (name, _) = TUBES[dice.random_range(0..TUBES.len())];
    let number = dice.random_range(0..6);
    let one = match taken.last() {
        Some((tube, task)) if dice.random_ratio(3, 4) => (tube.as_str(), *task),
        _ => (name, number),
    };
    let on = |tube: &str, method: &str, args: String| {
        call(&format!("queue.tube.{tube}:{method}"), &args)
    };
    match dice.random_range(0..16) {
        0..5 => on(name, "put", format!("[{number}]")),
        5..8 => on(name, "take", "[0]".to_owned()),
        8..10 => on(one.0, "ack", format!("[{}]", one.1)),
        10 => on(one.0, "release", format!("[{}]", one.1)),
        11 => on(one.0, "bury", format!("[{}]", one.1)),
        12 => on(name, "kick", "[2]".to_owned()),
        13 => on(name, "delete", format!("[{number}]")),
        14 => on(name, "put_many", "[[[1], [2], [3]]]".to_owned()),
        _ => on(name, "release_all", "[]".to_owned()),
    }
}

/// The task that a call has taken, if it is one that does and there was one.
pub(super) fn taken(request: &str, reply: &str) -> Option<Taken> {
    let (tube, _) = request.strip_prefix("queue.tube.")?.split_once(":take")?;
    let number = reply.strip_prefix("[[")?.split(',').next()?;
    Some((tube.to_owned(), number.parse().ok()?))
}

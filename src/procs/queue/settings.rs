//! What the options of a tube mean to its driver: the map in `_queue`, read once when the tube is found.
//!
//! Source: queue/abstract/driver/fifottl.lua, limfifottl.lua, utube.lua, utubettl.lua `create_space`, `tube.new`.

use lycosa_proto::msgpack::{self, Token};

use super::dead_letter::Rule;
use super::lua_number;
use super::times;

/// The options of a tube. A type uses those that it knows.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Settings {
    /// How long a task lives that says nothing else, in microseconds.
    pub(super) ttl_us: u64,
    /// How long a task may be held that says nothing else, in microseconds.
    pub(super) ttr_us: u64,
    /// The priority of a task that says nothing else, MsgPack as it came.
    pub(super) pri: Box<[u8]>,
    /// How many tasks the tube holds; None = any number.
    pub(super) capacity: Option<u64>,
    /// First ready tasks of sub-queues are rows of a side space, not memory.
    pub(super) is_buffered: bool,
    /// What becomes of tasks that fail again and again; None = they are tried for ever.
    pub(super) rule: Option<Rule>,
}

impl Settings {
    /// Reads the options of a row of `_queue`, a map. What is missing or of no use has its default.
    pub(super) fn parse(options: &[u8]) -> Self {
        let seconds = |name| times::given(options, name).and_then(times::number);
        let ttl = seconds("ttl").unwrap_or(times::TIMEOUT_MAX_SEC);
        let capacity = seconds("capacity").map_or(0, |capacity| capacity as u64);
        let mode = times::get(options, "storage_mode");
        let mode = mode.and_then(|mode| msgpack::read(&mut { mode }).ok());
        Self {
            ttl_us: times::micros(ttl),
            ttr_us: times::micros(seconds("ttr").unwrap_or(ttl)),
            pri: lua_number::plain(times::given(options, "pri").unwrap_or(&[0])).into(),
            capacity: (capacity > 0).then_some(capacity),
            is_buffered: mode == Some(Token::Str(b"ready_buffer")),
            rule: Rule::parse(options),
        }
    }
}

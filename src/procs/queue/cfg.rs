//! `queue.cfg`: for how long sessions outlive their connections, and whether they outlive the process.
//!
//! Values are those of this process. It begins with those of the configuration (`roles_cfg.queue`), as the rock begins with
//! what the application's code says.
//!
//! `in_replicaset` says that sessions and what they hold are kept in the files: `_queue_shared_sessions` and
//! `_queue_taken_2` are not temporary then. The rock copies them to spaces of new ids; here they keep their ids.
//!
//! Source: queue/abstract.lua `method.cfg`, `switch_in_replicaset`; queue/abstract/queue_session.lua `cfg`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token, write_bool, write_f64, write_map, write_str, write_uint};

use super::ddl;
use super::lua_text;
use super::times;
use super::tubes::{Services, Tubes};
use crate::config;
use crate::db::{Database, Txn};

/// The settings.
#[derive(Debug, Default)]
pub(super) struct Cfg {
    /// For how long a session without connections holds its tasks, in microseconds.
    ttr_us: AtomicU64,
    /// Sessions outlive the process.
    in_replicaset: AtomicBool,
}

impl Cfg {
    /// Takes the values of the configuration.
    pub(super) fn load(&self, config: &config::Queue) {
        self.change(&Change {
            ttr_us: Some(times::micros(config.ttr.as_secs_f64())),
            in_replicaset: Some(config.in_replicaset),
        });
    }

    /// For how long a session without connections holds its tasks, in microseconds.
    pub(super) fn ttr_us(&self) -> u64 {
        self.ttr_us.load(Ordering::Relaxed)
    }

    /// Sessions outlive the process.
    pub(super) fn in_replicaset(&self) -> bool {
        self.in_replicaset.load(Ordering::Relaxed)
    }

    /// Changes what a change names.
    pub(super) fn change(&self, change: &Change) {
        if let Some(ttr_us) = change.ttr_us {
            self.ttr_us.store(ttr_us, Ordering::Relaxed);
        }
        if let Some(in_replicaset) = change.in_replicaset {
            self.in_replicaset.store(in_replicaset, Ordering::Relaxed);
        }
    }

    /// Writes `{ttr, in_replicaset}`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        /// Microseconds in a second.
        const SECOND_US: u64 = 1_000_000;
        let ttr_us = self.ttr_us();
        write_map(out, 2);
        write_str(out, "ttr");
        match ttr_us % SECOND_US {
            0 => write_uint(out, ttr_us / SECOND_US),
            _ => write_f64(out, ttr_us as f64 / SECOND_US as f64),
        }
        write_str(out, "in_replicaset");
        write_bool(out, self.in_replicaset());
    }
}

/// What a call of `queue.cfg` wants; what it does not name stays.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Change {
    /// The new time of sessions, in microseconds.
    pub(super) ttr_us: Option<u64>,
    /// The new mode.
    pub(super) in_replicaset: Option<bool>,
}

impl Change {
    /// Parses a map, or an empty array, which is an empty table of many clients.
    ///
    /// # Errors
    /// PROC_LUA: not a table, an unknown key, a value that is none.
    pub(super) fn parse(options: &[u8]) -> Result<Self> {
        let map = match msgpack::read(&mut { options }) {
            Ok(Token::Map(_)) => options,
            Ok(Token::Array(0)) => &[0x80],
            _ => return Err(err!(PROC_LUA, "options of the queue must be a table")),
        };
        let invalid = |name: &str, value: &[u8]| {
            let value = lua_text::of(Some(value));
            err!(PROC_LUA, format!("Invalid value of {name}: {}", String::from_utf8_lossy(&value)))
        };
        let mut change = Self::default();
        for (key, value) in msgpack::pairs(map) {
            match msgpack::read(&mut { key }) {
                Ok(Token::Str(b"ttr")) => match times::number(value) {
                    Some(seconds) if seconds >= 0.0 => change.ttr_us = Some(times::micros(seconds)),
                    _ => return Err(invalid("ttr", value)),
                },
                Ok(Token::Str(b"in_replicaset")) => match msgpack::read_bool(&mut { value }) {
                    Ok(mode) => change.in_replicaset = Some(mode),
                    Err(_) => return Err(invalid("in_replicaset", value)),
                },
                _ => {
                    let key = lua_text::of(Some(key));
                    let key = String::from_utf8_lossy(&key);
                    return Err(err!(PROC_LUA, format!("Unknown option {key}")));
                }
            }
        }
        Ok(change)
    }
}

/// True if sessions outlive the process, as far as the spaces are concerned.
pub(super) fn is_in_replicaset(db: &Database, services: &Services) -> bool {
    db.space(services.taken).is_ok_and(|taken| !taken.def.is_temporary)
}

/// Makes sessions and what they hold outlive the process, or not. Nothing has changed if it fails.
///
/// # Errors
/// PROC_LUA if there is a temporary tube, whose tasks would not outlive it with them.
pub(super) fn set_mode(
    txn: &mut Txn<'_>,
    tubes: &Tubes,
    services: &Services,
    in_replicaset: bool,
) -> Result<()> {
    let db = txn.db();
    let is_temporary = |id| db.space(id).is_ok_and(|space| space.def.is_temporary);
    let temporary: Vec<Box<str>> = match in_replicaset {
        true => {
            let tubes = tubes.all(db).into_iter().filter(|tube| is_temporary(tube.space_id));
            tubes.map(|tube| tube.name.clone()).collect()
        }
        false => Vec::new(),
    };
    if !temporary.is_empty() {
        let tubes = temporary.join(", ");
        let text =
            format!("Queue: cannot set `in_replicaset = true`: temporary tube(s) exists: {tubes}");
        return Err(err!(PROC_LUA, text));
    }
    ddl::set_temporary(txn, services.taken, !in_replicaset)?;
    ddl::set_temporary(txn, services.shared_sessions, !in_replicaset)
}

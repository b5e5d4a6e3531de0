//! States of a task, one character each, the second field of every task's row.
//!
//! ```text
//! put -> READY --take--> TAKEN --ack, delete--> DONE (gone)
//!          ^ |             | |
//!          | +----bury---> | +--bury--> BURIED --kick--> READY
//!          +----release----+            (delete: DONE)
//!          +--time-- DELAYED <-- put, release with a delay (types with a ttl)
//! ```
//!
//! Source: queue/abstract/state.lua.

use super::row;
use crate::db::Tuple;

/// The state of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Can be taken.
    Ready,
    /// Held by a session.
    Taken,
    /// Gone; only ever seen in a reply.
    Done,
    /// Out of circulation until it is kicked.
    Buried,
    /// Becomes READY when its time comes.
    Delayed,
}

impl State {
    /// The state of a task's row; None if it says none that there is.
    pub(super) fn of(task: &Tuple) -> Option<Self> {
        let states = [Self::Ready, Self::Taken, Self::Done, Self::Buried, Self::Delayed];
        states.into_iter().find(|state| row::bytes(task, 1) == [state.char()])
    }

    /// The character in rows and replies.
    pub(super) const fn char(self) -> u8 {
        match self {
            Self::Ready => b'r',
            Self::Taken => b't',
            Self::Done => b'-',
            Self::Buried => b'!',
            Self::Delayed => b'~',
        }
    }

    /// MsgPack of the character.
    pub(super) const fn msgpack(self) -> [u8; 2] {
        [0xa1, self.char()]
    }

    /// The search key `[state]`.
    pub(super) const fn key(self) -> [u8; 3] {
        [0x91, 0xa1, self.char()]
    }
}

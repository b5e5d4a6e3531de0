//! The sessions that are open: who is connected, under which number.

use std::collections::HashMap;

use parking_lot::Mutex;

/// The socket of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Socket {
    /// The client's address, as text.
    pub peer: Box<str>,
    /// The number that the system knows the socket by.
    pub fd: i32,
}

/// The sessions that are open, by number.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<u64, Socket>>);

impl Sessions {
    /// Takes note of a session that has begun, or whose socket has a new number.
    pub fn opened(&self, id: u64, socket: Socket) {
        self.0.lock().insert(id, socket);
    }

    /// Takes note of the end of a session.
    pub fn closed(&self, id: u64) {
        self.0.lock().remove(&id);
    }

    /// The socket of a session; None if there is no such session.
    pub fn find(&self, id: u64) -> Option<Socket> {
        self.0.lock().get(&id).cloned()
    }
}

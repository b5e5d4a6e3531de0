//! A session: one connection, and the user that it is now.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use lycosa_proto::chap::SALT_BYTES;

use crate::db::access::GUEST;

/// A session of a client.
#[derive(Debug)]
pub struct Session {
    /// Its number since the process started, from 1 (`box.session.id()`).
    pub id: u64,
    /// The client's address.
    pub peer: SocketAddr,
    /// The salt of its greeting.
    pub salt: [u8; SALT_BYTES],
    uid: AtomicU32,
}

impl Session {
    /// A session of guest.
    pub fn new(id: u64, peer: SocketAddr, salt: [u8; SALT_BYTES]) -> Self {
        Self { id, peer, salt, uid: AtomicU32::new(GUEST) }
    }

    /// The user.
    #[inline]
    pub fn uid(&self) -> u32 {
        self.uid.load(Ordering::Relaxed)
    }

    /// Makes it another user's, after AUTH.
    pub fn set_uid(&self, uid: u32) {
        self.uid.store(uid, Ordering::Relaxed);
    }
}

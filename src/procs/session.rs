//! A session: one connection, and the user that it is now.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use lycosa_proto::chap::SALT_BYTES;
use lycosa_proto::error::Error;
use lycosa_proto::iproto::Feature;
use parking_lot::Mutex;

use crate::db::access::GUEST;
use crate::db::session_settings::SessionSettings;

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
    /// The sync of its newest CALL.
    sync: AtomicU64,
    /// What its newest IPROTO_ID said that the client can: bit N is feature N.
    features: AtomicU64,
    /// The error that it was answered last; None if there was none.
    last_error: Mutex<Option<Error>>,
    /// What `_session_settings` shows.
    pub settings: Mutex<SessionSettings>,
}

impl Session {
    /// A session of guest.
    pub fn new(id: u64, peer: SocketAddr, salt: [u8; SALT_BYTES]) -> Self {
        Self {
            id,
            peer,
            salt,
            uid: AtomicU32::new(GUEST),
            sync: AtomicU64::new(0),
            features: AtomicU64::new(0),
            last_error: Mutex::default(),
            settings: Mutex::default(),
        }
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

    /// The sync of the CALL that begins.
    pub fn sync(&self) -> u64 {
        self.sync.load(Ordering::Relaxed)
    }

    /// Takes note of the sync of a CALL that is about to begin.
    #[inline]
    pub fn set_sync(&self, sync: u64) {
        self.sync.store(sync, Ordering::Relaxed);
    }

    /// The error that it was answered last (`box.error.last()`).
    pub fn last_error(&self) -> Option<Error> {
        self.last_error.lock().clone()
    }

    /// Takes note of an error that it is answered; None forgets the last one.
    pub fn set_last_error(&self, error: Option<Error>) {
        *self.last_error.lock() = error;
    }

    /// True if the client has said that it can this.
    #[inline]
    pub fn has(&self, feature: Feature) -> bool {
        self.features.load(Ordering::Relaxed) & feature.bit() != 0
    }

    /// Takes note of what the client can, in place of what it said before.
    pub fn set_features(&self, features: impl Iterator<Item = Feature>) {
        let bits = features.fold(0, |bits, feature| bits | feature.bit());
        self.features.store(bits, Ordering::Relaxed);
    }
}

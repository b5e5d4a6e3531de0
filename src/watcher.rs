//! Watchers: telling sessions that the value of a key has changed.
//!
//! ```text
//! broadcast(key, value) --> Watchable: the newest value of each key --> signal --> Watcher: one for each connection
//! WATCH --> EVENT --(nothing more until it is acknowledged by another WATCH)--> WATCH --> EVENT if it changed meanwhile
//! ```
//!
//! Values are kept once, whoever watches: a watcher only remembers which broadcast it has told last. So a client that
//! does not read or does not acknowledge costs no memory, and learns the newest value when it does, the ones between never.
//!
//! Any thread may broadcast, under the database lock or without it; nothing here takes another lock.
//!
//! Source: protocol.md §11; Tarantool `src/box/watcher.c`, `src/box/session.c` session_watch.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lycosa_proto::err;
use lycosa_proto::error::Result;
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

/// What the keys that one watcher watches may take, bytes.
const WATCHED_BYTES_MAX: usize = 1 << 20;
/// What a watched key takes beyond its name, bytes: entries here and there.
const WATCH_OVERHEAD_BYTES: usize = 256;

/// The keys that can be watched. Any bytes are one.
#[derive(Default)]
pub struct Watchable {
    keys: Mutex<Keys>,
    /// The last watcher of some key is gone.
    unwatched: Condvar,
}

#[derive(Default)]
struct Keys {
    by_name: HashMap<Box<[u8]>, Key>,
    /// Broadcasts so far.
    broadcasts: u64,
    /// Watchers so far.
    watchers: u64,
}

/// What is known of a key: it has a value, or somebody watches it.
#[derive(Default)]
struct Key {
    /// The number of its newest broadcast; 0 if there was none.
    broadcast: u64,
    /// MsgPack; None if it was never broadcast, or without a value.
    value: Option<Arc<[u8]>>,
    /// Whom to tell, by the watcher's number.
    watchers: HashMap<u64, Arc<Signal>>,
}

/// Wakes a watcher.
#[derive(Default)]
struct Signal {
    is_raised: AtomicBool,
    notify: Notify,
}

impl Watchable {
    /// Gives a key a new value, MsgPack, or takes its value away, and tells who watches it.
    pub fn broadcast(&self, name: &[u8], value: Option<&[u8]>) {
        let mut keys = self.keys.lock();
        keys.broadcasts += 1;
        let broadcast = keys.broadcasts;
        if value.is_none() && !keys.by_name.contains_key(name) {
            return;
        }
        let key = keys.by_name.entry(name.into()).or_default();
        key.broadcast = broadcast;
        key.value = value.map(Arc::from);
        for signal in key.watchers.values() {
            signal.is_raised.store(true, Ordering::Release);
            signal.notify.notify_one();
        }
        keys.forget_unused(name);
    }

    /// The value of a key as MsgPack; None without one.
    pub fn value(&self, name: &[u8]) -> Option<Arc<[u8]>> {
        self.keys.lock().by_name.get(name)?.value.clone()
    }

    /// Waits until nobody watches a key, but not longer than `timeout`. Blocks the thread. True if nobody does.
    pub fn wait_unwatched(&self, name: &[u8], timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut keys = self.keys.lock();
        while keys.by_name.get(name).is_some_and(|key| !key.watchers.is_empty()) {
            if self.unwatched.wait_until(&mut keys, deadline).timed_out() {
                return false;
            }
        }
        true
    }
}

impl Keys {
    fn forget_unused(&mut self, name: &[u8]) {
        if self.by_name.get(name).is_some_and(|key| key.value.is_none() && key.watchers.is_empty())
        {
            self.by_name.remove(name);
        }
    }
}

/// The keys that one connection watches. Dropping it ends that.
pub struct Watcher {
    watchable: Arc<Watchable>,
    /// Its number.
    id: u64,
    signal: Arc<Signal>,
    watches: HashMap<Box<[u8]>, Watch>,
    /// What the watches take, of [`WATCHED_BYTES_MAX`].
    bytes: usize,
}

/// A key that is watched.
struct Watch {
    /// The sync of the newest WATCH for it.
    sync: u64,
    /// The broadcast that was told last; None before the first event.
    told: Option<u64>,
    /// The last event is acknowledged.
    is_acknowledged: bool,
}

/// An event that is to be sent.
pub struct Event<'a> {
    /// The sync of the newest WATCH for the key.
    pub sync: u64,
    /// The key.
    pub key: &'a [u8],
    /// Its value as MsgPack; None without one.
    pub value: Option<&'a [u8]>,
}

impl Watcher {
    /// A watcher of nothing yet.
    pub fn new(watchable: &Arc<Watchable>) -> Self {
        let mut keys = watchable.keys.lock();
        keys.watchers += 1;
        Self {
            watchable: watchable.clone(),
            id: keys.watchers,
            signal: Arc::default(),
            watches: HashMap::new(),
            bytes: 0,
        }
    }

    /// Begins to watch a key, or acknowledges its last event. If there is something to tell, `send` gets it.
    ///
    /// # Errors
    /// UNSUPPORTED if the keys would take more than a watcher may.
    pub fn watch(&mut self, name: &[u8], sync: u64, send: impl FnOnce(Event<'_>)) -> Result<()> {
        if !self.watches.contains_key(name) {
            self.add(name, sync)?;
        }
        let Some(watch) = self.watches.get_mut(name) else { return Ok(()) };
        (watch.sync, watch.is_acknowledged) = (sync, true);
        watch.tell(name, &self.watchable.keys.lock(), send);
        Ok(())
    }

    fn add(&mut self, name: &[u8], sync: u64) -> Result<()> {
        let bytes = self.bytes + name.len() + WATCH_OVERHEAD_BYTES;
        if bytes > WATCHED_BYTES_MAX {
            return Err(err!(UNSUPPORTED, "Lycosa", "watching that many keys by one connection"));
        }
        self.bytes = bytes;
        self.watches.insert(name.into(), Watch { sync, told: None, is_acknowledged: true });
        let mut keys = self.watchable.keys.lock();
        let key = keys.by_name.entry(name.into()).or_default();
        key.watchers.insert(self.id, self.signal.clone());
        Ok(())
    }

    /// Ends watching a key; nothing happens if it is not watched.
    pub fn unwatch(&mut self, name: &[u8]) {
        if self.watches.remove(name).is_some() {
            self.bytes -= name.len() + WATCH_OVERHEAD_BYTES;
            self.leave(name);
        }
    }

    fn leave(&self, name: &[u8]) {
        let mut keys = self.watchable.keys.lock();
        let Some(key) = keys.by_name.get_mut(name) else { return };
        key.watchers.remove(&self.id);
        if key.watchers.is_empty() {
            self.watchable.unwatched.notify_all();
        }
        keys.forget_unused(name);
    }

    /// Gives `send` an event for each key whose value has changed since it was told last, if that is acknowledged.
    pub fn collect(&mut self, mut send: impl FnMut(Event<'_>)) {
        if !self.signal.is_raised.swap(false, Ordering::Acquire) {
            return;
        }
        let keys = self.watchable.keys.lock();
        for (name, watch) in &mut self.watches {
            watch.tell(name, &keys, &mut send);
        }
    }

    /// Waits until a key may have changed.
    pub async fn changed(&self) {
        self.signal.notify.notified().await;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.watches.keys().for_each(|name| self.leave(name));
    }
}

impl Watch {
    /// Gives `send` what is to be told now, if anything.
    fn tell(&mut self, name: &[u8], keys: &Keys, send: impl FnOnce(Event<'_>)) {
        let Some(key) = keys.by_name.get(name) else { return };
        if self.is_acknowledged && self.told != Some(key.broadcast) {
            (self.told, self.is_acknowledged) = (Some(key.broadcast), false);
            send(Event { sync: self.sync, key: name, value: key.value.as_deref() });
        }
    }
}

#[cfg(test)]
mod tests;

//! The tubes by name: a cache of `_queue` that each operation checks with one comparison.
//!
//! `_queue` and `_space` are the truth. A [`Tube`] remembers the schema version at which it agreed with them; as long as
//! that is the current one it is right, and when it is not it is looked up again. So nothing here has to follow what
//! others do: a tube that is dropped, a `create_tube` that the journal could not write and rolls back, a space that
//! somebody drops by hand.
//!
//! Invariant: there is at most one [`Tube`] of a row of `_queue`, since its consumers wait in it. One that is replaced
//! calls them all.
//!
//! A drop that the journal rolls back restores the very row of `_queue`, and with it the tube that was made from that row:
//! its counters and whoever waits for room go on.
//!
//! Locks: the map's is taken inside of the database's or alone, and nothing but the line of whoever waits, the tubes that
//! were dropped and the timer's schedule is locked while it is held.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use lycosa_proto::err;
use lycosa_proto::error::Result;
use parking_lot::{Mutex, RwLock};

use super::buffer;
use super::cfg::Cfg;
use super::clock::Clock;
use super::ddl::{self, NewSpace};
use super::dead_letter::{self, Rule};
use super::driver;
use super::layout::{Layout, TUBE_ID_INDEX};
use super::phase::CurrentPhase;
use super::row;
use super::settings::Settings;
use super::timer::{Due, Timer};
use super::tube::{Place, Tube};
use crate::db::index::Index;
use crate::db::{Database, Key, Tuple, Txn};

/// Ids of the spaces that the queue keeps for itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Services {
    /// `_queue`.
    pub(super) queue: u32,
    /// `_queue_consumers`.
    pub(super) consumers: u32,
    /// `_queue_taken_2`.
    pub(super) taken: u32,
    /// `_queue_session_ids`.
    pub(super) session_ids: u32,
    /// `_queue_shared_sessions`.
    pub(super) shared_sessions: u32,
}

/// The tubes of an instance.
pub(super) struct Tubes {
    /// None until the queue has started.
    services: OnceLock<Services>,
    /// Tubes that were found in `_queue`.
    by_name: RwLock<HashMap<Box<str>, Arc<Tube>>>,
    /// Tubes that were found there no more, the newest last: the journal may yet refuse that they are dropped.
    dropped: Mutex<Vec<Arc<Tube>>>,
    /// When something happens in them.
    pub(super) timer: Arc<Timer>,
    /// Settings of the queue as a whole.
    pub(super) cfg: Cfg,
    /// What it can do now.
    pub(super) phase: CurrentPhase,
    /// Connections that have ended while the instance was read-only.
    pub(super) gone: Mutex<Vec<u64>>,
}

impl Tubes {
    /// No tubes yet; their times will be those of a clock.
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            services: OnceLock::new(),
            by_name: RwLock::default(),
            dropped: Mutex::default(),
            timer: Arc::new(Timer::new(clock)),
            cfg: Cfg::default(),
            phase: CurrentPhase::default(),
            gone: Mutex::default(),
        }
    }

    /// The spaces of the queue; None before it has started.
    pub(super) fn services(&self) -> Option<&Services> {
        self.services.get()
    }

    /// Says where the spaces of the queue are. Later calls do nothing.
    pub(super) fn set_services(&self, services: Services) -> &Services {
        self.services.get_or_init(|| services)
    }

    /// A tube that is known already. Whoever uses it checks it with [`Self::is_current`].
    #[inline]
    pub(super) fn known(&self, name: &str) -> Option<Arc<Tube>> {
        self.by_name.read().get(name).cloned()
    }

    /// Tells whether a tube is still what `_queue` says.
    #[inline]
    pub(super) fn is_current(&self, db: &Database, tube: &Arc<Tube>) -> bool {
        tube.is_checked(db.schema_version())
            || self.find(db, &tube.name).is_some_and(|found| Arc::ptr_eq(&found, tube))
    }

    /// Finds a tube, through `_queue` unless it is known and nothing has changed. None if there is none, if its space is
    /// gone, or if nothing here drives its type.
    pub(super) fn find(&self, db: &Database, name: &str) -> Option<Arc<Tube>> {
        let known = self.known(name).filter(|tube| tube.is_checked(db.schema_version()));
        known.or_else(|| self.look_up(db, name))
    }

    /// What `_queue` says of a tube; None as for [`Self::find`].
    fn read(&self, db: &Database, name: &str) -> Option<Tube> {
        let row = self.row(db, name)?;
        let space_id = db.space_id(row::text(row, 2))?;
        let driver = driver::find(row::text(row, 3))?;
        let settings = Settings::parse(row::raw(row, 4));
        let side_space_id = match driver.side_layout(&settings) {
            Some(layout) => Some(self.side_space(db, &buffer::name(name), layout)?),
            None => None,
        };
        let attempts = || self.side_space(db, &dead_letter::space_name(name), &dead_letter::LAYOUT);
        let attempts_space_id = settings.rule.as_ref().and_then(|_| attempts());
        let id = row::uint(row, 1);
        let place = Place { name, id, space_id, side_space_id, attempts_space_id, row };
        Some(Tube::new(place, driver, settings, self.timer.clone()))
    }

    /// The space of a name, if it can be one that lies beside a tube's own: it has the layout and is no tube's.
    fn side_space(&self, db: &Database, name: &str, layout: &Layout) -> Option<u32> {
        let space = db.known_space(db.space_id(name)?)?;
        (layout.is_of(space) && self.row(db, name).is_none()).then_some(space.def.id)
    }

    /// Makes a space that lies beside a tube's own, unless it is there; gives its id.
    ///
    /// # Errors
    /// What the schema refuses; PROC_LUA if a space of its name is something else.
    pub(super) fn create_side_space(
        &self,
        txn: &mut Txn<'_>,
        space: NewSpace<'_>,
        layout: &Layout,
    ) -> Result<u32> {
        if txn.db().space_id(space.name).is_none() {
            return ddl::create_space(txn, space, layout);
        }
        let known = self.side_space(txn.db(), space.name, layout);
        known.ok_or_else(|| err!(PROC_LUA, format!("Space '{}' already exists", space.name)))
    }

    fn look_up(&self, db: &Database, name: &str) -> Option<Arc<Tube>> {
        let found = self.read(db, name);
        if db.interactive().is_some() {
            // What an open transaction sees is not what others are to find.
            let found = found?;
            let known = self.known(name).filter(|known| known.is_same(&found));
            return Some(known.unwrap_or_else(|| Arc::new(found)));
        }
        let mut by_name = self.by_name.write();
        let Some(found) = found else {
            if let Some(gone) = by_name.remove(name) {
                gone.call_all();
                self.timer.cancel(Due::Tube(gone.id));
                self.keep_dropped(gone);
            }
            return None;
        };
        let known = by_name.get(name).cloned();
        let known = match known {
            Some(known) if known.is_restored(&found) => Some(known),
            known => match self.restored(&found) {
                Some(restored) => {
                    by_name.insert(name.into(), restored.clone());
                    known.into_iter().for_each(|gone| gone.call_all());
                    restored.look_soon();
                    Some(restored)
                }
                None => known,
            },
        };
        let tube = match known {
            Some(known) if known.is_same(&found) => known,
            replaced => {
                let found = Arc::new(found);
                by_name.insert(name.into(), found.clone());
                replaced.into_iter().for_each(|gone| gone.call_all());
                found.look_soon();
                found
            }
        };
        tube.set_checked(db.schema_version());
        Some(tube)
    }

    /// Keeps a tube that is not there any more until it is known that it will not be restored.
    fn keep_dropped(&self, tube: Arc<Tube>) {
        /// The most tubes that are kept so. Whoever drops one takes it out; one that is dropped by hand stays.
        const DROPPED_MAX: usize = 100;
        let mut dropped = self.dropped.lock();
        if dropped.len() == DROPPED_MAX {
            dropped.remove(0);
        }
        dropped.push(tube);
    }

    /// The tube that was made from the very row of `_queue` that another is made from now: its drop was rolled back.
    fn restored(&self, found: &Tube) -> Option<Arc<Tube>> {
        let mut dropped = self.dropped.lock();
        let at = dropped.iter().position(|tube| tube.is_restored(found))?;
        Some(dropped.remove(at))
    }

    /// A tube is dropped for good.
    pub(super) fn forget_dropped(&self, tube: &Arc<Tube>) {
        self.dropped.lock().retain(|dropped| !Arc::ptr_eq(dropped, tube));
    }

    /// Calls whoever waits at any tube: tasks may be READY again that nobody was called for.
    pub(super) fn call_all(&self) {
        self.by_name.read().values().for_each(|tube| tube.call_all());
    }

    /// Every tube that is known.
    pub(super) fn known_all(&self) -> Vec<Arc<Tube>> {
        self.by_name.read().values().cloned().collect()
    }

    /// The tubes that work on one may be at work on: itself, and the one to which its dead letters go.
    pub(super) fn reach(&self, tube: &Arc<Tube>) -> impl Iterator<Item = Arc<Tube>> + use<> {
        let name = tube.settings.rule.as_ref().and_then(Rule::dead_letter);
        std::iter::once(tube.clone()).chain(name.and_then(|name| self.known(name)))
    }

    /// A transaction has failed that may have been at work on any tube.
    pub(super) fn doubt(&self) {
        self.by_name.read().values().for_each(|tube| tube.doubt());
    }

    /// Finds a tube by its number.
    pub(super) fn find_by_id(&self, db: &Database, id: u64) -> Option<Arc<Tube>> {
        let tubes = db.space(self.services.get()?.queue).ok()?;
        let key = row::uint_key(id);
        let row = tubes.index(TUBE_ID_INDEX).ok()?.get(&Key::from_array(&key))?;
        self.find(db, row::text(row, 0))
    }

    /// The row of `_queue` of a tube.
    pub(super) fn row<'db>(&self, db: &'db Database, name: &str) -> Option<&'db Tuple> {
        let tubes = db.space(self.services.get()?.queue).ok()?;
        tubes.primary().ok()?.get(&Key::from_array(&row::str_key(name.as_bytes())))
    }

    /// Every tube of `_queue` that is driven, by name.
    pub(super) fn all(&self, db: &Database) -> Vec<Arc<Tube>> {
        let tubes = self.services.get().and_then(|services| db.space(services.queue).ok());
        let primary = tubes.and_then(|tubes| tubes.primary().ok());
        let rows = primary.into_iter().flat_map(Index::iter);
        rows.filter_map(|row| self.find(db, row::text(row, 0))).collect()
    }
}

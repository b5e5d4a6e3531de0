//! The functions of the module itself: `queue.create_tube`, `queue.tube`, `queue.statistics`, `queue.identify`,
//! `queue.cfg`, `queue.state`.
//!
//! Source: queue/abstract.lua `method.*`, queue/init.lua.

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use lycosa_proto::msgpack::{Token, write_array, write_map, write_str, write_uint};

use super::buffer;
use super::cfg::{self, Change};
use super::ddl::{self, NewSpace};
use super::dead_letter;
use super::driver::{self, Driver};
use super::layout::TUBE_ID_INDEX;
use super::lua_text;
use super::options::TubeOptions;
use super::row;
use super::sessions;
use super::statistics::Snapshot;
use super::timer::Due;
use super::tubes::{Services, Tubes};
use crate::db::access::ADMIN;
use crate::db::space::Space;
use crate::db::{Database, Key, Tuple, Txn};
use crate::procs::{Args, Context, Running, Values};

/// One call of a function.
pub(super) struct Call {
    /// Who calls, of which instance.
    pub(super) context: Context,
    /// The tubes of the instance.
    pub(super) tubes: Arc<Tubes>,
    /// The spaces of the queue.
    pub(super) services: Services,
    /// What the client sent.
    pub(super) args: Args,
}

/// Begins a function, named without `queue.`; None if there is none of this name.
pub(super) fn begin(call: Call, function: &str) -> Option<Running> {
    Some(match function {
        "create_tube" => Box::pin(call.create_tube()),
        "tube" => ready(call.tube()),
        "statistics" | "stats" => ready(call.statistics()),
        "identify" => Box::pin(call.identify()),
        "cfg" => Box::pin(call.cfg()),
        "state" => ready(Ok(state(&call.tubes))),
        _ => return None,
    })
}

/// Begins a function or a method while the queue has not started, since the instance has never been writable.
pub(super) fn begin_before_start(tubes: &Tubes, name: &str, args: &Args) -> Running {
    ready(match name {
        "state" => Ok(state(tubes)),
        "cfg" => cfg_before_start(tubes, args),
        _ => Err(err!(PROC_LUA, "Please configure box.cfg{} in read/write mode first")),
    })
}

/// `state()`: the name of the phase.
fn state(tubes: &Tubes) -> Values {
    Values::from(tubes.phase.get().name())
}

/// `cfg(options)` where there are no spaces to change yet.
fn cfg_before_start(tubes: &Tubes, args: &Args) -> Result<Values> {
    match args.get(0).filter(|options| **options != [0xc0]) {
        None => return Ok(Values::one(|out| tubes.cfg.write(out))),
        Some(options) => tubes.cfg.change(&Change::parse(options)?),
    }
    Ok(Values::none())
}

/// A function that does not wait.
fn ready(result: Result<Values>) -> Running {
    Box::pin(std::future::ready(result))
}

impl Call {
    /// `create_tube(name, type, options)`: a map of name, type, tube_id, opts, for a new tube or one that was there.
    async fn create_tube(self) -> Result<Values> {
        if !self.tubes.phase.admits("create_tube") {
            return Ok(Values::none());
        }
        let tube_type = lua_text::of(self.args.get(1));
        let tube_type = &*String::from_utf8_lossy(&tube_type);
        let Some(name) = self.args.str(0) else {
            driver::get(tube_type)?;
            return Err(err!(KEY_PART_TYPE, 0, "string"));
        };
        let options = TubeOptions::parse(self.args.get(2))?;
        let uid = self.context.session.uid();
        let row = self.context.transaction_as(uid, |txn| {
            create_tube(txn, &self.tubes, &self.services, name, tube_type, &options)
        });
        let row = row.await?;
        Ok(Values::one(|out| {
            write_map(out, 4);
            for (key, field_no) in [("name", 0), ("type", 3), ("tube_id", 1), ("opts", 4)] {
                write_str(out, key);
                out.extend_from_slice(row::raw(&row, field_no));
            }
        }))
    }

    /// `tube()`: the names; `tube(name)`: whether there is such a tube.
    fn tube(&self) -> Result<Values> {
        match self.args.token(0) {
            Token::Nil => {
                let tubes = self.context.read(|db| self.tubes.all(db));
                Ok(Values::one(|out| {
                    write_array(out, tubes.len());
                    tubes.iter().for_each(|tube| write_str(out, &*tube.name));
                }))
            }
            Token::Str(bytes) => {
                let name = std::str::from_utf8(bytes).unwrap_or("");
                Ok(Values::from(self.context.read(|db| self.tubes.find(db, name)).is_some()))
            }
            _ => Err(err!(PROC_LUA, "argument #1 should be string or nil")),
        }
    }

    /// `statistics(name)`: those of a tube; `statistics()`: a map of those of all.
    fn statistics(&self) -> Result<Values> {
        let snapshots = self.context.read(|db| {
            let tubes = match self.args.token(0) {
                Token::Nil => self.tubes.all(db),
                _ => {
                    let name = self.args.str(0).unwrap_or("");
                    vec![self.tubes.find(db, name).ok_or_else(no_such_tube)?]
                }
            };
            let snapshots = tubes.into_iter().map(|tube| Snapshot::of(db, tube));
            snapshots.collect::<Result<Vec<_>>>()
        })?;
        Ok(Values::one(|out| match (self.args.token(0), &snapshots[..]) {
            (Token::Nil, _) => {
                write_map(out, snapshots.len());
                for snapshot in &snapshots {
                    write_str(out, snapshot.name());
                    snapshot.write(out);
                }
            }
            (_, of_one) => of_one.iter().for_each(|snapshot| snapshot.write(out)),
        }))
    }

    /// `cfg(options)`: no value; `cfg()`: a map of the settings.
    async fn cfg(self) -> Result<Values> {
        let Some(options) = self.args.get(0).filter(|options| **options != [0xc0]) else {
            return Ok(Values::one(|out| self.tubes.cfg.write(out)));
        };
        let change = Change::parse(options)?;
        if let Some(mode) =
            change.in_replicaset.filter(|mode| *mode != self.tubes.cfg.in_replicaset())
        {
            // A transaction of its own, also where another is open: settings are nothing that is rolled back.
            let set = self
                .context
                .instance
                .transaction(ADMIN, |txn| cfg::set_mode(txn, &self.tubes, &self.services, mode));
            set.await?;
        }
        self.tubes.cfg.change(&change);
        Ok(Values::none())
    }

    /// `identify(uuid)`: the 16 bytes of the session's UUID.
    async fn identify(self) -> Result<Values> {
        let connection_id = self.context.session.id;
        let open = self.context.open_transaction();
        if let Some(txn_id) = open {
            let tubes = self.tubes.clone();
            self.context.at_end(Arc::as_ptr(&tubes).addr(), move |is_committed| {
                tubes.known_all().iter().for_each(|tube| tube.end_open(txn_id, is_committed));
            });
            // Either may be without connections when the transaction has ended, which the timer is to find out then.
            let own = self.context.read(|db| sessions::of(db, &self.services, connection_id))?;
            let sessions = [own, sessions::id(self.args.token(0))];
            let timer = self.tubes.timer.clone();
            self.context.at_end(Arc::as_ptr(&self.context.session).addr(), move |_| {
                sessions.into_iter().flatten().for_each(|id| timer.schedule(Due::Session(id), 0));
            });
        }
        let session = self.context.transaction(|txn| {
            let wanted = self.args.token(0);
            let known = if open.is_some() { self.tubes.known_all() } else { Vec::new() };
            let aside: Vec<_> = known.iter().map(|tube| tube.set_aside()).collect();
            let session =
                sessions::identify(txn, &self.tubes, &self.services, connection_id, wanted);
            known.iter().zip(aside).for_each(|(tube, aside)| tube.put_back(aside));
            session.inspect_err(|_| self.tubes.doubt())
        });
        let session = session.await.inspect_err(|_| {
            if let Some(session) = sessions::id(self.args.token(0)) {
                // It may be inactive again, and nobody may have been told when it ends.
                self.tubes.timer.schedule(Due::Session(session), 0);
            }
        })?;
        Ok(Values::one(|out| write_str(out, session)))
    }
}

fn no_such_tube() -> Error {
    err!(PROC_LUA, "Tube not found")
}

/// Creates a tube; gives its row of `_queue`. What is checked comes in the rock's order.
fn create_tube(
    txn: &mut Txn<'_>,
    tubes: &Tubes,
    services: &Services,
    name: &str,
    tube_type: &str,
    options: &TubeOptions,
) -> Result<Tuple> {
    if options.if_not_exists
        && tubes.find(txn.db(), name).is_some()
        && let Some(row) = tubes.row(txn.db(), name)
    {
        return Ok(row.clone());
    }
    if options.is_temporary && cfg::is_in_replicaset(txn.db(), services) {
        return Err(err!(PROC_LUA, "Cannot create temporary tube in replicaset mode"));
    }
    let driver = driver::get(tube_type)?;
    let space = txn.db().space_by_name(name).ok();
    if space.is_some() && !options.if_not_exists {
        return Err(err!(PROC_LUA, format!("Space '{name}' already exists")));
    }
    if let Some(row) = tubes.row(txn.db(), name) {
        // Known, yet not found above: nothing drives its type, or its space is gone.
        driver::get(row::text(row, 3))?;
        return Err(err!(PROC_LUA, format!("Space '{name}' doesn't exists")));
    }
    options.check(name)?;
    let is_new = space.is_none();
    let (engine, is_temporary) = (&*options.engine, options.is_temporary);
    match space {
        Some(space) => check_space(space, driver)?,
        None => {
            driver.check(options)?;
            ddl::create_space(txn, NewSpace { name, engine, is_temporary }, driver.layout())?;
        }
    }
    let mut side_spaces = Vec::new();
    if let Some(layout) = driver.side_layout(&options.settings()) {
        let space = NewSpace { name: &buffer::name(name), engine, is_temporary };
        side_spaces.push(tubes.create_side_space(txn, space, layout)?);
    }
    if options.settings().rule.is_some() {
        side_spaces.push(dead_letter::create_space(txn, tubes, name, is_temporary)?);
    }
    if is_new {
        // A server that does not know them may have dropped the tube and left them.
        side_spaces.into_iter().try_for_each(|space_id| ddl::clear(txn, space_id))?;
    }
    let stored = options.stored(driver.has_times());
    let mut row = Vec::with_capacity(64 + name.len() + stored.len());
    write_array(&mut row, 5);
    write_str(&mut row, name);
    write_uint(&mut row, next_tube_id(txn.db(), services)?);
    write_str(&mut row, name);
    write_str(&mut row, driver.name());
    row.extend_from_slice(&stored);
    txn.insert(services.queue, &row)
}

/// A space that somebody else made must have the driver's indexes.
fn check_space(space: &Space, driver: &dyn Driver) -> Result<()> {
    let missing = driver.layout().indexes.iter().find(|i| space.index_by_name(i.name).is_err());
    match missing {
        None => Ok(()),
        Some(index) => {
            let (space, index) = (&*space.def.name, index.name);
            Err(err!(PROC_LUA, format!("space \"{space}\" does not have \"{index}\" index")))
        }
    }
}

/// One more than the largest number of a tube.
fn next_tube_id(db: &Database, services: &Services) -> Result<u64> {
    let numbers = db.space(services.queue)?.index(TUBE_ID_INDEX)?;
    let last = numbers.select(lycosa_proto::iproto::Iterator::Le, Key::EMPTY).next();
    Ok(last.map_or(0, |row| row::uint(row, 1) + 1))
}

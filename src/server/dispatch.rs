//! Requests to replies: the one path that all take.
//!
//! A [`Run`] is a stretch of requests of one connection under one hold of the database lock: shared while they read,
//! exclusive from the first that writes on. Each is checked in Tarantool's order: form, type, schema version, rights.
//!
//! Source: protocol.md §3, §4; Tarantool `src/box/iproto.cc` tx_process*.

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use lycosa_proto::iproto::{
    self, Body, Data, Feature, Header, Reply, key, request_type, write_empty, write_error,
    write_event, write_id,
};
use lycosa_proto::msgpack::{
    self, Token, write_array, write_bool, write_map, write_str, write_uint,
};
use parking_lot::RwLockReadGuard;

use super::connection::Call;
use super::{Shared, auth, refused, tuple_extension};
use crate::db::access::{Object, ObjectType};
use crate::db::build::Build;
use crate::db::index::After;
use crate::db::journal::Ticket;
use crate::db::schema;
use crate::db::schema::space_id::SESSION_SETTINGS;
use crate::db::select::{Page, WALK_MAX};
use crate::db::{Database, Select, Tuple, Txn};
use crate::instance::{WriteGuard, now};
use crate::procs::{Args, Context, Session, Values};
use crate::stat::{Counter, Counters};
use crate::watcher::Watcher;

/// The version of the protocol that IPROTO_ID tells.
const PROTOCOL_VERSION: u64 = 10;
/// What IPROTO_ID offers: what works.
const FEATURES: &[Feature] = &[
    Feature::ERROR_EXTENSION,
    Feature::WATCHERS,
    Feature::PAGINATION,
    Feature::SPACE_AND_INDEX_NAMES,
    Feature::WATCH_ONCE,
    Feature::DML_TUPLE_EXTENSION,
    Feature::CALL_ARG_TUPLE_EXTENSION,
    Feature::INSERT_ARROW,
];

/// A hold of the database lock.
enum Guard<'a> {
    None,
    Read(RwLockReadGuard<'a, Database>),
    Write(WriteGuard<'a>),
}

/// A write whose reply must not leave before its ticket is settled.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingWrite {
    /// The ticket.
    pub(super) ticket: Ticket,
    /// The request.
    pub(super) sync: u64,
    /// Where its reply stands in the output.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
}

/// A stretch of requests.
pub(super) struct Run<'a> {
    shared: &'a Arc<Shared>,
    session: &'a Arc<Session>,
    guard: Guard<'a>,
    /// What the thread counts.
    counters: &'a Counters,
    /// What the connection watches; None before its first WATCH.
    watcher: &'a mut Option<Box<Watcher>>,
    /// The output buffer.
    out: &'a mut Vec<u8>,
    /// Writes of this stretch, in order.
    writes: &'a mut Vec<PendingWrite>,
    /// The time of this stretch.
    now: Option<f64>,
    /// The connection is to be closed after this reply.
    is_last: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        shared: &'a Arc<Shared>,
        session: &'a Arc<Session>,
        counters: &'a Counters,
        watcher: &'a mut Option<Box<Watcher>>,
        out: &'a mut Vec<u8>,
        writes: &'a mut Vec<PendingWrite>,
    ) -> Self {
        Self {
            shared,
            session,
            guard: Guard::None,
            counters,
            watcher,
            out,
            writes,
            now: None,
            is_last: false,
        }
    }

    /// Bytes of replies so far.
    pub(super) fn output_bytes(&self) -> usize {
        self.out.len()
    }

    /// True if nothing that follows is to be answered.
    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    /// Lets go of the lock, so that others get it between long stretches.
    pub(super) fn release(&mut self) {
        self.guard = Guard::None;
    }

    #[inline]
    fn db(&mut self) -> &Database {
        if matches!(self.guard, Guard::None) {
            self.guard = Guard::Read(self.shared.instance.read());
        }
        match &self.guard {
            Guard::Read(guard) => guard,
            Guard::Write(guard) => guard,
            Guard::None => unreachable!("the lock was just taken"),
        }
    }

    #[inline]
    fn db_mut(&mut self) -> &mut Database {
        if !matches!(self.guard, Guard::Write(_)) {
            self.guard = Guard::None;
            self.guard = Guard::Write(self.shared.instance.write());
        }
        match &mut self.guard {
            Guard::Write(guard) => guard,
            _ => unreachable!("the lock was just taken"),
        }
    }

    /// Answers one packet (its bytes after the length). A call that has begun is returned.
    #[inline]
    pub(super) fn packet(&mut self, packet: &[u8]) -> Option<Call> {
        match Header::decode(packet) {
            Ok(header) => self.request(&header),
            Err((sync, error)) => {
                self.fail(sync, &error);
                None
            }
        }
    }

    /// Writes an error packet.
    #[cold]
    pub(super) fn fail(&mut self, sync: u64, error: &Error) {
        self.counters.add(Counter::ERROR, 1);
        let version = self.db().schema_version();
        write_error(self.out, sync, version, error);
    }

    #[inline]
    fn request(&mut self, header: &Header<'_>) -> Option<Call> {
        self.counters.add(Counter::request(header.request_type), 1);
        let start = self.out.len();
        let done = match header.request_type {
            request_type::SELECT => self.select(header),
            request_type::INSERT
            | request_type::REPLACE
            | request_type::UPDATE
            | request_type::DELETE
            | request_type::UPSERT => match self.write(header, start) {
                Ok(None) => Ok(()),
                Ok(call) => return call,
                Err(error) => Err(error),
            },
            request_type::PING => self.check_version(header).map(|()| self.empty(header)),
            request_type::CALL | request_type::CALL_16 => match self.call(header) {
                Ok(call) => return Some(call),
                Err(error) => Err(error),
            },
            request_type::AUTH => self.auth(header),
            request_type::ID => self.id(header),
            request_type::WATCH | request_type::UNWATCH | request_type::WATCH_ONCE => {
                self.watch(header)
            }
            request_type::VOTE => self.check_version(header).map(|()| self.vote(header)),
            request_type::VOTE_DEPRECATED => {
                self.check_version(header).map(|()| self.vote_deprecated(header))
            }
            _ => self.check_version(header).and_then(|()| Err(self.refuse(header))),
        };
        match done {
            Err(error) => {
                self.out.truncate(start);
                self.fail(header.sync, &error);
            }
            Ok(()) if self.session.has(Feature::DML_TUPLE_EXTENSION) => {
                self.extend_tuples(header, start);
            }
            Ok(()) => {}
        }
        None
    }

    #[cold]
    fn refuse(&mut self, header: &Header<'_>) -> Error {
        // A replica that cannot subscribe is not to send anything else.
        self.is_last = header.request_type == request_type::SUBSCRIBE;
        let uid = self.session.uid();
        refused::refuse(self.db(), uid, header.request_type, header.body)
    }

    /// Writes the tuples of the reply at `start` anew, with their format.
    #[cold]
    fn extend_tuples(&mut self, header: &Header<'_>, start: usize) {
        let (request_type::SELECT
        | request_type::INSERT
        | request_type::REPLACE
        | request_type::UPDATE
        | request_type::DELETE
        | request_type::UPSERT) = header.request_type
        else {
            return;
        };
        let db = self.db();
        let space_id = Body::decode(header.body).and_then(|body| resolve_space(db, &body));
        let Ok(space_id) = space_id else { return };
        let format = schema::space_format(db, space_id).unwrap_or(&[0x90]).to_vec();
        tuple_extension::rewrite(self.out, start, u64::from(space_id), &format);
        if let Some(write) = self.writes.last_mut().filter(|write| write.start == start) {
            write.end = self.out.len();
        }
    }

    #[inline]
    fn check_version(&mut self, header: &Header<'_>) -> Result<()> {
        let current = self.db().schema_version();
        if header.schema_version == 0 || header.schema_version == current {
            return Ok(());
        }
        // The two stand the wrong way round in Tarantool's text too.
        Err(err!(WRONG_SCHEMA_VERSION, header.schema_version, current))
    }

    fn empty(&mut self, header: &Header<'_>) {
        let version = self.db().schema_version();
        write_empty(self.out, header.sync, version);
    }

    #[inline]
    fn select(&mut self, header: &Header<'_>) -> Result<()> {
        let body = Body::decode(header.body)?;
        body.require(&[key::SPACE_ID, key::LIMIT, key::KEY])?;
        self.check_version(header)?;
        let uid = self.session.uid();
        self.db();
        let (db, out) = match &self.guard {
            Guard::Read(guard) => (&**guard, &mut *self.out),
            Guard::Write(guard) => (&**guard, &mut *self.out),
            Guard::None => unreachable!("the lock was just taken"),
        };
        let space_id = resolve_space(db, &body)?;
        let select = Select {
            space_id,
            index_id: resolve_index(db, space_id, &body)?,
            iterator: body.iterator,
            offset: body.offset,
            limit: body.limit,
            key: body.key.unwrap_or(&[0x90]),
        };
        let page = page_of(&body);
        if page.fetch_position || page.after.is_some() {
            return self.select_page(header, &select, &page);
        }
        let reply = Reply::start(out, 0, header.sync, db.schema_version());
        let data = Data::start(out);
        if space_id == SESSION_SETTINGS {
            let settings = self.session.settings.lock();
            let each = |row: &Tuple| out.extend_from_slice(row.data());
            let count = settings.select(db, uid, &select, each)?;
            data.finish(out, count);
            reply.finish(out);
            return Ok(());
        }
        let walked = Select { limit: select.limit.min(WALK_MAX + 1), ..select };
        let mut count = 0;
        if select.offset <= WALK_MAX {
            count = db.select(uid, &walked, |tuple| out.extend_from_slice(tuple.data()))?;
        }
        if (count > WALK_MAX && select.limit > count) || select.offset > WALK_MAX {
            reply.cancel(out);
            return self.long_select(header, &select, &page);
        }
        data.finish(out, count);
        reply.finish(out);
        Ok(())
    }

    /// A SELECT that begins after a position or asks for one.
    #[cold]
    fn select_page(
        &mut self,
        header: &Header<'_>,
        select: &Select<'_>,
        page: &Page<'_>,
    ) -> Result<()> {
        if select.offset.saturating_add(select.limit) > WALK_MAX {
            return self.long_select(header, select, page);
        }
        let uid = self.session.uid();
        self.db();
        let (db, out) = match &self.guard {
            Guard::Read(guard) => (&**guard, &mut *self.out),
            Guard::Write(guard) => (&**guard, &mut *self.out),
            Guard::None => unreachable!("the lock was just taken"),
        };
        let reply = Reply::start(out, 0, header.sync, db.schema_version());
        let data = Data::start(out);
        let selected =
            db.select_page(uid, select, page, |tuple| out.extend_from_slice(tuple.data()))?;
        data.finish_page(out, selected.count, selected.position.as_deref());
        reply.finish(out);
        Ok(())
    }

    /// A SELECT over many tuples: takes a read view and lets go of the lock.
    #[cold]
    fn long_select(
        &mut self,
        header: &Header<'_>,
        select: &Select<'_>,
        page: &Page<'_>,
    ) -> Result<()> {
        let uid = self.session.uid();
        let db = self.db();
        let version = db.schema_version();
        let view = db.long_select(uid, select, page)?;
        self.release();
        let reply = Reply::start(self.out, 0, header.sync, version);
        let data = Data::start(self.out);
        let each = |tuple: &Tuple| self.out.extend_from_slice(tuple.data());
        let selected = match &view {
            Some(view) => view.run(select, each),
            None => self.shared.instance.read().select_page(uid, select, page, each)?,
        };
        data.finish_page(self.out, selected.count, selected.position.as_deref());
        reply.finish(self.out);
        Ok(())
    }

    /// A write. One that has much to build goes on beside the connection, as a call does.
    #[inline]
    fn write(&mut self, header: &Header<'_>, start: usize) -> Result<Option<Call>> {
        let body = Body::decode(header.body)?;
        body.require(match header.request_type {
            request_type::INSERT | request_type::REPLACE => &[key::SPACE_ID, key::TUPLE],
            request_type::UPDATE => &[key::SPACE_ID, key::KEY, key::TUPLE],
            request_type::UPSERT => &[key::SPACE_ID, key::TUPLE, key::OPS],
            _ => &[key::SPACE_ID, key::KEY],
        })?;
        self.db_mut();
        self.check_version(header)?;
        let uid = self.session.uid();
        let now = *self.now.get_or_insert_with(now);
        let db = self.db_mut();
        let space_id = resolve_space(db, &body)?;
        let index_id = match header.request_type {
            request_type::UPDATE | request_type::DELETE => resolve_index(db, space_id, &body)?,
            _ => 0,
        };
        if space_id == SESSION_SETTINGS && header.request_type == request_type::UPDATE {
            return self.update_settings(header, index_id, &body).map(|()| None);
        }
        let mut txn = db.begin(uid, now);
        let request = (header.request_type, space_id, index_id);
        let tuple = if matches!(space_id, schema::space_id::SPACE | schema::space_id::INDEX) {
            txn.allow_postponing();
            match change(&mut txn, request, &body) {
                Ok(tuple) => tuple,
                Err(error) => {
                    let build = txn.take_postponed().ok_or(error)?;
                    drop(txn);
                    return Ok(Some(self.define(header, request, build)));
                }
            }
        } else {
            change(&mut txn, request, &body)?
        };
        let ticket = txn.commit();
        let version = db.schema_version();
        let reply = Reply::start(self.out, 0, header.sync, version);
        let data = Data::start(self.out);
        if let Some(tuple) = &tuple {
            self.out.extend_from_slice(tuple.data());
        }
        data.finish(self.out, u32::from(tuple.is_some()));
        reply.finish(self.out);
        self.writes.push(PendingWrite { ticket, sync: header.sync, start, end: self.out.len() });
        Ok(None)
    }

    /// A definition that has much to build.
    #[cold]
    fn define(&mut self, header: &Header<'_>, request: (u64, u32, u32), build: Build) -> Call {
        self.release();
        let (instance, uid) = (self.shared.instance.clone(), self.session.uid());
        let bytes = header.body.to_vec();
        let running = async move {
            let body = |txn: &mut Txn<'_>| change(txn, request, &Body::decode(&bytes)?);
            let tuple = instance.finish_definition(uid, build, body).await?;
            Ok(tuple.map_or_else(Values::none, |tuple| Values::raw(tuple.data())))
        };
        Call { sync: header.sync, is_call_16: false, running: Box::pin(running) }
    }

    /// An UPDATE of what only this session has.
    #[cold]
    fn update_settings(
        &mut self,
        header: &Header<'_>,
        index_id: u32,
        body: &Body<'_>,
    ) -> Result<()> {
        let (key, ops) = (body.key.unwrap_or(&[0x90]), body.tuple.unwrap_or(&[0x90]));
        let session = self.session;
        let db = self.db();
        let version = db.schema_version();
        let updated =
            session.settings.lock().update(db, session.uid(), index_id, key, ops, body.index_base);
        let row = updated?;
        let count = u32::from(row.is_some());
        let bytes = row.as_ref().map_or(&[][..], Tuple::data);
        iproto::write_data(self.out, header.sync, version, count, bytes);
        Ok(())
    }

    fn call(&mut self, header: &Header<'_>) -> Result<Call> {
        if header.body.is_empty() {
            return Err(err!(INVALID_MSGPACK, "missing request body"));
        }
        let body = Body::decode(header.body)?;
        body.require(&[key::FUNCTION_NAME])?;
        self.check_version(header)?;
        let name = body.function_name.unwrap_or_default();
        let uid = self.session.uid();
        let text = String::from_utf8_lossy(name);
        let db = self.db();
        let row = schema::function_by_name(db, &text);
        let function = row.map(|row| Object {
            object_type: ObjectType::Function,
            id: row.id,
            owner: row.owner,
            name: &text,
        });
        db.access().check_call(uid, &text, function.as_ref())?;
        // A procedure may write: the lock must be free when it is polled.
        self.release();
        let context =
            Context { instance: self.shared.instance.clone(), session: self.session.clone() };
        let args = body.tuple.unwrap_or(&[0x90]);
        let plain = match body.has(key::TUPLE_FORMATS) {
            true => tuple_extension::plain(args),
            false => None,
        };
        let args = Args::new(plain.as_deref().unwrap_or(args));
        let running = self
            .shared
            .registry
            .call(&context, &text, args)
            .ok_or_else(|| err!(NO_SUCH_PROC, &*text))?;
        Ok(Call {
            sync: header.sync,
            is_call_16: header.request_type == request_type::CALL_16,
            running,
        })
    }

    fn auth(&mut self, header: &Header<'_>) -> Result<()> {
        if header.body.is_empty() {
            return Err(err!(INVALID_MSGPACK, "missing request body"));
        }
        let body = Body::decode(header.body)?;
        body.require(&[key::USER_NAME, key::TUPLE])?;
        self.check_version(header)?;
        let session = self.session;
        auth::authenticate(self.db(), session, &body)?;
        self.empty(header);
        Ok(())
    }

    fn id(&mut self, header: &Header<'_>) -> Result<()> {
        let bad = || err!(INVALID_MSGPACK, "request body");
        if msgpack::read_map(&mut { header.body }).is_err() {
            return Err(bad());
        }
        let mut features: &[u8] = &[0x90];
        for (name, value) in msgpack::pairs(header.body) {
            let token = msgpack::read(&mut { value }).unwrap_or(Token::Nil);
            match (msgpack::read(&mut { name }), token) {
                (Ok(Token::Uint(key::VERSION)), Token::Uint(_)) => {}
                (Ok(Token::Uint(key::FEATURES)), Token::Array(_)) => {
                    let is_uint = |item: &[u8]| msgpack::read_uint(&mut { item }).is_ok();
                    if !msgpack::items(value).all(is_uint) {
                        return Err(bad());
                    }
                    features = value;
                }
                (Ok(Token::Uint(key::AUTH_TYPE)), Token::Str(_)) => {}
                (Ok(Token::Uint(key::VERSION | key::FEATURES | key::AUTH_TYPE)), _) => {
                    return Err(bad());
                }
                _ => {}
            }
        }
        self.check_version(header)?;
        let numbers =
            msgpack::items(features).filter_map(|mut item| msgpack::read_uint(&mut item).ok());
        self.session.set_features(numbers.map(Feature));
        let version = self.db().schema_version();
        let reply = Reply::start(self.out, 0, header.sync, version);
        write_id(self.out, PROTOCOL_VERSION, FEATURES, auth::METHOD);
        reply.finish(self.out);
        Ok(())
    }

    /// WATCH and UNWATCH have no reply of their own; a WATCH may send an event at once.
    fn watch(&mut self, header: &Header<'_>) -> Result<()> {
        if header.body.is_empty() {
            return Err(err!(INVALID_MSGPACK, "missing request body"));
        }
        let body = Body::decode(header.body)?;
        body.require(&[key::EVENT_KEY])?;
        self.check_version(header)?;
        let name = body.event_key.unwrap_or_default();
        let watchable = self.shared.instance.watchable();
        match header.request_type {
            request_type::WATCH => {
                let watcher = self.watcher.get_or_insert_with(|| Watcher::new(watchable).into());
                return watcher.watch(name, header.sync, |event| {
                    write_event(self.out, event.sync, event.key, event.value);
                });
            }
            request_type::UNWATCH => {
                self.watcher.iter_mut().for_each(|watcher| watcher.unwatch(name));
            }
            _ => {
                let value = watchable.value(name);
                let version = self.db().schema_version();
                let count = u32::from(value.is_some());
                let bytes = value.as_deref().unwrap_or_default();
                iproto::write_data(self.out, header.sync, version, count, bytes);
            }
        }
        Ok(())
    }

    fn vote(&mut self, header: &Header<'_>) {
        let db = self.db();
        let (version, vclock) = (db.schema_version(), db.vclock().clone());
        let instance = self.shared.instance.uuid().to_string();
        let out = &mut *self.out;
        let reply = Reply::start(out, 0, header.sync, version);
        write_map(out, 1);
        write_uint(out, key::BALLOT);
        write_map(out, 9);
        let flag = |out: &mut Vec<u8>, name: u64, value: bool| {
            write_uint(out, name);
            write_bool(out, value);
        };
        // is_ro_cfg, is_ro, is_anon, is_booted, vclock, gc_vclock, can_lead, leader's uuid, registered uuids
        flag(out, 1, false);
        flag(out, 4, false);
        flag(out, 5, false);
        flag(out, 6, true);
        for name in [2, 3] {
            write_uint(out, name);
            write_vclock(out, &vclock);
        }
        flag(out, 7, false);
        write_uint(out, 8);
        write_str(out, &instance);
        write_uint(out, 9);
        write_array(out, 1);
        write_str(out, &instance);
        reply.finish(out);
    }

    fn vote_deprecated(&mut self, header: &Header<'_>) {
        let db = self.db();
        let (version, vclock) = (db.schema_version(), db.vclock().clone());
        let reply = Reply::start(self.out, 0, header.sync, version);
        write_map(self.out, 1);
        write_uint(self.out, key::VCLOCK);
        write_vclock(self.out, &vclock);
        reply.finish(self.out);
    }
}

/// Carries out a write of a type to a space, by an index; gives the tuple that the reply has.
#[inline]
fn change(
    txn: &mut Txn<'_>,
    (request_type, space_id, index_id): (u64, u32, u32),
    body: &Body<'_>,
) -> Result<Option<Tuple>> {
    let (key, tuple) = (body.key.unwrap_or(&[0x90]), body.tuple.unwrap_or(&[0x90]));
    match request_type {
        request_type::INSERT => txn.insert(space_id, tuple).map(Some),
        request_type::REPLACE => txn.replace(space_id, tuple).map(Some),
        request_type::UPDATE => txn.update(space_id, index_id, key, tuple, body.index_base),
        request_type::DELETE => txn.delete(space_id, index_id, key),
        _ => {
            txn.upsert(space_id, tuple, body.ops.unwrap_or(&[0x90]), body.index_base)?;
            Ok(None)
        }
    }
}

fn write_vclock(out: &mut Vec<u8>, vclock: &crate::db::journal::Vclock) {
    write_map(out, vclock.iter().count());
    for (id, lsn) in vclock.iter() {
        write_uint(out, u64::from(id));
        write_uint(out, lsn);
    }
}

/// The space of a request: its name wins over its id.
#[inline]
fn resolve_space(db: &Database, body: &Body<'_>) -> Result<u32> {
    let Some(name) = body.space_name else { return Ok(body.space_id) };
    let name = String::from_utf8_lossy(name);
    db.space_id(&name).ok_or_else(|| err!(NO_SUCH_SPACE, &*name))
}

/// The index of a request: its name wins over its id.
#[inline]
fn resolve_index(db: &Database, space_id: u32, body: &Body<'_>) -> Result<u32> {
    let Some(name) = body.index_name else { return Ok(body.index_id) };
    let index = db.space(space_id)?.index_by_name(&String::from_utf8_lossy(name))?;
    Ok(index.def.id)
}

/// The page that a SELECT asks for: AFTER_POSITION wins over AFTER_TUPLE.
#[inline]
fn page_of<'a>(body: &Body<'a>) -> Page<'a> {
    let position = body.after_position.map(After::Position);
    let after = position.or_else(|| body.after_tuple.map(After::Tuple));
    Page { after, fetch_position: body.fetch_position }
}

/// Writes the reply of a call that has ended.
pub(super) fn finish_call(shared: &Shared, counters: &Counters, out: &mut Vec<u8>, call: CallEnd) {
    let version = shared.instance.read().schema_version();
    match call.result {
        Ok(values) => {
            let values = if call.is_call_16 { values.into_call_16() } else { values };
            iproto::write_data(out, call.sync, version, values.count(), values.bytes());
        }
        Err(error) => {
            counters.add(Counter::ERROR, 1);
            write_error(out, call.sync, version, &error);
        }
    }
}

/// How a call ended.
pub(super) struct CallEnd {
    pub(super) sync: u64,
    pub(super) is_call_16: bool,
    pub(super) result: Result<crate::procs::Values>,
}

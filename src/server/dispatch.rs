//! Requests to replies: the one path that all take.
//!
//! A [`Run`] is a stretch of requests of one connection under one hold of the database lock: shared while they read,
//! exclusive from the first that writes on. Each is checked in Tarantool's order: form, type, schema version, rights.
//!
//! Source: protocol.md §3, §4; Tarantool `src/box/iproto.cc` tx_process*.

mod select;
mod session;

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Arg, Error, Result};
use lycosa_proto::iproto::{
    self, Body, Data, Feature, Header, Reply, key, request_type, write_empty, write_error,
};
use parking_lot::RwLockReadGuard;

use super::connection::Call;
use super::streams::Streams;
use super::{Shared, refused, tuple_extension};
use crate::db::access::{Object, ObjectType};
use crate::db::build::Build;
use crate::db::journal::Ticket;
use crate::db::schema;
use crate::db::schema::space_id::SESSION_SETTINGS;
use crate::db::{Database, Statement, Tuple, Txn};
use crate::instance::{Building, WriteGuard, now};
use crate::procs::{Args, Begun, Context, Session, StreamTransaction, Tuples, Values};
use crate::stat::{Counter, Counters};
use crate::watcher::Watcher;

/// The keys of a CALL and of an EVAL.
pub(super) const CALL_KEYS: &[u64] =
    &[key::FUNCTION_NAME, key::EXPR, key::TUPLE, key::TUPLE_FORMATS];

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
    pub(super) shared: &'a Arc<Shared>,
    pub(super) session: &'a Arc<Session>,
    guard: Guard<'a>,
    /// What the thread counts.
    counters: &'a Counters,
    /// What the connection watches; None before its first WATCH.
    watcher: &'a mut Option<Box<Watcher>>,
    /// The output buffer.
    pub(super) out: &'a mut Vec<u8>,
    /// Replies of this stretch that wait for the journal, in order.
    pub(super) writes: &'a mut Vec<PendingWrite>,
    /// The streams of the connection.
    pub(super) streams: &'a mut Streams,
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
        streams: &'a mut Streams,
    ) -> Self {
        Self {
            shared,
            session,
            guard: Guard::None,
            counters,
            watcher,
            out,
            writes,
            streams,
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
    pub(super) fn db_mut(&mut self) -> &mut Database {
        if !matches!(self.guard, Guard::Write(_)) {
            self.guard = Guard::None;
            self.guard = Guard::Write(self.shared.instance.write());
        }
        match &mut self.guard {
            Guard::Write(guard) => guard,
            _ => unreachable!("the lock was just taken"),
        }
    }

    /// The database to read and the output, both at once.
    #[inline]
    fn split_read(&mut self) -> (&Database, &mut Vec<u8>) {
        self.db();
        match &self.guard {
            Guard::Read(guard) => (guard, self.out),
            Guard::Write(guard) => (guard, self.out),
            Guard::None => unreachable!("the lock was just taken"),
        }
    }

    /// The database to write, the output and the streams, all at once.
    pub(super) fn split(&mut self) -> (&mut Database, &mut Vec<u8>, &mut Streams) {
        self.db_mut();
        match &mut self.guard {
            Guard::Write(guard) => (guard, self.out, self.streams),
            _ => unreachable!("the lock was just taken"),
        }
    }

    /// Answers one packet (its bytes after the length). A call that has begun is returned.
    #[inline]
    pub(super) fn packet(&mut self, packet: &[u8]) -> Option<Call> {
        match Header::decode(packet) {
            Ok(header) if header.stream_id == 0 => {
                self.count(&header);
                self.request(&header)
            }
            Ok(header) => self.request_in_stream(&header, packet),
            Err((sync, error)) => {
                self.fail(sync, error);
                None
            }
        }
    }

    /// Writes an error packet.
    #[cold]
    pub(super) fn fail(&mut self, sync: u64, error: Error) {
        self.counters.add(Counter::ERROR, 1);
        let version = self.db().schema_version();
        write_error(self.out, sync, version, &error);
        self.session.set_last_error(Some(error));
    }

    /// Counts a request whose turn has come.
    #[inline]
    pub(super) fn count(&self, header: &Header<'_>) {
        self.counters.add(Counter::request(header.request_type), 1);
    }

    /// Answers a request outside of any interactive transaction.
    #[inline]
    pub(super) fn request(&mut self, header: &Header<'_>) -> Option<Call> {
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
            request_type::CALL | request_type::CALL_16 => match self.call(header, start) {
                Ok(None) => Ok(()),
                Ok(call) => return call,
                Err(error) => Err(error),
            },
            request_type::BEGIN | request_type::COMMIT | request_type::ROLLBACK => {
                Err(out_of_stream(header.request_type))
            }
            request_type::AUTH => self.auth(header),
            request_type::ID => self.id(header),
            request_type::WATCH | request_type::UNWATCH | request_type::WATCH_ONCE => {
                self.watch(header)
            }
            request_type::VOTE => self.check_version(header).map(|()| self.vote(header)),
            request_type::VOTE_DEPRECATED => {
                self.check_version(header).map(|()| self.vote_deprecated(header))
            }
            _ => refused::decode(header)
                .and_then(|()| self.check_version(header))
                .and_then(|()| Err(self.refuse(header))),
        };
        self.finish(header, start, done);
        None
    }

    /// Gives the reply that begins at `start` its last form: an error takes its place, tuples get their format.
    #[inline]
    pub(super) fn finish(&mut self, header: &Header<'_>, start: usize, done: Result<()>) {
        match done {
            Err(error) => {
                self.out.truncate(start);
                self.fail(header.sync, error);
            }
            Ok(()) if self.session.has(Feature::DML_TUPLE_EXTENSION) => {
                self.extend_tuples(header, start);
            }
            Ok(()) => {}
        }
    }

    #[cold]
    fn refuse(&mut self, header: &Header<'_>) -> Error {
        // A replica that cannot subscribe is not to send anything else.
        self.is_last = header.request_type == request_type::SUBSCRIBE;
        let uid = self.session.uid();
        refused::refuse(self.db(), uid, header)
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
        let (db, out) = self.split_read();
        extend(db, out, start, Tuples::Each(space_id));
        if let Some(write) = self.writes.last_mut().filter(|write| write.start == start) {
            write.end = self.out.len();
        }
    }

    #[inline]
    pub(super) fn check_version(&mut self, header: &Header<'_>) -> Result<()> {
        let current = self.db().schema_version();
        if header.schema_version == 0 || header.schema_version == current {
            return Ok(());
        }
        // The two stand the wrong way round in Tarantool's text too.
        Err(err!(WRONG_SCHEMA_VERSION, header.schema_version, current))
    }

    pub(super) fn empty(&mut self, header: &Header<'_>) {
        let version = self.db().schema_version();
        write_empty(self.out, header.sync, version);
    }

    /// A write. One that has much to build goes on beside the connection, as a call does.
    #[inline]
    fn write(&mut self, header: &Header<'_>, start: usize) -> Result<Option<Call>> {
        let statement = self.statement(header)?;
        let space_id = statement.space_id;
        if space_id == SESSION_SETTINGS && header.request_type == request_type::UPDATE {
            return self.update_settings(header, &statement).map(|()| None);
        }
        let uid = self.session.uid();
        let now = self.now();
        let db = self.db_mut();
        let mut txn = db.begin(uid, now);
        let tuple = if matches!(space_id, schema::space_id::SPACE | schema::space_id::INDEX) {
            txn.allow_postponing();
            match txn.execute(&statement) {
                Ok(tuple) => tuple,
                Err(error) => {
                    let build = txn.take_postponed().ok_or(error)?;
                    drop(txn);
                    return Ok(Some(self.define(header, &statement, build, None)));
                }
            }
        } else {
            txn.execute(&statement)?
        };
        let ticket = txn.commit();
        let version = db.schema_version();
        self.reply_with(header, version, tuple.as_ref());
        self.writes.push(PendingWrite { ticket, sync: header.sync, start, end: self.out.len() });
        Ok(None)
    }

    /// The statement of a request. Takes the lock to write.
    #[inline]
    pub(super) fn statement<'h>(&mut self, header: &Header<'h>) -> Result<Statement<'h>> {
        let body = Body::decode(header.body)?;
        body.require(match header.request_type {
            request_type::INSERT | request_type::REPLACE => &[key::SPACE_ID, key::TUPLE],
            request_type::UPDATE => &[key::SPACE_ID, key::KEY, key::TUPLE],
            request_type::UPSERT => &[key::SPACE_ID, key::TUPLE, key::OPS],
            _ => &[key::SPACE_ID, key::KEY],
        })?;
        self.db_mut();
        self.check_version(header)?;
        let db = self.db();
        let mut statement = Statement::new(header.request_type, &body);
        statement.space_id = resolve_space(db, &body)?;
        if matches!(header.request_type, request_type::UPDATE | request_type::DELETE) {
            statement.index_id = resolve_index(db, statement.space_id, &body)?;
        }
        Ok(statement)
    }

    /// The time of this stretch of requests.
    #[inline]
    pub(super) fn now(&mut self) -> f64 {
        *self.now.get_or_insert_with(now)
    }

    /// Writes a reply with one tuple or none.
    #[inline]
    pub(super) fn reply_with(&mut self, header: &Header<'_>, version: u64, tuple: Option<&Tuple>) {
        let reply = Reply::start(self.out, 0, header.sync, version);
        let data = Data::start(self.out);
        if let Some(tuple) = tuple {
            self.out.extend_from_slice(tuple.data());
        }
        data.finish(self.out, u32::from(tuple.is_some()));
        reply.finish(self.out);
    }

    /// A definition that has much to build, alone or in the open transaction of a stream.
    #[cold]
    pub(super) fn define(
        &mut self,
        header: &Header<'_>,
        statement: &Statement<'_>,
        build: Build,
        stream: Option<Arc<StreamTransaction>>,
    ) -> Call {
        self.release();
        let (instance, uid) = (self.shared.instance.clone(), self.session.uid());
        let context = Context { instance, session: self.session.clone(), stream };
        let bytes = header.body.to_vec();
        let Statement { request_type, space_id, index_id, .. } = *statement;
        let open = context.open_transaction();
        let mut building = Building::new(context.instance.clone(), open, build);
        let running = async move {
            building.run().await?;
            let define = move |txn: &mut Txn<'_>| {
                building.finish(txn)?;
                let statement = Statement::new(request_type, &Body::decode(&bytes)?);
                txn.execute(&Statement { space_id, index_id, ..statement })
            };
            let tuple = context.transaction_as(uid, define).await?;
            context.settle().await?;
            Ok(Values::found(space_id, tuple.as_ref()))
        };
        Call {
            sync: header.sync,
            stream_id: header.stream_id,
            kind: CallKind::Definition,
            running: Box::pin(running),
        }
    }

    /// An UPDATE of what only this session has.
    #[cold]
    pub(super) fn update_settings(
        &mut self,
        header: &Header<'_>,
        statement: &Statement<'_>,
    ) -> Result<()> {
        let Statement { index_id, key, tuple: ops, index_base, .. } = *statement;
        let session = self.session;
        let db = self.db();
        let version = db.schema_version();
        let updated =
            session.settings.lock().update(db, session.uid(), index_id, key, ops, index_base);
        let row = updated?;
        let count = u32::from(row.is_some());
        let bytes = row.as_ref().map_or(&[][..], Tuple::data);
        iproto::write_data(self.out, header.sync, version, count, bytes);
        Ok(())
    }

    /// A CALL. Some end at once, under this hold of the lock; others go on beside the connection.
    fn call(&mut self, header: &Header<'_>, start: usize) -> Result<Option<Call>> {
        let (name, args) = self.parse_call(header)?;
        let kind = match header.request_type {
            request_type::CALL_16 => CallKind::Call16,
            _ => CallKind::Call,
        };
        let (shared, session) = (self.shared, self.session);
        let stream = match header.stream_id {
            0 => None,
            stream_id => Some(self.streams.enter(stream_id)?),
        };
        let context =
            Context { instance: shared.instance.clone(), session: session.clone(), stream };
        let is_at_once = header.stream_id == 0 && !shared.instance.journal().is_full();
        let begun = if is_at_once && shared.registry.is_short(name) {
            shared.registry.call_held(self.db_mut(), &context, name, args)
        } else {
            // It may write when it is polled: the lock must be free then.
            self.release();
            shared.registry.call(&context, name, args).map(Begun::Running)
        };
        let mut running = match begun {
            Some(Begun::Running(running)) => running,
            Some(Begun::Ended(result, ticket)) => {
                let values = result?;
                let (db, out) = self.split_read();
                write_values(db, session, out, header.sync, kind, values);
                self.reply_after(ticket, header, start);
                return Ok(None);
            }
            None => {
                self.streams.forget_idle(header.stream_id);
                return Err(err!(NO_SUCH_PROC, Arg::sent(name.as_bytes())));
            }
        };
        if context.open_transaction().is_some() {
            running = Box::pin(async move {
                let values = running.await?;
                context.settle().await?;
                Ok(values)
            });
        }
        Ok(Some(Call { sync: header.sync, stream_id: header.stream_id, kind, running }))
    }

    /// The name and the arguments of a CALL that the user may make.
    pub(super) fn parse_call<'h>(&mut self, header: &Header<'h>) -> Result<(&'h str, Args)> {
        let body = Body::decode_only(header.body, CALL_KEYS)?;
        body.require(&[key::FUNCTION_NAME])?;
        self.check_version(header)?;
        let bytes = body.function_name.unwrap_or_default();
        let name = std::str::from_utf8(bytes);
        let uid = self.session.uid();
        let db = self.db();
        let row = name.ok().and_then(|name| schema::function_by_name(db, name));
        let function = row.map(|row| Object {
            object_type: ObjectType::Function,
            id: row.id,
            owner: row.owner,
            name: name.unwrap_or_default(),
        });
        db.access().check_call(uid, bytes, function.as_ref())?;
        self.session.set_sync(header.sync);
        // What is not UTF-8 is the name of nothing.
        let name = name.map_err(|_| err!(NO_SUCH_PROC, Arg::sent(bytes)))?;
        let args = body.tuple.unwrap_or(&[0x90]);
        let plain = match body.has(key::TUPLE_FORMATS) {
            true => tuple_extension::plain(args),
            false => None,
        };
        Ok((name, Args::new(plain.as_deref().unwrap_or(args))))
    }
}

/// The error for a request that needs a stream.
#[cold]
fn out_of_stream(code: u64) -> Error {
    err!(UNABLE_TO_PROCESS_OUT_OF_STREAM, request_type::name(code).unwrap_or("(null)"))
}

/// The space of a request: its name wins over its id.
#[inline]
fn resolve_space(db: &Database, body: &Body<'_>) -> Result<u32> {
    let Some(name) = body.space_name else { return Ok(body.space_id) };
    let found = std::str::from_utf8(name).ok().and_then(|name| db.space_id(name));
    found.ok_or_else(|| err!(NO_SUCH_SPACE, Arg::sent(name)))
}

/// The index of a request: its name wins over its id.
#[inline]
fn resolve_index(db: &Database, space_id: u32, body: &Body<'_>) -> Result<u32> {
    let Some(name) = body.index_name else { return Ok(body.index_id) };
    let index = db.space(space_id)?.index_by_name(name)?;
    Ok(index.def.id)
}

/// Writes the reply of a call that has ended.
pub(super) fn finish_call(
    shared: &Shared,
    session: &Session,
    counters: &Counters,
    out: &mut Vec<u8>,
    call: CallEnd,
) {
    let db = shared.instance.read();
    match call.result {
        Ok(values) => write_values(&db, session, out, call.sync, call.kind, values),
        Err(error) => {
            counters.add(Counter::ERROR, 1);
            write_error(out, call.sync, db.schema_version(), &error);
            session.set_last_error(Some(error));
        }
    }
}

/// Writes the reply of a call that has succeeded.
fn write_values(
    db: &Database,
    session: &Session,
    out: &mut Vec<u8>,
    sync: u64,
    kind: CallKind,
    values: Values,
) {
    let (values, extension) = match kind {
        CallKind::Call => (values, Feature::CALL_RET_TUPLE_EXTENSION),
        CallKind::Call16 => (values.into_call_16(), Feature::CALL_RET_TUPLE_EXTENSION),
        CallKind::Definition => (values, Feature::DML_TUPLE_EXTENSION),
    };
    let start = out.len();
    iproto::write_data(out, sync, db.schema_version(), values.count(), values.bytes());
    if session.has(extension) {
        extend(db, out, start, values.tuples());
    }
}

/// Writes the tuples of the reply at `start` anew, with their format.
#[cold]
fn extend(db: &Database, out: &mut Vec<u8>, start: usize, tuples: Tuples) {
    let format = tuples.space_id().and_then(|id| schema::space_format(db, id));
    tuple_extension::rewrite(out, start, tuples, format.unwrap_or(&[0x90]));
}

/// What goes on beside its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CallKind {
    /// CALL.
    Call,
    /// CALL_16, whose values become arrays.
    Call16,
    /// A write to a system space that has much to build.
    Definition,
}

/// How a call ended.
pub(super) struct CallEnd {
    pub(super) sync: u64,
    pub(super) stream_id: u64,
    pub(super) kind: CallKind,
    pub(super) result: Result<crate::procs::Values>,
}

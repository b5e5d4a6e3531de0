//! Requests to replies: the one path that all take.
//!
//! A [`Run`] is a stretch of requests of one connection under one hold of the database lock: shared while they read,
//! exclusive from the first that writes on. Each is checked in Tarantool's order: form, type, schema version, rights.
//!
//! Source: protocol.md §3, §4; Tarantool `src/box/iproto.cc` tx_process*.

use std::borrow::Cow;
use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use lycosa_proto::iproto::{
    self, Body, Data, Feature, Header, Reply, key, request_type, write_empty, write_error, write_id,
};
use lycosa_proto::msgpack::{
    self, Token, write_array, write_bool, write_map, write_str, write_uint,
};
use parking_lot::{RwLockReadGuard, RwLockWriteGuard};

use super::Shared;
use super::auth;
use super::connection::Call;
use super::streams::Streams;
use crate::db::access::{Object, ObjectType, Privilege};
use crate::db::journal::Ticket;
use crate::db::schema;
use crate::db::select::WALK_MAX;
use crate::db::{Database, Select, Statement, Tuple};
use crate::instance::now;
use crate::procs::{Args, Context, Session};

/// The version of the protocol that IPROTO_ID tells.
const PROTOCOL_VERSION: u64 = 10;
/// What IPROTO_ID offers: what works.
const FEATURES: &[Feature] =
    &[Feature::STREAMS, Feature::TRANSACTIONS, Feature::SPACE_AND_INDEX_NAMES];

/// A hold of the database lock.
enum Guard<'a> {
    None,
    Read(RwLockReadGuard<'a, Database>),
    Write(RwLockWriteGuard<'a, Database>),
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
    /// The output buffer.
    pub(super) out: &'a mut Vec<u8>,
    /// Replies of this stretch that wait for the journal, in order.
    pub(super) writes: &'a mut Vec<PendingWrite>,
    /// The streams of the connection.
    pub(super) streams: &'a mut Streams,
    /// The time of this stretch.
    now: Option<f64>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        shared: &'a Arc<Shared>,
        session: &'a Arc<Session>,
        out: &'a mut Vec<u8>,
        writes: &'a mut Vec<PendingWrite>,
        streams: &'a mut Streams,
    ) -> Self {
        Self { shared, session, guard: Guard::None, out, writes, streams, now: None }
    }

    /// Bytes of replies so far.
    pub(super) fn output_bytes(&self) -> usize {
        self.out.len()
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
            Ok(header) if header.stream_id == 0 => self.request(&header),
            Ok(header) => self.request_in_stream(&header, packet),
            Err((sync, error)) => {
                self.fail(sync, &error);
                None
            }
        }
    }

    /// Writes an error packet.
    #[cold]
    pub(super) fn fail(&mut self, sync: u64, error: &Error) {
        let version = self.db().schema_version();
        write_error(self.out, sync, version, error);
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
            | request_type::UPSERT => self.write(header, start),
            request_type::PING => self.check_version(header).map(|()| self.empty(header)),
            request_type::CALL | request_type::CALL_16 => match self.call(header) {
                Ok(call) => return Some(call),
                Err(error) => Err(error),
            },
            request_type::BEGIN | request_type::COMMIT | request_type::ROLLBACK => {
                Err(out_of_stream(header.request_type))
            }
            request_type::AUTH => self.auth(header),
            request_type::ID => self.id(header),
            request_type::VOTE => self.check_version(header).map(|()| self.vote(header)),
            request_type::VOTE_DEPRECATED => {
                self.check_version(header).map(|()| self.vote_deprecated(header))
            }
            other => self.check_version(header).and(Err(self.refuse(other))),
        };
        if let Err(error) = done {
            self.out.truncate(start);
            self.fail(header.sync, &error);
        }
        None
    }

    /// The error for a request type that is not served.
    #[cold]
    fn refuse(&mut self, code: u64) -> Error {
        let uid = self.session.uid();
        let what = match code {
            request_type::EVAL => "EVAL",
            request_type::EXECUTE => "SQL",
            request_type::PREPARE => "SQL",
            request_type::INSERT_ARROW => return err!(UNSUPPORTED, "CE version", "arrow format"),
            request_type::JOIN
            | request_type::SUBSCRIBE
            | request_type::FETCH_SNAPSHOT
            | request_type::REGISTER => "replication",
            _ => return err!(UNKNOWN_REQUEST_TYPE, code),
        };
        let wanted = if what == "replication" { Privilege::READ } else { Privilege::EXECUTE };
        match self.db().access().check_universe(uid, wanted) {
            Ok(()) => err!(UNSUPPORTED, "Lycosa", what),
            Err(denied) => denied,
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

    #[inline]
    fn select(&mut self, header: &Header<'_>) -> Result<()> {
        let select = self.parse_select(header)?;
        let uid = self.session.uid();
        let (db, out) = match &self.guard {
            Guard::Read(guard) => (&**guard, &mut *self.out),
            Guard::Write(guard) => (&**guard, &mut *self.out),
            Guard::None => unreachable!("the lock was just taken"),
        };
        let reply = Reply::start(out, 0, header.sync, db.schema_version());
        let data = Data::start(out);
        let walked = Select { limit: select.limit.min(WALK_MAX + 1), ..select };
        let mut count = 0;
        if select.offset <= WALK_MAX {
            count = db.select(uid, &walked, |tuple| out.extend_from_slice(tuple.data()))?;
        }
        if (count > WALK_MAX && select.limit > count) || select.offset > WALK_MAX {
            reply.cancel(out);
            return self.long_select(header, &select);
        }
        data.finish(out, count);
        reply.finish(out);
        Ok(())
    }

    /// What a SELECT asks for. Takes the lock, if it is not held.
    #[inline]
    pub(super) fn parse_select<'h>(&mut self, header: &Header<'h>) -> Result<Select<'h>> {
        let body = Body::decode(header.body)?;
        body.require(&[key::SPACE_ID, key::LIMIT, key::KEY])?;
        self.check_version(header)?;
        let db = self.db();
        let space_id = resolve_space(db, &body)?;
        Ok(Select {
            space_id,
            index_id: resolve_index(db, space_id, &body)?,
            iterator: body.iterator,
            offset: body.offset,
            limit: body.limit,
            key: body.key.unwrap_or(&[0x90]),
        })
    }

    /// A SELECT over many tuples: takes a read view and lets go of the lock.
    #[cold]
    fn long_select(&mut self, header: &Header<'_>, select: &Select<'_>) -> Result<()> {
        let uid = self.session.uid();
        let db = self.db();
        let version = db.schema_version();
        let view = db.long_select(uid, select)?;
        self.release();
        let reply = Reply::start(self.out, 0, header.sync, version);
        let data = Data::start(self.out);
        let count = match &view {
            Some(view) => view.run(select, |tuple| self.out.extend_from_slice(tuple.data())),
            None => {
                let shared = self.shared;
                let db = shared.instance.read();
                db.select(uid, select, |tuple| self.out.extend_from_slice(tuple.data()))?
            }
        };
        data.finish(self.out, count);
        reply.finish(self.out);
        Ok(())
    }

    #[inline]
    fn write(&mut self, header: &Header<'_>, start: usize) -> Result<()> {
        let statement = self.statement(header)?;
        let uid = self.session.uid();
        let now = self.now();
        let db = self.db_mut();
        let mut txn = db.begin(uid, now);
        let tuple = txn.execute(&statement)?;
        let ticket = txn.commit();
        let version = db.schema_version();
        self.reply_with(header, version, tuple.as_ref());
        self.writes.push(PendingWrite { ticket, sync: header.sync, start, end: self.out.len() });
        Ok(())
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

    fn call(&mut self, header: &Header<'_>) -> Result<Call> {
        let (name, args) = self.parse_call(header)?;
        let context =
            Context { instance: self.shared.instance.clone(), session: self.session.clone() };
        let running = self
            .shared
            .registry
            .call(&context, &name, args)
            .ok_or_else(|| err!(NO_SUCH_PROC, &*name))?;
        Ok(Call {
            sync: header.sync,
            stream_id: header.stream_id,
            is_call_16: header.request_type == request_type::CALL_16,
            running,
        })
    }

    /// The name and the arguments of a CALL that the user may make. Lets go of the lock.
    pub(super) fn parse_call<'h>(&mut self, header: &Header<'h>) -> Result<(Cow<'h, str>, Args)> {
        if header.body.is_empty() {
            return Err(err!(INVALID_MSGPACK, "missing request body"));
        }
        let body = Body::decode(header.body)?;
        body.require(&[key::FUNCTION_NAME])?;
        self.check_version(header)?;
        let name = String::from_utf8_lossy(body.function_name.unwrap_or_default());
        let uid = self.session.uid();
        let db = self.db();
        let row = schema::function_by_name(db, &name);
        let function = row.map(|row| Object {
            object_type: ObjectType::Function,
            id: row.id,
            owner: row.owner,
            name: &name,
        });
        db.access().check_call(uid, &name, function.as_ref())?;
        // A procedure may write: the lock must be free when it is polled.
        self.release();
        Ok((name, Args::new(body.tuple.unwrap_or(&[0x90]))))
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
        for (name, value) in msgpack::pairs(header.body) {
            let token = msgpack::read(&mut { value }).unwrap_or(Token::Nil);
            match (msgpack::read(&mut { name }), token) {
                (Ok(Token::Uint(key::VERSION)), Token::Uint(_)) => {}
                (Ok(Token::Uint(key::FEATURES)), Token::Array(_)) => {
                    let is_uint = |item: &[u8]| msgpack::read_uint(&mut { item }).is_ok();
                    if !msgpack::items(value).all(is_uint) {
                        return Err(bad());
                    }
                }
                (Ok(Token::Uint(key::AUTH_TYPE)), Token::Str(_)) => {}
                (Ok(Token::Uint(key::VERSION | key::FEATURES | key::AUTH_TYPE)), _) => {
                    return Err(bad());
                }
                _ => {}
            }
        }
        self.check_version(header)?;
        let version = self.db().schema_version();
        let reply = Reply::start(self.out, 0, header.sync, version);
        write_id(self.out, PROTOCOL_VERSION, FEATURES, auth::METHOD);
        reply.finish(self.out);
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

/// The error for a request that needs a stream.
#[cold]
fn out_of_stream(code: u64) -> Error {
    err!(UNABLE_TO_PROCESS_OUT_OF_STREAM, request_type::name(code).unwrap_or("(null)"))
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

/// Writes the reply of a call that has ended.
pub(super) fn finish_call(shared: &Shared, out: &mut Vec<u8>, call: CallEnd) {
    let version = shared.instance.read().schema_version();
    match call.result {
        Ok(values) => {
            let values = if call.is_call_16 { values.into_call_16() } else { values };
            iproto::write_data(out, call.sync, version, values.count(), values.bytes());
        }
        Err(error) => write_error(out, call.sync, version, &error),
    }
}

/// How a call ended.
pub(super) struct CallEnd {
    pub(super) sync: u64,
    pub(super) stream_id: u64,
    pub(super) is_call_16: bool,
    pub(super) result: Result<crate::procs::Values>,
}

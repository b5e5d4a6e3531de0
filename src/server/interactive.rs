//! Requests in streams: BEGIN, COMMIT, ROLLBACK, and what runs between them.
//!
//! Source: protocol.md §10; Tarantool `src/box/iproto.cc` iproto_msg_prepare, tx_process_begin, tx_process_commit.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::{Begin, Commit, Data, Header, Reply, request_type};
use lycosa_proto::msgpack;

use super::connection::Call;
use super::dispatch::{PendingWrite, Run};
use crate::db::Select;
use crate::db::journal::Ticket;
use crate::db::mvcc::{Execution, Isolation, TxnId};
use crate::db::schema::space_id::SESSION_SETTINGS;
use crate::db::select::{Selected, WALK_MAX};
use crate::procs::BeginOptions;

/// The greatest request type that streams take, besides PING.
const IN_STREAM_MAX: u64 = 19;

impl Run<'_> {
    /// Answers a request that names a stream. `packet` is its bytes, for when it has to wait.
    #[cold]
    pub(super) fn request_in_stream(&mut self, header: &Header<'_>, packet: &[u8]) -> Option<Call> {
        let start = self.out.len();
        let checked = self.check_for_stream(header);
        if checked.is_ok() && self.streams.hold_back(header.stream_id, packet) {
            return None;
        }
        self.count(header);
        let done = match checked {
            Err(error) => Err(error),
            Ok(()) => match (header.request_type, self.streams.transaction(header.stream_id)) {
                (request_type::BEGIN, open) => self.begin(header, open),
                (request_type::COMMIT, _) => self.commit(header, start),
                (request_type::ROLLBACK, _) => self.roll_back(header),
                (request_type::SELECT, Some(id)) => self.select_in(id, header, start),
                (
                    request_type::INSERT
                    | request_type::REPLACE
                    | request_type::UPDATE
                    | request_type::DELETE
                    | request_type::UPSERT,
                    Some(id),
                ) => match self.write_in(id, header, start) {
                    Ok(Some(call)) => {
                        self.streams.call_began(header.stream_id);
                        return Some(call);
                    }
                    done => done.map(|_| ()),
                },
                _ => {
                    let call = self.request(header);
                    if call.is_some() {
                        self.streams.call_began(header.stream_id);
                    }
                    return call;
                }
            },
        };
        self.finish(header, start, done);
        None
    }

    /// Checks that a request may be in a stream.
    fn check_for_stream(&self, header: &Header<'_>) -> Result<()> {
        let code = header.request_type;
        if code != request_type::AUTH && (code <= IN_STREAM_MAX || code == request_type::PING) {
            return Ok(());
        }
        if !header.body.is_empty() {
            msgpack::check_all(header.body).map_err(|_| err!(INVALID_MSGPACK, "packet body"))?;
        }
        Err(err!(UNABLE_TO_PROCESS_IN_STREAM, request_type::name(code).unwrap_or("(null)")))
    }

    fn begin(&mut self, header: &Header<'_>, open: Option<TxnId>) -> Result<()> {
        let begin = Begin::decode(header.body)?;
        self.db_mut();
        self.check_version(header)?;
        if open.is_some() {
            return Err(err!(ACTIVE_TRANSACTION));
        }
        if begin.timeout < 0.0 {
            return Err(err!(ILLEGAL_PARAMS, "timeout must be a number greater than 0"));
        }
        let defaults = BeginOptions::defaults(&self.shared.instance);
        let isolation = Isolation::from_number(begin.isolation, defaults.isolation)?;
        let timeout_sec = match begin.timeout {
            0.0 => defaults.timeout_sec,
            seconds => seconds,
        };
        let options = BeginOptions { isolation, timeout_sec, is_sync: begin.is_sync };
        let instance = &self.shared.instance;
        let (db, _, streams) = self.split();
        streams.begin(header.stream_id, options, instance, db)?;
        self.empty(header);
        Ok(())
    }

    fn commit(&mut self, header: &Header<'_>, start: usize) -> Result<()> {
        let commit = Commit::decode(header.body)?;
        self.db_mut();
        self.check_version(header)?;
        let now = self.now();
        let (db, _, streams) = self.split();
        let ticket = streams.commit(header.stream_id, db, now, commit.is_sync)?;
        self.empty(header);
        self.reply_after(ticket, header, start);
        Ok(())
    }

    fn roll_back(&mut self, header: &Header<'_>) -> Result<()> {
        self.check_version(header)?;
        let (db, _, streams) = self.split();
        streams.roll_back(header.stream_id, db);
        self.empty(header);
        Ok(())
    }

    /// Keeps the reply that begins at `start` until a ticket is settled.
    pub(super) fn reply_after(&mut self, ticket: Ticket, header: &Header<'_>, start: usize) {
        if ticket != Ticket::SETTLED {
            let end = self.out.len();
            self.writes.push(PendingWrite { ticket, sync: header.sync, start, end });
        }
    }

    /// A write. A definition that has much to build goes on beside the connection, as a call does.
    fn write_in(&mut self, id: TxnId, header: &Header<'_>, start: usize) -> Result<Option<Call>> {
        let statement = self.statement(header)?;
        if statement.space_id == SESSION_SETTINGS && header.request_type == request_type::UPDATE {
            return self.update_settings(header, &statement).map(|()| None);
        }
        let uid = self.session.uid();
        let now = self.now();
        let db = self.db_mut();
        let executed = match db.execute_interactive(id, uid, now, &statement)? {
            Execution::Done(executed) => executed,
            Execution::Postponed(build) => {
                let stream = self.streams.enter(header.stream_id)?;
                return Ok(Some(self.define(header, &statement, *build, Some(stream))));
            }
        };
        let ticket = db.read_ticket(id);
        self.reply_with(header, executed.schema_version, executed.tuple.as_ref());
        self.reply_after(ticket, header, start);
        Ok(None)
    }

    fn select_in(&mut self, id: TxnId, header: &Header<'_>, start: usize) -> Result<()> {
        self.db_mut();
        let (select, page) = self.parse_select(header)?;
        if select.space_id == SESSION_SETTINGS {
            return self.select(header);
        }
        let uid = self.session.uid();
        let (db, out, _) = self.split();
        let (version, ticket) = (db.schema_version(), db.read_ticket(id));
        let reply = Reply::start(out, 0, header.sync, version);
        let data = Data::start(out);
        let mut selected = Selected::default();
        let mut is_long = select.offset > WALK_MAX
            || (!page.is_whole() && select.offset.saturating_add(select.limit) > WALK_MAX);
        if !is_long {
            let walked = Select { limit: select.limit.min(WALK_MAX + 1), ..select };
            selected = db.select_interactive(id, uid, &walked, &page, |tuple| {
                out.extend_from_slice(tuple.data());
            })?;
            is_long = selected.count > WALK_MAX && select.limit > selected.count;
        }
        if is_long {
            out.truncate(data.start_of_items());
            selected = match db.long_select_interactive(id, uid, &select, &page)? {
                Some(view) => {
                    self.release();
                    view.run(&select, |tuple| self.out.extend_from_slice(tuple.data()))
                }
                None => db.select_interactive(id, uid, &select, &page, |tuple| {
                    out.extend_from_slice(tuple.data());
                })?,
            };
        }
        data.finish_page(self.out, selected.count, selected.position.as_deref());
        reply.finish(self.out);
        self.reply_after(ticket, header, start);
        Ok(())
    }
}

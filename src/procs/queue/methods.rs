//! The methods of a tube: `queue.tube.NAME:method`, arguments in, values out.
//!
//! Each is one transaction; `take` is one for each look at the tube, with waits between them; what may be long is in
//! [`super::portions`]. A tube that is dropped while a call waits answers what a later call will get: the procedure is not
//! defined.
//!
//! The first look is taken at once if the caller holds the database already, see [`begin_held`]: most calls end with it,
//! and a batch of them costs one hold of the lock.
//!
//! In an open transaction of a stream each is done in that one, `take` and its waits too: a look that finds nothing counts
//! for nothing, since it is not answered, but for the last. What consumers, timers and sub-queues have to know follows when
//! the transaction has ended.
//!
//! Rights: whoever may execute a method may use it; `drop` and `grant` moreover act with the caller's rights on the
//! system spaces.
//!
//! Source: queue/abstract.lua `tube.*`.

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use lycosa_proto::msgpack::Token;

use super::dead_letter::Outcome;
use super::grant::{self, GrantOptions};
use super::operations;
use super::state::State;
use super::times;
use super::tube::Tube;
use super::tubes::{Services, Tubes};
use super::waiters::{Patience, Place, Waiters};
use super::work::Work;
use crate::db::access::ADMIN;
use crate::db::journal::Ticket;
use crate::db::mvcc::TxnId;
use crate::db::{Database, Txn};
use crate::instance::now;
use crate::procs::{Args, Begun, Context, Running, Values};

/// One call of a method.
pub(super) struct Call {
    /// Who calls, of which instance.
    pub(super) context: Context,
    /// The tubes of the instance.
    tubes: Arc<Tubes>,
    /// The spaces of the queue.
    services: Services,
    /// The tube.
    pub(super) tube: Arc<Tube>,
    /// The method's name; [`find`] knows it.
    method: &'static str,
    /// What it answers while the queue is not RUNNING; [`find`] knows it.
    refusal: Refusal,
    /// What the client sent.
    pub(super) args: Args,
}

/// What a method answers while the queue is not RUNNING.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// One nil.
    Nil,
    /// No value.
    Nothing,
}

/// One look at the tube: the answer, or None if there is none yet.
type Look = fn(&Call, &mut Work<'_, '_>) -> Result<Option<Values>>;

/// How a method is done.
#[derive(Clone, Copy)]
enum Manner {
    /// By looks at the tube, each a transaction with the queue's rights, until one has an answer.
    Looks(Look),
    /// In its own way.
    Other(fn(Call) -> Running),
}

/// A method.
struct Method {
    name: &'static str,
    manner: Manner,
    refusal: Refusal,
}

const fn looks(name: &'static str, look: Look, refusal: Refusal) -> Method {
    Method { name, manner: Manner::Looks(look), refusal }
}

const fn other(name: &'static str, begin: fn(Call) -> Running, refusal: Refusal) -> Method {
    Method { name, manner: Manner::Other(begin), refusal }
}

static METHODS: [Method; 17] = [
    looks("put", Call::put, Refusal::Nil),
    looks("take", Call::take, Refusal::Nil),
    looks("ack", Call::ack, Refusal::Nil),
    looks("release", Call::release, Refusal::Nil),
    looks("touch", Call::touch, Refusal::Nothing),
    other("peek", |call| Box::pin(call.peek()), Refusal::Nil),
    looks("bury", Call::bury, Refusal::Nil),
    other("kick", |call| Box::pin(call.kick()), Refusal::Nil),
    looks("delete", Call::delete, Refusal::Nil),
    looks("put_many", Call::put_many, Refusal::Nil),
    looks("take_many", Call::take_many, Refusal::Nil),
    looks("ack_many", Call::ack_many, Refusal::Nil),
    other("truncate", |call| Box::pin(call.truncate()), Refusal::Nothing),
    other("release_all", |call| Box::pin(call.release_all()), Refusal::Nothing),
    other("drop", |call| Box::pin(call.drop_tube()), Refusal::Nil),
    other("grant", |call| Box::pin(call.grant(false)), Refusal::Nothing),
    other("grant_role", |call| Box::pin(call.grant(true)), Refusal::Nothing),
];

/// True if a method does something to one task at most.
pub(super) fn is_short(method: &str) -> bool {
    matches!(method, "put" | "take" | "ack" | "release" | "touch" | "bury" | "delete" | "peek")
}

/// Finds a method and says in the call which it is; None if there is none of this name.
fn find(call: &mut Call, name: &str) -> Option<Manner> {
    let method = METHODS.iter().find(|method| method.name == name)?;
    call.method = method.name;
    call.refusal = method.refusal;
    Some(method.manner)
}

/// Begins a method; None if there is none of this name.
pub(super) fn begin(mut call: Call, method: &str) -> Option<Running> {
    let manner = find(&mut call, method)?;
    if !call.tubes.phase.admits(call.method) {
        return Some(Box::pin(std::future::ready(Ok(call.refusal()))));
    }
    Some(match manner {
        Manner::Looks(look) => Box::pin(call.look_until_answered(look)),
        Manner::Other(begin) => begin(call),
    })
}

/// The same for a caller who holds the database, and in no open transaction: takes the first look at once.
pub(super) fn begin_held(mut call: Call, db: &mut Database, method: &str) -> Option<Begun> {
    let manner = find(&mut call, method)?;
    if !call.tubes.phase.admits(call.method) {
        return Some(Begun::Ended(Ok(call.refusal()), Ticket::SETTLED));
    }
    let look = match manner {
        Manner::Looks(look) => look,
        Manner::Other(begin) => return Some(Begun::Running(begin(call))),
    };
    let patience = match call.line() {
        Ok((_, patience)) => patience,
        Err(error) => return Some(Begun::Ended(Err(error), Ticket::SETTLED)),
    };
    Some(match db.transaction(ADMIN, now(), |txn| call.look(txn, look)) {
        Ok((Some(values), ticket)) => Begun::Ended(Ok(values), ticket),
        Ok((None, ticket)) if patience == Patience::None => {
            Begun::Ended(Ok(call.nothing()), ticket)
        }
        // Whoever waits looks again once it stands in the line.
        Ok((None, _)) => Begun::Running(Box::pin(call.look_until_answered(look))),
        Err(error) => Begun::Ended(Err(error), Ticket::SETTLED),
    })
}

impl Call {
    /// A call of a method that has yet to be found.
    pub(super) fn new(
        context: Context,
        tubes: Arc<Tubes>,
        services: Services,
        tube: Arc<Tube>,
        args: Args,
    ) -> Self {
        Self { context, tubes, services, tube, method: "", refusal: Refusal::Nil, args }
    }

    /// The connection, which is what tells queue sessions apart.
    pub(super) fn connection_id(&self) -> u64 {
        self.context.session.id
    }

    /// What the method answers while the queue is not RUNNING.
    fn refusal(&self) -> Values {
        match self.refusal {
            Refusal::Nil => Values::nil(),
            Refusal::Nothing => Values::none(),
        }
    }

    /// When the open transaction ends, whatever it did to these tubes is there for all to see.
    fn appear_at_end(&self, txn_id: TxnId, tubes: &[Arc<Tube>]) {
        for tube in tubes {
            let tube = tube.clone();
            self.context.at_end(Arc::as_ptr(&tube).addr(), move |is_committed| {
                tube.end_open(txn_id, is_committed);
            });
        }
    }

    /// Runs `body` as one transaction of a user on the tube.
    ///
    /// # Errors
    /// Those of `body`; NO_SUCH_PROC if the tube is not there any more; ER_WAL_IO.
    pub(super) async fn run_as<T: Send>(
        &self,
        uid: u32,
        body: impl FnOnce(&mut Work<'_, '_>) -> Result<T> + Send,
    ) -> Result<T> {
        let mut is_committed = false;
        // The tubes of which others are not to know more until the open transaction ends; there are none without one.
        let mut private = Vec::new();
        if let Some(txn_id) = self.context.open_transaction() {
            private.extend(self.tubes.reach(&self.tube));
            self.appear_at_end(txn_id, &private);
        }
        let work = self.context.transaction_as(uid, |txn| {
            if !self.tubes.is_current(txn.db(), &self.tube) {
                // An open transaction that was aborted sees nothing, and says so.
                txn.db().space(self.services.queue)?;
                return Err(self.gone());
            }
            let aside: Vec<_> = private.iter().map(|tube| tube.set_aside()).collect();
            let mut work = Work::new(txn, &self.tubes, &self.tube, &self.services);
            let value = body(&mut work);
            private.iter().zip(aside).for_each(|(tube, aside)| tube.put_back(aside));
            let value = value.inspect_err(|_| self.doubt())?;
            self.tube.trust();
            is_committed = true;
            Ok(value)
        });
        let result = work.await;
        if result.is_err() && is_committed {
            // The journal has had it rolled back: tasks may be READY again that nobody was called for.
            self.tube.call_all();
        }
        result
    }

    /// One look in a transaction that is nobody else's.
    fn look(&self, txn: &mut Txn<'_>, look: Look) -> Result<Option<Values>> {
        if !self.tubes.is_current(txn.db(), &self.tube) {
            return Err(self.gone());
        }
        let values = look(self, &mut Work::new(txn, &self.tubes, &self.tube, &self.services));
        let values = values.inspect_err(|_| self.doubt())?;
        self.tube.trust();
        Ok(values)
    }

    /// A transaction has failed in which the method was at work.
    fn doubt(&self) {
        self.tubes.reach(&self.tube).for_each(|tube| tube.doubt());
    }

    /// The tube was dropped since the call began.
    fn gone(&self) -> Error {
        err!(NO_SUCH_PROC, format!("queue.tube.{}:{}", self.tube.name, self.method))
    }

    /// True if the method puts tasks, for which there may be no room.
    fn is_put(&self) -> bool {
        matches!(self.method, "put" | "put_many")
    }

    /// Where the call stands and for how long, while its looks have no answer.
    fn line(&self) -> Result<(&Waiters, Patience)> {
        let patience = match self.method {
            "take" => self.patience(0)?,
            "take_many" => self.patience(1)?,
            _ if self.is_put() && self.tube.capacity().is_some() => {
                let timeout_sec = times::timeout_sec(self.args.get(1))?;
                return Ok((&self.tube.producers, Patience::new(Some(timeout_sec))));
            }
            _ => Patience::None,
        };
        Ok((&self.tube.waiters, patience))
    }

    /// How long an argument says to wait: none and nil mean for ever.
    fn patience(&self, at: usize) -> Result<Patience> {
        match self.args.token(at) {
            Token::Nil | Token::Bool(false) => Ok(Patience::new(None)),
            _ => match self.args.get(at).and_then(times::number) {
                Some(seconds) => Ok(Patience::new(Some(seconds))),
                None => Err(err!(PROC_LUA, "attempt to compare timeout with number")),
            },
        }
    }

    /// What the method answers if no look had an answer.
    fn nothing(&self) -> Values {
        match self.method {
            "take" | "take_many" if !self.tubes.phase.is_running() => self.refusal(),
            "take" => Values::none(),
            "take_many" => self.reply_many(&[]),
            _ => Values::nil(),
        }
    }

    /// Looks again and again, in one transaction each, until there is an answer or the patience ends. Between looks the
    /// call stands in a line. In an open transaction it looks once more when the patience has ended, to answer for what it
    /// sees then.
    async fn look_until_answered(self, look: Look) -> Result<Values> {
        let (line, patience) = self.line()?;
        let mut place: Option<Place<'_>> = None;
        let mut is_last = patience == Patience::None;
        while self.tubes.phase.is_running() {
            let mut is_empty = false;
            let looked = self.run_as(ADMIN, |work| {
                let values = look(&self, work)?;
                is_empty = values.is_none();
                match (&values, &mut place) {
                    (Some(_), Some(place)) => place.serve(),
                    (None, _) if is_last => {}
                    (None, Some(place)) => {
                        place.stand_again();
                        if self.is_put() && work.has_room(1)? {
                            // Room for fewer tasks than this one puts.
                            place.pass_on();
                        }
                    }
                    (None, None) => place = Some(line.stand()),
                    (Some(_), None) => {}
                }
                if values.is_none() && !is_last {
                    work.txn.forget_reads();
                }
                Ok(values)
            });
            match looked.await {
                Ok(Some(values)) => return Ok(values),
                Ok(None) => {}
                // The journal could not write what others did; whoever has found nothing has nothing to lose.
                Err(_) if is_empty => {}
                Err(error) => return Err(error),
            }
            // Whoever has come to stand after all were called because the instance is read-only is not called.
            let may_wait = !is_last && self.tubes.phase.is_running();
            let Some(place) = place.as_mut().filter(|_| may_wait) else { break };
            if !place.turn(patience.until()).await {
                if self.context.open_transaction().is_none() {
                    break;
                }
                is_last = true;
            }
        }
        Ok(self.nothing())
    }

    /// `put(data, options)`: `[id, 'r', data]`, or nil if there was no room in time.
    fn put(&self, work: &mut Work<'_, '_>) -> Result<Option<Values>> {
        let task = operations::put(work, self.args.get(0), self.args.get(1))?;
        Ok(task.map(|task| self.tube.reply(&task, None)))
    }

    /// `take(timeout)`: `[id, 't', data]`, or no value if no task came in time.
    fn take(&self, work: &mut Work<'_, '_>) -> Result<Option<Values>> {
        let task = operations::take(work, self.connection_id())?;
        Ok(task.map(|task| self.tube.reply(&task, None)))
    }

    /// `touch(id, delta)`: `[id, 't', data]`, or no value if there is nothing to add.
    fn touch(&self, work: &mut Work<'_, '_>) -> Result<Option<Values>> {
        let delta = match self.args.token(1) {
            Token::Nil => return Ok(Some(Values::none())),
            _ => self.args.get(1).and_then(times::number),
        };
        let Some(delta) = delta else {
            return Err(err!(PROC_LUA, "attempt to compare delta with number"));
        };
        if delta <= 0.0 || delta.is_nan() {
            return Ok(Some(Values::none()));
        }
        let task = operations::touch(work, self.args.get(0), delta, self.connection_id())?;
        Ok(Some(self.tube.reply(&task, None)))
    }

    /// `ack(id)`: `[id, '-', data]`.
    fn ack(&self, work: &mut Work<'_, '_>) -> Result<Option<Values>> {
        let task = operations::ack(work, self.args.get(0), self.connection_id())?;
        Ok(Some(self.tube.reply(&task, Some(State::Done))))
    }

    /// `release(id, options)`: `[id, 'r', data]`; the state is another if that was the last attempt on the task.
    fn release(&self, work: &mut Work<'_, '_>) -> Result<Option<Values>> {
        let (id, options) = (self.args.get(0), self.args.get(1));
        let Outcome { task, state } = operations::release(work, id, options, self.connection_id())?;
        Ok(Some(self.tube.reply(&task, state)))
    }

    /// `bury(id)`: `[id, '!', data]`.
    fn bury(&self, work: &mut Work<'_, '_>) -> Result<Option<Values>> {
        let task = operations::bury(work, self.args.get(0))?;
        Ok(Some(self.tube.reply(&task, None)))
    }

    /// `delete(id)`: `[id, '-', data]`.
    fn delete(&self, work: &mut Work<'_, '_>) -> Result<Option<Values>> {
        let task = operations::delete(work, self.args.get(0))?;
        Ok(Some(self.tube.reply(&task, Some(State::Done))))
    }

    /// `peek(id)`: `[id, state, data]`.
    async fn peek(self) -> Result<Values> {
        let id = self.args.get(0);
        let task = self.context.read(|db| {
            if !self.tubes.is_current(db, &self.tube) {
                return Err(self.gone());
            }
            let now_us = self.tube.timer.clock.now_us();
            operations::peek_alive(&self.tube, db.space(self.tube.space_id)?, id, now_us)
        })?;
        Ok(self.tube.reply(&task, None))
    }

    /// `drop()`: true.
    async fn drop_tube(self) -> Result<Values> {
        let dropped = self.run_as(self.context.session.uid(), |work| {
            operations::drop_tube(work)?;
            // Not there any more, so it is forgotten.
            self.tubes.find(work.txn.db(), &self.tube.name);
            Ok(())
        });
        dropped.await?;
        if self.context.open_transaction().is_none() {
            self.tubes.forget_dropped(&self.tube);
        }
        Ok(Values::from(true))
    }

    /// `grant(user, options)`, `grant_role(role, options)`: no value.
    async fn grant(self, is_role: bool) -> Result<Values> {
        let grantee = grant::Grantee { name: self.args.str(0).unwrap_or("nil"), is_role };
        let options = GrantOptions::parse(self.args.get(1));
        let granted =
            self.run_as(self.context.session.uid(), |work| grant::grant(work, grantee, &options));
        granted.await?;
        Ok(Values::none())
    }
}

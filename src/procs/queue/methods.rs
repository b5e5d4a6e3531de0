//! The methods of a tube: `queue.tube.NAME:method`, arguments in, values out.
//!
//! Each is one transaction; `take` is one for each look at the tube, with waits between them. A tube that is dropped
//! while a call waits answers what a later call will get: the procedure is not defined.
//!
//! In an open transaction of a stream each is done in that one, `take` and its waits too: a look that finds nothing counts
//! for nothing, since it is not answered, but for the last. What consumers, timers and sub-queues have to know follows when
//! the transaction has ended.
//!
//! Rights: whoever may execute a method may use it; `drop` and `grant` moreover act with the caller's rights on the
//! system spaces, and `truncate` asks for the right to write the tube's space.
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
use crate::db::access::{ADMIN, Privilege};
use crate::procs::{Args, Context, Running, Values};

/// One call of a method.
pub(super) struct Call {
    /// Who calls, of which instance.
    pub(super) context: Context,
    /// The tubes of the instance.
    pub(super) tubes: Arc<Tubes>,
    /// The spaces of the queue.
    pub(super) services: Services,
    /// The tube.
    pub(super) tube: Arc<Tube>,
    /// The method's name; [`begin`] knows it.
    pub(super) method: &'static str,
    /// What it answers while the queue is not RUNNING; [`begin`] knows it.
    pub(super) refusal: Refusal,
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

macro_rules! methods {
    ($($name:literal $method:ident $Refusal:ident)*) => {
        /// Begins a method; None if there is none of this name.
        pub(super) fn begin(mut call: Call, method: &str) -> Option<Running> {
            match method {
                $($name => {
                    call.method = $name;
                    call.refusal = Refusal::$Refusal;
                    if !call.tubes.phase.admits($name) {
                        return Some(Box::pin(std::future::ready(Ok(call.refusal()))));
                    }
                    Some(Box::pin(call.$method()))
                })*
                _ => None,
            }
        }
    };
}

methods! {
    "put" put Nil
    "take" take Nil
    "touch" touch Nothing
    "ack" ack Nil
    "release" release Nil
    "peek" peek Nil
    "bury" bury Nil
    "kick" kick Nil
    "delete" delete Nil
    "truncate" truncate Nothing
    "release_all" release_all Nothing
    "drop" drop_tube Nil
    "grant" grant_user Nothing
    "grant_role" grant_role Nothing
    "put_many" put_many Nil
    "take_many" take_many Nil
    "ack_many" ack_many Nil
}

impl Call {
    /// The connection, which is what tells queue sessions apart.
    pub(super) fn connection_id(&self) -> u64 {
        self.context.session.id
    }

    /// True if tubes can be used.
    pub(super) fn is_running(&self) -> bool {
        self.tubes.phase.is_running()
    }

    /// What the method answers while the queue is not RUNNING.
    pub(super) fn refusal(&self) -> Values {
        match self.refusal {
            Refusal::Nil => Values::nil(),
            Refusal::Nothing => Values::none(),
        }
    }

    /// True if the method may be at work on other tubes too: dead letters go there.
    fn is_wide(&self) -> bool {
        self.tube.settings.rule.is_some()
    }

    /// When the open transaction ends, whatever it did is there for all to see.
    fn appear_at_end(&self) {
        if self.is_wide() {
            let tubes = self.tubes.clone();
            self.context.at_end(Arc::as_ptr(&tubes).addr(), move || tubes.appear());
        } else {
            let tube = self.tube.clone();
            self.context.at_end(Arc::as_ptr(&tube).addr(), move || tube.appear());
        }
    }

    /// Forgets what is kept beside the rows.
    fn forget(&self) {
        match self.is_wide() {
            true => self.tubes.forget(),
            false => self.tube.forget(),
        }
    }

    /// Runs `body` as one transaction of a user on the tube.
    async fn run_as<T: Send>(
        &self,
        uid: u32,
        body: impl FnOnce(&mut Work<'_, '_>) -> Result<T> + Send,
    ) -> Result<T> {
        let mut is_committed = false;
        let is_open = self.context.open_transaction().is_some();
        if is_open {
            self.appear_at_end();
        }
        let work = self.context.transaction_as(uid, |txn| {
            if !self.tubes.is_current(txn.db(), &self.tube) {
                return Err(self.gone());
            }
            if is_open {
                self.forget();
            }
            let mut work = Work::new(txn, &self.tubes, &self.tube, &self.services);
            let value = body(&mut work);
            if is_open {
                self.forget();
            }
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

    /// A transaction of this call has failed.
    fn doubt(&self) {
        if self.is_wide() {
            self.tubes.doubt();
        } else {
            self.tube.doubt();
        }
    }

    /// The same with the queue's own rights.
    pub(super) async fn run<T: Send>(
        &self,
        body: impl FnOnce(&mut Work<'_, '_>) -> Result<T> + Send,
    ) -> Result<T> {
        self.run_as(ADMIN, body).await
    }

    /// The tube was dropped since the call began.
    fn gone(&self) -> Error {
        err!(NO_SUCH_PROC, format!("queue.tube.{}:{}", self.tube.name, self.method))
    }

    /// Tries again and again, in one transaction each, until there is something or the patience ends. Between tries the
    /// call stands in a line. In an open transaction it tries once more when the patience has ended, to answer for what it
    /// sees then.
    pub(super) async fn wait_for<T: Send>(
        &self,
        line: &Waiters,
        patience: Patience,
        attempt: impl Fn(&mut Work<'_, '_>) -> Result<Option<T>> + Send + Sync,
    ) -> Result<Option<T>> {
        let mut place: Option<Place<'_>> = None;
        let mut is_last = patience == Patience::None;
        loop {
            if !self.is_running() {
                return Ok(None);
            }
            let mut is_empty = false;
            let tried = self.run(|work| {
                let task = attempt(work)?;
                is_empty = task.is_none();
                match (&task, &mut place) {
                    (Some(_), Some(place)) => place.serve(),
                    (None, _) if is_last => {}
                    (None, Some(place)) => place.stand_again(),
                    (None, None) => place = Some(line.stand()),
                    (Some(_), None) => {}
                }
                if task.is_none() && !is_last {
                    work.txn.forget_reads();
                }
                Ok(task)
            });
            match tried.await {
                Ok(Some(task)) => return Ok(Some(task)),
                Ok(None) => {}
                // The journal could not write what others did; whoever has found nothing has nothing to lose.
                Err(_) if is_empty => {}
                Err(error) => return Err(error),
            }
            let Some(place) = place.as_mut().filter(|_| !is_last) else { return Ok(None) };
            if !place.turn(patience.until()).await {
                if self.context.open_transaction().is_none() {
                    return Ok(None);
                }
                is_last = true;
            }
        }
    }

    /// `put(data, options)`: `[id, 'r', data]`, or nil if there was no room in time.
    async fn put(self) -> Result<Values> {
        let (data, options) = (self.args.get(0), self.args.get(1));
        let patience = match self.tube.capacity() {
            Some(_) => Patience::new(Some(times::timeout_sec(options)?)),
            None => Patience::None,
        };
        let put = |work: &mut Work<'_, '_>| operations::put(work, data, options);
        let task = self.wait_for(&self.tube.producers, patience, put).await?;
        Ok(task.map_or_else(Values::nil, |task| self.tube.reply(&task, None)))
    }

    /// `take(timeout)`: `[id, 't', data]`, or no value if no task came in time.
    async fn take(self) -> Result<Values> {
        let patience = self.patience(0)?;
        let take = |work: &mut Work<'_, '_>| operations::take(work, self.connection_id());
        let task = self.wait_for(&self.tube.waiters, patience, take).await?;
        Ok(match task {
            Some(task) => self.tube.reply(&task, None),
            None if !self.is_running() => self.refusal(),
            None => Values::none(),
        })
    }

    /// How long an argument says to wait: none and nil mean for ever.
    pub(super) fn patience(&self, at: usize) -> Result<Patience> {
        match self.args.token(at) {
            Token::Nil => Ok(Patience::new(None)),
            _ => match self.args.get(at).and_then(times::number) {
                Some(seconds) => Ok(Patience::new(Some(seconds))),
                None => Err(err!(PROC_LUA, "attempt to compare timeout with number")),
            },
        }
    }

    /// `touch(id, delta)`: `[id, 't', data]`, or no value if there is nothing to add.
    async fn touch(self) -> Result<Values> {
        let delta = match self.args.token(1) {
            Token::Nil => return Ok(Values::none()),
            _ => self.args.get(1).and_then(times::number),
        };
        let Some(delta) = delta else {
            return Err(err!(PROC_LUA, "attempt to compare delta with number"));
        };
        if delta <= 0.0 || delta.is_nan() {
            return Ok(Values::none());
        }
        let id = self.args.get(0);
        let touched = self.run(|work| operations::touch(work, id, delta, self.connection_id()));
        let task = touched.await?;
        Ok(self.tube.reply(&task, None))
    }

    /// `ack(id)`: `[id, '-', data]`.
    async fn ack(self) -> Result<Values> {
        let id = self.args.get(0);
        let task = self.run(|work| operations::ack(work, id, self.connection_id())).await?;
        Ok(self.tube.reply(&task, Some(State::Done)))
    }

    /// `release(id, options)`: `[id, 'r', data]`; the state is another if that was the last attempt on the task.
    async fn release(self) -> Result<Values> {
        let (id, options) = (self.args.get(0), self.args.get(1));
        let released =
            self.run(|work| operations::release(work, id, options, self.connection_id()));
        let Outcome { task, state } = released.await?;
        Ok(self.tube.reply(&task, state))
    }

    /// `peek(id)`: `[id, state, data]`.
    async fn peek(self) -> Result<Values> {
        let id = self.args.get(0);
        let task = self.context.read(|db| {
            if !self.tubes.is_current(db, &self.tube) {
                return Err(self.gone());
            }
            operations::peek(db.space(self.tube.space_id)?, id)
        })?;
        Ok(self.tube.reply(&task, None))
    }

    /// `bury(id)`: `[id, '!', data]`.
    async fn bury(self) -> Result<Values> {
        let id = self.args.get(0);
        let task = self.run(|work| operations::bury(work, id)).await?;
        Ok(self.tube.reply(&task, None))
    }

    /// `kick(count)`: how many tasks were kicked.
    async fn kick(self) -> Result<Values> {
        let count = match self.args.token(0) {
            Token::Nil => 1.0,
            _ => match self.args.get(0).and_then(times::number) {
                Some(count) => count,
                None => return Err(err!(PROC_LUA, "'for' limit must be a number")),
            },
        };
        // The cast takes the fraction off and stops at the ends.
        let kicked = self.run(|work| operations::kick(work, count as u64)).await?;
        Ok(Values::from(kicked))
    }

    /// `delete(id)`: `[id, '-', data]`.
    async fn delete(self) -> Result<Values> {
        let id = self.args.get(0);
        let task = self.run(|work| operations::delete(work, id)).await?;
        Ok(self.tube.reply(&task, Some(State::Done)))
    }

    /// `truncate()`: no value.
    async fn truncate(self) -> Result<Values> {
        let uid = self.context.session.uid();
        let truncated = self.run(|work| {
            let db = work.txn.db();
            db.check_space(uid, &db.space(work.tube.space_id)?.def, Privilege::WRITE)?;
            operations::truncate(work)
        });
        truncated.await?;
        Ok(Values::none())
    }

    /// `release_all()`: no value.
    async fn release_all(self) -> Result<Values> {
        self.run(operations::release_all).await?;
        Ok(Values::none())
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
        Ok(Values::from(true))
    }

    /// `grant(user, options)`: no value.
    async fn grant_user(self) -> Result<Values> {
        self.grant(false).await
    }

    /// `grant_role(role, options)`: no value.
    async fn grant_role(self) -> Result<Values> {
        self.grant(true).await
    }

    /// Grants what is needed to use the tube.
    async fn grant(&self, is_role: bool) -> Result<Values> {
        let grantee = grant::Grantee { name: self.args.str(0).unwrap_or("nil"), is_role };
        let options = GrantOptions::parse(self.args.get(1));
        let granted =
            self.run_as(self.context.session.uid(), |work| grant::grant(work, grantee, &options));
        granted.await?;
        Ok(Values::none())
    }
}

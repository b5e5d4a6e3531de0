//! The task queue: named tubes of tasks, with the interface and the spaces of tarantool-queue 1.5.0.
//!
//! ```text
//! queue.create_tube(name, type, options)      api        functions of the module
//! queue.tube.NAME:put(data), :take(timeout)   methods    one call of a tube's method: arguments, waits, reply; many,
//!                                                        portions
//!                                             operations what it does in a transaction: who may, what is counted
//!                                             driver     how the tube's type does it; fifo, fifottl, utube
//!                                             lanes, buffer  whose turn it is among sub-queues
//!                                             passed     and among tasks of which many have ended
//!                                             dead_letter  what becomes of a task that fails again and again
//! transactions of streams end                 open       of what they did others learn
//! connections come and go                     sessions   who holds what (taken), for how long (cfg)
//! time passes                                 timer      expiry does what rows say is due; timed, times, clock
//! ```
//!
//! Everything is rows: a tube is a space of tasks and a row of `_queue`; who holds a task is a row of `_queue_taken_2`.
//! What is kept beside the rows is a cache of them (`tubes`, `lanes`, `counts`: see `freshness`), `statistics`, and the
//! consumers that wait (`waiters`).
//!
//! Invariant: one operation is one transaction. A task is in one state, and it is TAKEN exactly as long as a row of
//! `_queue_taken_2` says who holds it: a session with a connection, or one whose time without has not run out.
//!
//! Runs on whatever thread runs the call; nothing here blocks but on the database's lock.
//!
//! Source: queue.md; queue/abstract.lua.

mod ages;
mod api;
mod buffer;
mod cfg;
mod clock;
mod counts;
mod ddl;
mod dead_letter;
mod driver;
mod expiry;
mod fifo;
mod fifottl;
mod freshness;
mod grant;
mod lanes;
mod layout;
mod lua_number;
mod lua_text;
mod many;
mod methods;
mod open;
mod operations;
mod options;
mod passed;
mod phase;
mod portions;
mod rates;
mod row;
mod sessions;
mod settings;
mod start;
mod state;
mod statistics;
mod taken;
mod timed;
mod timer;
mod times;
mod tube;
mod tubes;
mod utube;
mod waiters;
mod work;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use lycosa_proto::error::Result;
use tokio::task::AbortHandle;

use super::{Args, Begun, Context, Module, Running, Session};
use crate::db::Database;
use crate::db::access::ADMIN;
use crate::instance::Instance;
use clock::Clock;
use phase::Phase;
use tubes::Tubes;

/// What the names of a tube's methods begin with.
const TUBE: &str = "queue.tube.";

/// The queue of an instance.
pub struct Queue {
    tubes: Arc<Tubes>,
    /// The timer's task, once it runs.
    timer: OnceLock<AbortHandle>,
    /// The task that follows the instance between read-only and writable, once it runs.
    follower: OnceLock<AbortHandle>,
}

impl Queue {
    /// A queue that has not started.
    pub fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// The same with a clock of its own.
    fn with_clock(clock: Clock) -> Self {
        Self {
            tubes: Arc::new(Tubes::new(clock)),
            timer: OnceLock::new(),
            follower: OnceLock::new(),
        }
    }

    /// Makes the queue ready on an instance, which can be written to.
    async fn begin(&self, instance: &Arc<Instance>) -> Result<()> {
        self.tubes.phase.set(Phase::Startup);
        let started = instance.transaction(ADMIN, |txn| start::start(txn, &self.tubes)).await;
        self.tubes.phase.set(if started.is_ok() { Phase::Running } else { Phase::Init });
        started?;
        let timer = timer::run(Arc::downgrade(instance), self.tubes.clone());
        self.timer.get_or_init(|| tokio::spawn(timer).abort_handle());
        let follower = start::follow_instance(instance, self.tubes.clone());
        self.follower.get_or_init(|| tokio::spawn(follower).abort_handle());
        Ok(())
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.timer.get().into_iter().chain(self.follower.get()).for_each(AbortHandle::abort);
    }
}

impl Module for Queue {
    fn name(&self) -> &'static str {
        "queue"
    }

    fn start<'a>(
        &'a self,
        instance: &'a Arc<Instance>,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
        Box::pin(async move {
            self.tubes.cfg.load(&instance.config().roles_cfg.queue);
            self.begin(instance).await
        })
    }

    fn call(&self, context: &Context, name: &str, args: Args) -> Option<Running> {
        let name = name.strip_prefix("queue.")?;
        let (context, tubes) = (context.clone(), self.tubes.clone());
        let Some(services) = tubes.services().copied() else {
            return Some(api::begin_before_start(&tubes, name, &args));
        };
        let Some(name) = name.strip_prefix("tube.") else {
            return api::begin(api::Call { context, tubes, services, args }, name);
        };
        let (name, method) = name.rsplit_once(':')?;
        let tube = tubes.known(name).or_else(|| tubes.find(&context.instance.read(), name))?;
        methods::begin(methods::Call::new(context, tubes, services, tube, args), method)
    }

    fn is_short(&self, name: &str) -> bool {
        let name = name.strip_prefix(TUBE).and_then(|name| name.rsplit_once(':'));
        name.is_some_and(|(_, method)| methods::is_short(method))
    }

    fn call_held(
        &self,
        db: &mut Database,
        context: &Context,
        name: &str,
        args: Args,
    ) -> Option<Begun> {
        let (context, tubes) = (context.clone(), self.tubes.clone());
        let Some(services) = tubes.services().copied() else {
            return self.call(&context, name, args).map(Begun::Running);
        };
        let (name, method) = name.strip_prefix(TUBE)?.rsplit_once(':')?;
        let tube = tubes.known(name).or_else(|| tubes.find(db, name))?;
        methods::begin_held(methods::Call::new(context, tubes, services, tube, args), db, method)
    }

    fn on_rollback(&self) {
        // Tasks may be READY again that nobody was called for.
        self.tubes.call_all();
    }

    fn on_disconnect(&self, instance: &Arc<Instance>, session: &Arc<Session>) {
        start::on_disconnect(instance, &self.tubes, session.id);
    }
}

#[cfg(test)]
mod tests;

//! What happens to the queue when the server starts, and when a session ends.
//!
//! At start only sessions that outlive the process hold tasks, see [`super::cfg`]: every other TAKEN one goes back to READY.
//!
//! Source: queue/abstract.lua `method.start`, queue/abstract/queue_session.lua `on_session_start`, `disconnect`.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use lycosa_proto::error::Result;

use super::cfg::{self, Change};
use super::ddl::{self, NewSpace};
use super::dead_letter;
use super::driver;
use super::layout::{self, Service};
use super::operations;
use super::phase::Phase;
use super::row;
use super::sessions;
use super::state::State;
use super::taken;
use super::timed;
use super::tube::Tube;
use super::tubes::{Services, Tubes};
use super::work::{Work, find_task};
use crate::db::access::ADMIN;
use crate::db::{Ticket, Tuple, Txn};
use crate::instance::{self, Instance};

/// Creates the spaces that are missing, finds the tubes, gives back what sessions of the last process held. All in one
/// transaction.
///
/// # Errors
/// Those of the spaces.
pub(super) fn start(txn: &mut Txn<'_>, tubes: &Tubes) -> Result<()> {
    if let Some(legacy) = txn.db().space_id(layout::TAKEN_LEGACY) {
        ddl::drop_space(txn, legacy)?;
    }
    let services = Services {
        queue: ensure(txn, &layout::QUEUE)?,
        consumers: ensure(txn, &layout::CONSUMERS)?,
        taken: ensure(txn, &layout::TAKEN)?,
        session_ids: ensure(txn, &layout::SESSION_IDS)?,
        shared_sessions: ensure(txn, &layout::SHARED_SESSIONS)?,
    };
    let services = tubes.set_services(services);
    ddl::clear(txn, services.consumers)?;
    ddl::clear(txn, services.session_ids)?;
    if let Err(error) = cfg::set_mode(txn, tubes, services, tubes.cfg.in_replicaset()) {
        tracing::error!("{error}");
        tubes.cfg.change(&Change { in_replicaset: Some(false), ..Change::default() });
        cfg::set_mode(txn, tubes, services, false)?;
    }
    if !tubes.cfg.in_replicaset() {
        // A process in the other mode has left some.
        ddl::clear(txn, services.shared_sessions)?;
    }
    sessions::resume(txn, tubes, services)?;
    remove_stale(txn, tubes, services)?;
    count_attempts(txn, tubes)?;
    for tube in tubes.all(txn.db()) {
        let mut work = Work::new(txn, tubes, &tube, services);
        let released = operations::release_orphans(&mut work, None, usize::MAX)?.count;
        dead_letter::sweep(&mut work)?;
        if tube.driver.has_times() {
            timed::mend(&mut work)?;
        }
        tube.driver.start(&mut work)?;
        tube.look_soon();
        if released > 0 {
            tracing::info!("queue: released {released} tasks of tube {}", tube.name);
        }
    }
    warn_of_others(txn, tubes, services)
}

/// The id of a space of the queue, which is made if it is not there.
fn ensure(txn: &mut Txn<'_>, service: &Service) -> Result<u32> {
    if let Some(id) = txn.db().space_id(service.name) {
        return Ok(id);
    }
    let space =
        NewSpace { name: service.name, engine: "memtx", is_temporary: service.is_temporary };
    ddl::create_space(txn, space, &service.layout)
}

/// Removes rows of `_queue_taken_2` that say nothing: of sessions or tasks that are not there, of tasks that are not TAKEN.
fn remove_stale(txn: &mut Txn<'_>, tubes: &Tubes, services: &Services) -> Result<()> {
    let rows = txn.db().space(services.taken)?.primary()?.iter();
    let rows: Vec<Tuple> = rows.cloned().collect();
    for row in &rows {
        let tube = tubes.find_by_id(txn.db(), row::uint(row, 0));
        let task = match &tube {
            Some(tube) => find_task(txn.db().space(tube.space_id)?, row.field(1))?,
            None => None,
        };
        let is_taken = task.and_then(State::of) == Some(State::Taken);
        if !is_taken || !sessions::is_known(txn.db(), services, row::bytes(row, 3))? {
            taken::remove_row(txn, services.taken, row)?;
        }
    }
    Ok(())
}

/// Makes the side spaces of tubes that count attempts, where they are missing.
fn count_attempts(txn: &mut Txn<'_>, tubes: &Tubes) -> Result<()> {
    let is_uncounted =
        |tube: &Arc<Tube>| tube.settings.rule.is_some() && tube.attempts_space_id.is_none();
    for tube in tubes.all(txn.db()).into_iter().filter(is_uncounted) {
        let space = dead_letter::space_name(&tube.name);
        if txn.db().space_id(&space).is_some() {
            let name = &tube.name;
            tracing::warn!(
                "queue: no attempts of tube {name} are counted: space {space} is not its"
            );
            continue;
        }
        let is_temporary = txn.db().space(tube.space_id)?.def.is_temporary;
        dead_letter::create_space(txn, tubes, &tube.name, is_temporary)?;
    }
    Ok(())
}

/// Tells of tubes that cannot be served.
fn warn_of_others(txn: &Txn<'_>, tubes: &Tubes, services: &Services) -> Result<()> {
    for row in txn.db().space(services.queue)?.primary()?.iter() {
        let (name, tube_type) = (row::text(row, 0), row::text(row, 3));
        if driver::find(tube_type).is_none() {
            tracing::warn!("queue: tube {name} is not served: no driver for type {tube_type}");
        } else if txn.db().space_id(row::text(row, 2)).is_none() {
            tracing::warn!("queue: tube {name} is not served: its space does not exist");
        } else if tubes.find(txn.db(), name).is_none() {
            tracing::warn!("queue: tube {name} is not served: the space beside its own is not its");
        }
    }
    Ok(())
}

/// Follows an instance that becomes read-only and writable again, until it is gone.
///
/// Source: queue/abstract/queue_state.lua `queue_state_fiber`.
pub(super) fn follow_instance(
    instance: &Arc<Instance>,
    tubes: Arc<Tubes>,
) -> impl Future<Output = ()> + Send + 'static {
    let mut read_only = instance.watch_read_only();
    let instance = Arc::downgrade(instance);
    async move {
        while read_only.changed().await.is_ok() {
            let is_read_only = *read_only.borrow_and_update();
            let Some(instance) = instance.upgrade() else { return };
            follow(&instance, &tubes, is_read_only);
        }
    }
}

/// The instance has become read-only, or writable.
///
/// Read-only: consumers that wait are sent away, nothing is done to tasks. Writable again: sessions are what they were,
/// but for connections that have ended meanwhile, and what is overdue is done.
pub(super) fn follow(instance: &Arc<Instance>, tubes: &Arc<Tubes>, is_read_only: bool) {
    match (tubes.phase.get(), is_read_only) {
        (Phase::Running, true) => {
            tubes.phase.set(Phase::Ending);
            tubes.call_all();
            tubes.phase.set(Phase::Waiting);
        }
        (Phase::Waiting, false) => {
            let gone = {
                let mut gone = tubes.gone.lock();
                tubes.phase.set(Phase::Running);
                std::mem::take(&mut *gone)
            };
            gone.iter().for_each(|id| on_disconnect(instance, tubes, *id));
            tubes.timer.wake();
        }
        _ => {}
    }
}

/// A connection has ended: it leaves its session, and the tasks of a session without connections go to whoever waits; those
/// beyond the first portion a little later, see [`sessions`].
///
/// This happens before it returns, under the write lock and without a wait. Nobody is told of the result, so nobody waits
/// until it is durable either, except for a task in the background that tries again if it failed or the journal refused.
pub(super) fn on_disconnect(instance: &Arc<Instance>, tubes: &Arc<Tubes>, connection_id: u64) {
    let Some(services) = tubes.services() else { return };
    // Most connections never had a queue session.
    if matches!(sessions::of(&instance.read(), services, connection_id), Ok(None)) {
        return;
    }
    if is_put_off(tubes, connection_id) {
        return;
    }
    let left = leave(instance, tubes, connection_id);
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        instance.journal().flush();
        return;
    };
    runtime.spawn(settle(Arc::downgrade(instance), tubes.clone(), connection_id, left));
}

/// Puts the end of a connection off until the instance is writable; false if it is.
fn is_put_off(tubes: &Tubes, connection_id: u64) -> bool {
    let mut gone = tubes.gone.lock();
    let is_put_off = !tubes.phase.is_running();
    if is_put_off {
        gone.push(connection_id);
    }
    is_put_off
}

/// Leaves the session in one transaction, on which nobody waits; gives its ticket.
fn leave(instance: &Instance, tubes: &Tubes, connection_id: u64) -> Result<Ticket> {
    let Some(services) = tubes.services() else { return Ok(Ticket::SETTLED) };
    let left = instance.write().transaction(ADMIN, instance::now(), |txn| {
        let left = sessions::leave(txn, tubes, services, connection_id);
        left.inspect_err(|_| tubes.doubt())
    });
    left.map(|((), ticket)| ticket)
}

/// Waits until a session's end is durable. When it has failed, since the instance has become read-only at this moment or for
/// another reason, or when the journal refuses it, the rows are what they were and it is tried again.
async fn settle(
    instance: Weak<Instance>,
    tubes: Arc<Tubes>,
    connection_id: u64,
    mut left: Result<Ticket>,
) {
    /// A disk that was full may have room again after this.
    const PAUSE: Duration = Duration::from_secs(1);
    loop {
        let done = match left {
            Ok(ticket) => {
                let Some(instance) = instance.upgrade() else { return };
                // What the session took last may be rolled back too.
                instance.journal().wait(ticket).await.inspect_err(|_| tubes.call_all())
            }
            Err(error) => Err(error),
        };
        let Err(error) = done else { return };
        tracing::error!("queue: can't release tasks of connection {connection_id}: {error}");
        tokio::time::sleep(PAUSE).await;
        if is_put_off(&tubes, connection_id) {
            return;
        }
        let Some(instance) = instance.upgrade() else { return };
        left = leave(&instance, &tubes, connection_id);
    }
}

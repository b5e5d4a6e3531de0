//! What happens to the queue when the server starts, and when a session ends.
//!
//! No session outlives the process, so at start nobody holds a task: every TAKEN one goes back to READY.
//!
//! Source: queue/abstract.lua `method.start`, queue/abstract/queue_session.lua `on_session_start`, `disconnect`.

use std::sync::Arc;
use std::time::Duration;

use lycosa_proto::error::Result;

use super::ddl::{self, NewSpace};
use super::driver;
use super::layout::{self, Service};
use super::operations;
use super::row;
use super::sessions;
use super::tubes::{Services, Tubes};
use super::work::Work;
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
    for id in [services.consumers, services.taken, services.session_ids, services.shared_sessions] {
        clear(txn, id)?;
    }
    let services = tubes.set_services(services);
    for tube in tubes.all(txn.db()) {
        let released = operations::release_all(&mut Work::new(txn, &tube, services))?;
        tube.driver.start(&mut Work::new(txn, &tube, services))?;
        if tube.driver.has_times() {
            // Whatever is due, the timer finds it.
            tubes.timer.schedule(tube.id, 0);
        }
        if released > 0 {
            tracing::info!("queue: released {released} tasks of tube {}", tube.name);
        }
    }
    warn_of_others(txn, services)
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

/// Removes every row of a space, one by one: a rock in replicaset mode has left some that are not temporary.
fn clear(txn: &mut Txn<'_>, space_id: u32) -> Result<()> {
    let primary = txn.db().space(space_id)?.primary()?;
    let key_of = |row: &Tuple| {
        let mut key = Vec::new();
        primary.def.key_def.extract(row, &mut key);
        key
    };
    let keys: Vec<Vec<u8>> = primary.iter().map(key_of).collect();
    keys.iter().try_for_each(|key| txn.delete(space_id, 0, key).map(|_| ()))
}

/// Tells of tubes that cannot be served.
fn warn_of_others(txn: &Txn<'_>, services: &Services) -> Result<()> {
    for row in txn.db().space(services.queue)?.primary()?.iter() {
        let (name, tube_type) = (row::text(row, 0), row::text(row, 3));
        if driver::find(tube_type).is_none() {
            tracing::warn!("queue: tube {name} is not served: no driver for type {tube_type}");
        } else if txn.db().space_id(row::text(row, 2)).is_none() {
            tracing::warn!("queue: tube {name} is not served: its space does not exist");
        }
    }
    Ok(())
}

/// A connection has ended: it leaves its session, and the tasks of a session without connections go to whoever waits.
///
/// This happens before it returns, under the write lock and without a wait. Nobody is told of the result, so nobody waits
/// until it is durable either, except for a task in the background that tries again if the journal refused.
pub(super) fn on_disconnect(instance: &Arc<Instance>, tubes: &Arc<Tubes>, connection_id: u64) {
    let Some(services) = tubes.services() else { return };
    // Most connections never had a queue session.
    if matches!(sessions::of(&instance.read(), services, connection_id), Ok(None)) {
        return;
    }
    let Some(ticket) = leave(instance, tubes, connection_id) else { return };
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        instance.journal().flush();
        return;
    };
    let (instance, tubes) = (instance.clone(), tubes.clone());
    runtime.spawn(async move { settle(&instance, &tubes, connection_id, ticket).await });
}

/// Leaves the session in one transaction, on which nobody waits; gives its ticket. None if that failed.
fn leave(instance: &Instance, tubes: &Tubes, connection_id: u64) -> Option<Ticket> {
    let services = tubes.services()?;
    let left = instance.write().transaction(ADMIN, instance::now(), |txn| {
        sessions::leave(txn, tubes, services, connection_id)
    });
    match left {
        Ok(((), ticket)) => Some(ticket),
        Err(error) => {
            tubes.doubt();
            tracing::error!("queue: can't release tasks of connection {connection_id}: {error}");
            None
        }
    }
}

/// Waits until a session's end is durable. When the journal refuses it, the rows are back and it is tried again.
async fn settle(instance: &Instance, tubes: &Tubes, connection_id: u64, mut ticket: Ticket) {
    /// A disk that was full may have room again after this.
    const PAUSE: Duration = Duration::from_secs(1);
    while let Err(error) = instance.journal().wait(ticket).await {
        tracing::error!("queue: can't release tasks of connection {connection_id}: {error}");
        // What the session took last may be rolled back too.
        tubes.call_all();
        tokio::time::sleep(PAUSE).await;
        match leave(instance, tubes, connection_id) {
            Some(next) => ticket = next,
            None => return,
        }
    }
}

//! Transactions of the caller: run at once, answered once they are durable. In an open transaction of a stream: run in it,
//! and built for as well if there is much.
//!
//! ```text
//! begin --journal has room--> transaction, committed --> the future waits for its ticket --> values
//!   |                           |
//!   |                           +--much to build--> the future has it built, then begins again by name
//!   +-----journal is full---> the future waits for room, then begins again by name
//! ```

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};

use super::{Call, ready};
use crate::db::build::Build;
use crate::db::journal::Journal as _;
use crate::db::{Ticket, Txn};
use crate::instance::{Building, Instance, now};
use crate::procs::{Args, Context, Running, Values};
use crate::wal::journal::Mode;

/// How a transaction has ended.
enum Outcome {
    Committed(Values, Ticket),
    /// What the name says is not there.
    Missing,
    /// Taken back until that is built.
    Postponed(Build),
    Failed(Error),
}

/// Begins a procedure whose work is `body`: None from it means that what the name says is not there.
pub(super) fn begin(
    call: Call<'_>,
    body: impl FnOnce(&mut Txn<'_>, &Args) -> Result<Option<Values>>,
) -> Option<Running> {
    let Call { context, name, args, built } = call;
    let (instance, uid) = (&context.instance, context.session.uid());
    if let Some(id) = context.open_transaction() {
        let mut postponed = None;
        let done = instance.write().run_interactive(id, uid, now(), |txn| {
            let done = run(txn, built, |txn| body(txn, &args));
            postponed = txn.take_postponed();
            done
        });
        let Some(build) = postponed else { return done.transpose().map(ready) };
        return Some(build_first(context, name, args, build));
    }
    if built.is_none() && instance.journal().is_full() {
        return Some(Box::pin(begin_later(context.clone(), name.to_owned(), args)));
    }
    let outcome = {
        let mut db = instance.write();
        let mut txn = db.begin(uid, now());
        match run(&mut txn, built, |txn| body(txn, &args)) {
            Ok(Some(values)) => Outcome::Committed(values, txn.commit()),
            Ok(None) => Outcome::Missing,
            Err(error) => txn.take_postponed().map_or(Outcome::Failed(error), Outcome::Postponed),
        }
    };
    Some(match outcome {
        Outcome::Committed(values, ticket) => answer_after(instance, ticket, values),
        Outcome::Missing => return None,
        Outcome::Postponed(build) => build_first(context, name, args, build),
        Outcome::Failed(error) => ready(Err(error)),
    })
}

/// Runs `body` with what was built for it, or lets it postpone what takes long.
fn run<T>(
    txn: &mut Txn<'_>,
    built: Option<Building>,
    body: impl FnOnce(&mut Txn<'_>) -> Result<T>,
) -> Result<T> {
    match built {
        Some(built) => built.finish(txn)?,
        None => txn.allow_postponing(),
    }
    body(txn)
}

/// A procedure that begins again once what it needs is built.
fn build_first(context: &Context, name: &str, args: Args, build: Build) -> Running {
    let building = Building::new(context.instance.clone(), context.open_transaction(), build);
    Box::pin(begin_built(context.clone(), name.to_owned(), args, building))
}

/// A procedure that answers once what it has committed is durable.
pub(super) fn answer_after(instance: &Arc<Instance>, ticket: Ticket, values: Values) -> Running {
    let committed = Committed { instance: instance.clone(), ticket };
    Box::pin(async move {
        committed.instance.journal().wait(committed.ticket).await?;
        Ok(values)
    })
}

/// Begins again once the journal has room; what the name says may have gone meanwhile.
async fn begin_later(context: Context, name: String, args: Args) -> Result<Values> {
    context.instance.journal().ready().await;
    let running = super::begin(Call { context: &context, name: &name, args, built: None });
    running.ok_or_else(|| err!(NO_SUCH_PROC, name))?.await
}

/// Begins again once what it needs is built.
async fn begin_built(
    context: Context,
    name: String,
    args: Args,
    mut building: Building,
) -> Result<Values> {
    building.run().await?;
    if context.instance.journal().is_full() {
        context.instance.journal().ready().await;
    }
    let built = Some(building);
    let running = super::begin(Call { context: &context, name: &name, args, built });
    running.ok_or_else(|| err!(NO_SUCH_PROC, name))?.await
}

/// A transaction whose rows are in the journal's queue. They are written even if nobody waits for them any more.
struct Committed {
    instance: Arc<Instance>,
    ticket: Ticket,
}

impl Drop for Committed {
    fn drop(&mut self) {
        let journal = self.instance.journal();
        // In mode fsync a thread writes of itself.
        if journal.mode() == Mode::Write && journal.settled() < self.ticket {
            journal.flush();
        }
    }
}

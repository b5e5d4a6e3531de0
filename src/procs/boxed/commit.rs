//! Transactions of the caller: run at once, answered once they are durable.
//!
//! ```text
//! begin --journal has room--> transaction, committed --> the future waits for its ticket --> values
//!   +-----journal is full---> the future waits for room, then begins again by name
//! ```

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::Result;

use super::ready;
use crate::db::journal::Journal as _;
use crate::db::{Ticket, Txn};
use crate::instance::{Instance, now};
use crate::procs::{Args, Context, Running, Values};
use crate::wal::journal::Mode;

/// Begins the procedure `name`, whose work is `body`: None from it means that what the name says is not there.
pub(super) fn begin(
    context: &Context,
    name: &str,
    args: Args,
    body: impl FnOnce(&mut Txn<'_>, &Args) -> Result<Option<Values>>,
) -> Option<Running> {
    let instance = &context.instance;
    if instance.journal().is_full() {
        return Some(Box::pin(begin_later(context.clone(), name.to_owned(), args)));
    }
    let uid = context.session.uid();
    let done = instance.write().transaction(uid, now(), |txn| body(txn, &args));
    let (values, ticket) = match done {
        Ok((values, ticket)) => (values?, ticket),
        Err(error) => return Some(ready(Err(error))),
    };
    let committed = Committed { instance: instance.clone(), ticket };
    Some(Box::pin(async move {
        committed.instance.journal().wait(committed.ticket).await?;
        Ok(values)
    }))
}

/// Begins again once the journal has room; what the name says may have gone meanwhile.
async fn begin_later(context: Context, name: String, args: Args) -> Result<Values> {
    context.instance.journal().ready().await;
    let running = super::begin(&context, &name, args);
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

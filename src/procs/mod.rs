//! Stored procedures in Rust: the registry that CALL looks names up in, and what a procedure gets.
//!
//! A procedure is an async function: every stretch that touches data is a closure given to [`Context::transaction`] or
//! [`Context::read`], one closure, one transaction; between closures it may await. It ends when its session does: its
//! future is dropped at an await, so no transaction is ever half done. A call in a stream with an open transaction runs
//! its closures in that one.
//!
//! Access: CALL needs the right to execute the function. Inside, a procedure acts as admin, as functions of Tarantool do
//! that run with their owner's rights; what the caller may touch beyond that is the procedure's to check.

pub mod authman;
pub mod boxed;
pub mod context;
pub mod queue;
pub mod session;
pub mod stream;
pub mod values;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use lycosa_proto::error::Result;

pub use context::Context;
pub use session::Session;
pub use stream::{BeginOptions, StreamTransaction};
pub use values::{Args, Tuples, Values};

use crate::db::Database;
use crate::db::journal::Ticket;
use crate::instance::Instance;

/// What a running procedure is.
pub type Running = Pin<Box<dyn Future<Output = Result<Values>> + Send>>;

/// How far a procedure has come when it has been begun by somebody who holds the database.
pub enum Begun {
    /// It has ended; the answer must not leave before the ticket is settled.
    Ended(Result<Values>, Ticket),
    /// It goes on.
    Running(Running),
}

/// An application: a group of procedures under one first name.
pub trait Module: Send + Sync {
    /// The first name of its procedures: `queue` of `queue.tube.x:put`.
    fn name(&self) -> &'static str;

    /// Makes ready what the application keeps: its spaces, what it must know after a restart. Called once, before any
    /// connection is served, on a thread that may block inside of a runtime.
    fn start<'a>(
        &'a self,
        instance: &'a Arc<Instance>,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

    /// Begins a procedure. None if there is none of this name, which is the whole one.
    fn call(&self, context: &Context, name: &str, args: Args) -> Option<Running>;

    /// True if a procedure is better begun by somebody who holds the database: it takes no longer than a request.
    fn is_short(&self, _name: &str) -> bool {
        false
    }

    /// Begins a procedure, in no open transaction, for somebody who holds the database. None if there is none of this name.
    fn call_held(
        &self,
        _db: &mut Database,
        context: &Context,
        name: &str,
        args: Args,
    ) -> Option<Begun> {
        self.call(context, name, args).map(Begun::Running)
    }

    /// The journal has rolled back what a procedure did that had ended already, see [`Begun::Ended`].
    fn on_rollback(&self) {}

    /// A session has ended; its procedures are gone already.
    fn on_disconnect(&self, instance: &Arc<Instance>, session: &Arc<Session>);
}

/// The applications that run.
#[derive(Default)]
pub struct Registry {
    modules: Vec<Arc<dyn Module>>,
}

impl Registry {
    /// Adds an application.
    pub fn add(&mut self, module: Arc<dyn Module>) {
        self.modules.push(module);
    }

    /// Makes every application ready.
    ///
    /// # Errors
    /// Those of the applications.
    pub async fn start(&self, instance: &Arc<Instance>) -> Result<()> {
        for module in &self.modules {
            module.start(instance).await?;
        }
        Ok(())
    }

    /// Begins the procedure of a name. None if there is none.
    pub fn call(&self, context: &Context, name: &str, args: Args) -> Option<Running> {
        self.module(name)?.call(context, name, args)
    }

    /// True if the procedure of a name is better begun by somebody who holds the database.
    pub fn is_short(&self, name: &str) -> bool {
        self.module(name).is_some_and(|module| module.is_short(name))
    }

    /// Begins the procedure of a name for somebody who holds the database. None if there is none.
    pub fn call_held(
        &self,
        db: &mut Database,
        context: &Context,
        name: &str,
        args: Args,
    ) -> Option<Begun> {
        self.module(name)?.call_held(db, context, name, args)
    }

    /// The application that a procedure would be of.
    pub fn module(&self, name: &str) -> Option<&dyn Module> {
        let first = name.split(['.', ':']).next().unwrap_or(name);
        self.modules.iter().map(|module| &**module).find(|module| module.name() == first)
    }

    /// Tells every application that the journal has rolled back what ended procedures did.
    pub fn on_rollback(&self) {
        self.modules.iter().for_each(|module| module.on_rollback());
    }

    /// Tells every application that a session has ended.
    pub fn on_disconnect(&self, instance: &Arc<Instance>, session: &Arc<Session>) {
        self.modules.iter().for_each(|module| module.on_disconnect(instance, session));
    }
}

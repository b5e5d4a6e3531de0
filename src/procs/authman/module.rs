//! The application as the registry knows it: made ready at start, called by name.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use lycosa_proto::error::Result;
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::answer;
use super::install::install;
use super::store::{Engine, Ids};
use super::{Authman, Drawn, Procedure, sweeper};
use crate::config;
use crate::db::access::ADMIN;
use crate::http::{Http, HttpError};
use crate::instance::{self, Instance};
use crate::procs::{Args, Context, Module, Running, Session, Values};

/// Accounts and login, for the registry.
pub struct AuthmanModule {
    config: config::Authman,
    http: Http,
    /// None before the start.
    started: OnceLock<Arc<Started>>,
    /// The task that removes what has expired, once it runs.
    sweeper: OnceLock<AbortHandle>,
}

/// The application on its database.
struct Started {
    authman: Arc<Authman>,
    ids: Ids,
}

impl AuthmanModule {
    /// The application with its settings, not started.
    ///
    /// # Errors
    /// What keeps requests to providers from being made at all.
    pub fn new(config: &config::Authman) -> std::result::Result<Self, HttpError> {
        let (started, sweeper) = (OnceLock::new(), OnceLock::new());
        Ok(Self { config: config.clone(), http: Http::new()?, started, sweeper })
    }
}

impl Drop for AuthmanModule {
    fn drop(&mut self) {
        if let Some(sweeper) = self.sweeper.get() {
            sweeper.abort();
        }
    }
}

impl Started {
    async fn run(&self, procedure: Procedure, args: &Args, context: Context) -> Result<Values> {
        let drawn = Drawn {
            now: instance::now() as u64,
            uuid: &|| Uuid::new_v4().to_string(),
            bytes: &rand::random,
            address: context.session.peer.ip(),
        };
        let store = Engine { context, ids: self.ids };
        let answer = self.authman.call(procedure, args, &store, drawn).await?;
        Ok(answer::values(&answer))
    }
}

impl Module for AuthmanModule {
    fn name(&self) -> &'static str {
        "auth"
    }

    fn start<'a>(
        &'a self,
        instance: &'a Arc<Instance>,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
        Box::pin(async move {
            let installed = instance.transaction(ADMIN, |txn| install(txn, &self.config)).await?;
            let authman = Authman::new(&self.config, &self.http, installed.secrets);
            let (authman, ids) = (Arc::new(authman), installed.ids);
            let settings = sweeper::Settings::new(&self.config);
            if !settings.interval.is_zero() {
                let passes = sweeper::run(Arc::downgrade(instance), ids, authman.clone(), settings);
                self.sweeper.get_or_init(|| tokio::spawn(passes).abort_handle());
            }
            self.started.get_or_init(|| Arc::new(Started { authman, ids }));
            Ok(())
        })
    }

    fn call(&self, context: &Context, name: &str, args: Args) -> Option<Running> {
        let procedure = Procedure::find(name)?;
        let (started, context) = (self.started.get()?.clone(), context.clone());
        Some(Box::pin(async move { started.run(procedure, &args, context).await }))
    }

    fn on_disconnect(&self, _instance: &Arc<Instance>, _session: &Arc<Session>) {}
}

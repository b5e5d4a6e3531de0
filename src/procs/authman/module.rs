//! The application as the registry knows it: made ready at start, called by name.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use lycosa_proto::error::Result;
use uuid::Uuid;

use super::answer;
use super::install::install;
use super::store::{Engine, Ids};
use super::{Authman, Drawn, Procedure};
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
}

/// The application on its database.
struct Started {
    authman: Authman,
    ids: Ids,
}

impl AuthmanModule {
    /// The application with its settings, not started.
    ///
    /// # Errors
    /// What keeps requests to providers from being made at all.
    pub fn new(config: &config::Authman) -> std::result::Result<Self, HttpError> {
        Ok(Self { config: config.clone(), http: Http::new()?, started: OnceLock::new() })
    }
}

impl Started {
    async fn run(&self, procedure: Procedure, args: &Args, context: &Context) -> Result<Values> {
        let store = Engine { context, ids: &self.ids };
        let drawn = Drawn {
            now: instance::now() as u64,
            uuid: &|| Uuid::new_v4().to_string(),
            bytes: &rand::random,
        };
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
            self.started.get_or_init(|| Arc::new(Started { authman, ids: installed.ids }));
            Ok(())
        })
    }

    fn call(&self, context: &Context, name: &str, args: Args) -> Option<Running> {
        let procedure = Procedure::find(name)?;
        let (started, context) = (self.started.get()?.clone(), context.clone());
        Some(Box::pin(async move { started.run(procedure, &args, &context).await }))
    }

    fn on_disconnect(&self, _instance: &Arc<Instance>, _session: &Arc<Session>) {}
}

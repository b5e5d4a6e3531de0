//! Asking a provider again whether a credential stands for the same person.
//!
//! ```text
//! who checks a session --+
//! who else does ---------+--> a task: token refreshed --> its replacement kept --> profile --> the answer, to all of them
//! ```
//!
//! However many sessions of a credential are due at once, the provider is asked once: a refresh token may be good for one
//! use, and using it twice may end the whole consent. A token that comes in its place is the only good one from then on.
//! So the question is a task of its own, which goes on when nobody waits for it any more, and works outside of any open
//! transaction, whose end must not take the token back; and the token is kept before anything else is asked for.

use std::collections::HashMap;
use std::sync::Arc;

use lycosa_proto::error::Result;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::Authman;
use super::clock::Clock;
use super::model::{Accounts, AccountsMut, Credential, Kept, Store};
use super::provider::{Person, Provider};

/// What becomes of one question; None if the provider does not confirm the person.
type Answered = Result<Option<Person>>;

/// Questions that are under way, by the id of the credential.
#[derive(Clone, Debug, Default)]
pub struct Rechecks(Arc<Mutex<HashMap<String, watch::Receiver<Option<Answered>>>>>);

impl Rechecks {
    /// The answer to the question about a credential. `ask` is begun as a task unless it is under way.
    async fn answer<F>(&self, credential_id: &str, ask: impl FnOnce() -> F) -> Answered
    where
        F: Future<Output = Answered> + Send + 'static,
    {
        let mut answer = self.join(credential_id, ask);
        // A task that ends without an answer has confirmed nobody.
        let found = answer.wait_for(Option::is_some).await.ok();
        found.and_then(|found| found.clone()).unwrap_or(Ok(None))
    }

    fn join<F>(
        &self,
        credential_id: &str,
        ask: impl FnOnce() -> F,
    ) -> watch::Receiver<Option<Answered>>
    where
        F: Future<Output = Answered> + Send + 'static,
    {
        let mut questions = self.0.lock();
        if let Some(answer) = questions.get(credential_id) {
            return answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        questions.insert(credential_id.to_owned(), answer.clone());
        let asked = Asked { rechecks: self.clone(), credential_id: credential_id.to_owned() };
        let asking = ask();
        tokio::spawn(async move {
            let found = asking.await;
            // Who comes from now on asks anew: this is old news.
            drop(asked);
            sender.send_replace(Some(found));
        });
        answer
    }
}

/// A question that is under way; forgotten at its end.
struct Asked {
    rechecks: Rechecks,
    credential_id: String,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.rechecks.0.lock().remove(&self.credential_id);
    }
}

/// A question.
struct Question<S> {
    provider: Arc<Provider>,
    credential_id: String,
    store: S,
    clock: Clock,
}

impl<S: Store> Question<S> {
    async fn ask(self) -> Answered {
        let provider = &self.provider;
        // Another question may have had the token replaced since the credential was read.
        let read = |accounts: &dyn Accounts| accounts.credential(&self.credential_id);
        let Some(credential) = self.store.read(read).await? else { return Ok(None) };
        let person = match provider.refresh(&credential.kept, self.clock).await {
            Ok(refreshed) => {
                if let Some(newer) = &refreshed.kept {
                    self.keep(&credential.kept, newer).await?;
                }
                provider.profile_again(&refreshed, self.clock).await
            }
            Err(error) => Err(error),
        };
        match person {
            Ok(person) if person.id == credential.social_id => Ok(Some(person)),
            Ok(_) => {
                tracing::warn!("{}: a token stands for another person now", provider.name());
                Ok(None)
            }
            Err(error) => {
                tracing::warn!("{}: no profile: {error}", provider.name());
                Ok(None)
            }
        }
    }

    /// Keeps a token in place of the one that was sent, unless a login has brought another meanwhile.
    async fn keep(&self, sent: &Kept, newer: &Kept) -> Result<()> {
        let keep =
            |accounts: &mut dyn AccountsMut| match accounts.credential(&self.credential_id)? {
                Some(found) if found.kept == *sent => {
                    accounts.put_credential(&Credential { kept: newer.clone(), ..found })
                }
                _ => Ok(()),
            };
        self.store.write(keep).await
    }
}

impl Authman {
    /// Asks the provider whether a credential still stands for the same person, outside of any open transaction.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn confirm(
        &self,
        credential: &Credential,
        store: &impl Store,
        clock: Clock,
    ) -> Result<Option<Person>> {
        let Some(question) = self.question(credential, store.outside(), clock) else {
            return Ok(None);
        };
        self.rechecks.answer(&credential.id, || question.ask()).await
    }

    /// The same for a credential that nobody but the open transaction knows, with which it comes or goes.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn confirm_inside(
        &self,
        credential: &Credential,
        store: &impl Store,
        clock: Clock,
    ) -> Result<Option<Person>> {
        match self.question(credential, store.clone(), clock) {
            Some(question) => question.ask().await,
            None => Ok(None),
        }
    }

    /// None if the provider is not configured any more.
    fn question<S: Store>(
        &self,
        credential: &Credential,
        store: S,
        clock: Clock,
    ) -> Option<Question<S>> {
        let provider = self.provider(&credential.provider)?.clone();
        Some(Question { provider, credential_id: credential.id.clone(), store, clock })
    }
}

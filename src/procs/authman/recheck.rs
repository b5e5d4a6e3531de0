//! Asking a provider again whether a credential stands for the same person.
//!
//! However many sessions of a credential are due at once, the provider is asked once: a refresh token may be good for one
//! use, and using it twice may end the whole consent. A token that is given in its place is kept at once, whatever comes of
//! the rest.

use std::collections::HashMap;
use std::sync::Arc;

use lycosa_proto::error::Result;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::model::{Accounts, AccountsMut, Credential, Store};
use super::provider::{Confirmed, Person};
use super::{Authman, Drawn};

/// What becomes of one question; None if the provider does not confirm the person.
type Answered = OnceCell<Option<Person>>;

/// Questions that are under way, by the id of the credential.
#[derive(Debug, Default)]
pub struct Rechecks(Mutex<HashMap<String, Arc<Answered>>>);

/// A part in a question; the last one who has one forgets it.
struct Part<'a> {
    rechecks: &'a Rechecks,
    credential_id: &'a str,
    question: Arc<Answered>,
}

impl Rechecks {
    fn join<'a>(&'a self, credential_id: &'a str) -> Part<'a> {
        let question = self.0.lock().entry(credential_id.to_owned()).or_default().clone();
        Part { rechecks: self, credential_id, question }
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        let mut questions = self.rechecks.0.lock();
        let is_this =
            questions.get(self.credential_id).is_some_and(|at| Arc::ptr_eq(at, &self.question));
        // The map and this part have it. One that is answered is old news for who comes from now on.
        if is_this && (self.question.initialized() || Arc::strong_count(&self.question) <= 2) {
            questions.remove(self.credential_id);
        }
    }
}

impl Authman {
    /// Asks the provider whether the credential still stands for the same person.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn confirm(
        &self,
        credential: &Credential,
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Result<Option<Person>> {
        let part = self.rechecks.join(&credential.id);
        let question = part.question.clone();
        question.get_or_try_init(|| self.ask(&credential.id, store, drawn)).await.cloned()
    }

    async fn ask(
        &self,
        credential_id: &str,
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Result<Option<Person>> {
        // Another question may have had the token replaced since the credential was read.
        let read = |accounts: &dyn Accounts| accounts.credential(credential_id);
        let Some(credential) = store.read(read).await? else { return Ok(None) };
        let Some(provider) = self.provider(&credential.provider) else { return Ok(None) };
        let Confirmed { kept, person } = provider.confirm(&credential.kept, drawn.now).await;
        if let Some(kept) = kept {
            let keep = |accounts: &mut dyn AccountsMut| match accounts.credential(credential_id)? {
                Some(credential) => accounts.put_credential(&Credential { kept, ..credential }),
                None => Ok(()),
            };
            store.write(keep).await?;
        }
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
}

//! A user is removed with every row that stands for them.
//!
//! ```text
//! user --+-- password, restore token, social credentials, login sessions
//!        +-- scopes and redirects of theirs --> codes and tokens that they gave to the same applications
//!        +-- applications of theirs --> consumer --> its codes, tokens, scopes and redirects
//! ```
//!
//! What stays: codes and tokens of others' applications for which neither a scope nor a redirect was saved. No index
//! leads to them.
//!
//! Source: authman.md section 7, `delete_user`; section 9, `delete_app`, `delete_user_authorizations`.

use lycosa_proto::error::Result;
use lycosa_proto::msgpack::read_str;

use super::places::Place;
use super::{Source, Writing, texts};
use crate::db::Tuple;

/// Zero-based fields of the OAuth2 spaces.
mod field {
    /// Of an application: its id.
    pub(super) const APP_ID: u32 = 0;
    /// Of a consumer, a scope and a redirect: the consumer's key.
    pub(super) const CONSUMER_KEY: u32 = 0;
}

impl Writing<'_, '_> {
    /// Removes a user; see the top of this file.
    pub(super) fn remove_user(&mut self, user_id: &str) -> Result<()> {
        let ids = *self.ids;
        for place in [
            ids.user,
            ids.password_by_user,
            ids.restore_token,
            ids.credential_by_user,
            ids.session_by_user,
        ] {
            self.delete_all(place, &[user_id])?;
        }
        for place in [ids.scope_by_user, ids.redirect_by_user] {
            for row in self.delete_all(place, &[user_id])? {
                let Some(key) = text(&row, field::CONSUMER_KEY) else { continue };
                self.delete_all(ids.code_by_consumer, &[key, user_id])?;
                self.delete_all(ids.token_by_consumer, &[key, user_id])?;
            }
        }
        for app in self.delete_all(ids.app_by_user, &[user_id])? {
            let Some(app_id) = text(&app, field::APP_ID) else { continue };
            self.remove_consumers(app_id)?;
        }
        Ok(())
    }

    /// Removes the consumer of an application with what it was given.
    fn remove_consumers(&mut self, app_id: &str) -> Result<()> {
        let ids = *self.ids;
        for consumer in self.delete_all(ids.consumer_by_app, &[app_id])? {
            let Some(key) = text(&consumer, field::CONSUMER_KEY) else { continue };
            for place in [ids.code_by_consumer, ids.token_by_consumer, ids.scope, ids.redirect] {
                self.delete_all(place, &[key])?;
            }
        }
        Ok(())
    }

    /// Deletes every row under a key of texts; gives them.
    pub(super) fn delete_all(&mut self, place: Place, key: &[&str]) -> Result<Vec<Tuple>> {
        let mut rows = Vec::new();
        self.each(place, &texts(key), u32::MAX, |row| rows.push(row.clone()))?;
        for row in &rows {
            let primary = self.txn.db().space(place.space_id)?.primary()?;
            let (index_id, mut key) = (primary.def.id, Vec::new());
            primary.def.key_def.extract(row, &mut key);
            self.txn.delete(place.space_id, index_id, &key)?;
        }
        Ok(rows)
    }
}

/// A field that is text.
fn text(row: &Tuple, field_no: u32) -> Option<&str> {
    std::str::from_utf8(read_str(&mut row.field(field_no)?).ok()?).ok()
}

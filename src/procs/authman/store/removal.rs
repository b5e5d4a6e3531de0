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

use super::{Source, Writing, texts};
use crate::db::Tuple;
use crate::procs::authman::model::{Index, Record};
use crate::procs::authman::oauth::{field, remove_consumers};

impl Writing<'_, '_> {
    /// Removes a user; see the top of this file.
    pub(super) fn remove_user(&mut self, user_id: &str) -> Result<()> {
        for index in [
            Index::User,
            Index::PasswordByUser,
            Index::PasswordToken,
            Index::CredentialByUser,
            Index::SessionByUser,
        ] {
            self.delete_all(index, &[user_id])?;
        }
        for index in [Index::ScopeByUser, Index::RedirectByUser] {
            for row in self.delete_all(index, &[user_id])? {
                let key = row.text(field::consumer::KEY);
                self.delete_all(Index::CodeByConsumer, &[key, user_id])?;
                self.delete_all(Index::TokenByConsumer, &[key, user_id])?;
            }
        }
        for app in self.delete_all(Index::AppByUser, &[user_id])? {
            remove_consumers(self, app.text(field::app::ID))?;
        }
        Ok(())
    }

    /// Deletes every row under a key of texts; gives them.
    pub(super) fn delete_all(&mut self, index: Index, key: &[&str]) -> Result<Vec<Record>> {
        let mut rows: Vec<Tuple> = Vec::new();
        self.each(index, &texts(key), u32::MAX, |row| rows.push(row.clone()))?;
        for row in &rows {
            let primary = self.space(index)?.primary()?;
            let (index_id, mut key) = (primary.def.id, Vec::new());
            primary.def.key_def.extract(row, &mut key);
            self.txn.delete(self.ids.of(index).space_id, index_id, &key)?;
        }
        Ok(rows.iter().map(|row| Record::new(row.data())).collect())
    }
}

//! The rows in the engine: [`Store`] over a procedure's [`Context`].
//!
//! Ids of spaces and indexes are looked up once, at start; a space that is dropped while the server runs is an error of
//! the database from then on.

mod places;
mod removal;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{write_array, write_str, write_uint};

use super::model::{
    Accounts, AccountsMut, Credential, From, Index, LoginSession, Password, PasswordToken, Record,
    Row, SocialState, Store, User, user_type, with_rest,
};
use crate::db::access::ADMIN;
use crate::db::index::After;
use crate::db::space::Space;
use crate::db::{Database, Key, Select, Tuple, Txn};
use crate::procs::Context;
use places::Place;

pub use places::Ids;

/// States that are looked at, oldest first, when one is put: twice as many could expire as come, and they would all go.
const STATES_LOOKED_AT: u32 = 3;

/// The database of one call.
#[derive(Clone)]
pub struct Engine {
    /// What the procedure got.
    pub context: Context,
    /// Where the rows are.
    pub ids: Ids,
}

impl Store for Engine {
    async fn read<T: Send>(
        &self,
        work: impl FnOnce(&dyn Accounts) -> Result<T> + Send,
    ) -> Result<T> {
        self.context.read(|db| work(&Reading { db, ids: &self.ids }))
    }

    async fn write<T: Send>(
        &self,
        work: impl FnOnce(&mut dyn AccountsMut) -> Result<T> + Send,
    ) -> Result<T> {
        self.context.transaction(|txn| work(&mut Writing { txn, ids: &self.ids })).await
    }

    fn is_inside(&self) -> bool {
        self.context.open_transaction().is_some()
    }

    fn outside(&self) -> Self {
        let context = Context { stream: None, ..self.context.clone() };
        Self { context, ids: self.ids }
    }
}

/// Rows to read.
struct Reading<'a> {
    db: &'a Database,
    ids: &'a Ids,
}

/// Rows inside a transaction.
struct Writing<'a, 'db> {
    txn: &'a mut Txn<'db>,
    ids: &'a Ids,
}

/// A database and where the rows are in it.
trait Source {
    fn db(&self) -> &Database;

    fn ids(&self) -> &Ids;

    fn space(&self, index: Index) -> Result<&Space> {
        self.db().space(self.ids().of(index).space_id)
    }

    /// Gives the first rows under a key, a MsgPack array, to `work`.
    fn each(&self, index: Index, key: &[u8], limit: u32, work: impl FnMut(&Tuple)) -> Result<u32> {
        let (Place { space_id, index_id }, iterator) = (self.ids().of(index), Kind::Eq as u32);
        let select = Select { space_id, index_id, iterator, offset: 0, limit, key };
        self.db().select(ADMIN, &select, work)
    }

    /// The first row under a key, a MsgPack array.
    fn get<R: Row>(&self, index: Index, key: &[u8]) -> Result<Option<R>> {
        let mut found = None;
        self.each(index, key, 1, |tuple| found = Some(R::read(tuple.data())))?;
        // Taking a row of somebody else for an absent one would end in overwriting it.
        let strange = || {
            let name = self.space(index).map_or("", |space| &*space.def.name);
            err!(PROC_C, format!("authman: space '{name}' holds a row of another layout"))
        };
        found.map(|row| row.ok_or_else(strange)).transpose()
    }
}

impl Source for Reading<'_> {
    fn db(&self) -> &Database {
        self.db
    }

    fn ids(&self) -> &Ids {
        self.ids
    }
}

impl Source for Writing<'_, '_> {
    fn db(&self) -> &Database {
        self.txn.db()
    }

    fn ids(&self) -> &Ids {
        self.ids
    }
}

/// A key of texts.
fn texts(texts: &[&str]) -> Vec<u8> {
    let mut key = Vec::new();
    write_array(&mut key, texts.len());
    texts.iter().for_each(|text| write_str(&mut key, text));
    key
}

impl<S: Source> Accounts for S {
    fn user(&self, id: &str) -> Result<Option<User>> {
        self.get(Index::User, &texts(&[id]))
    }

    fn common_user(&self, email: &str) -> Result<Option<User>> {
        let mut key = Vec::new();
        write_array(&mut key, 2);
        write_str(&mut key, email);
        write_uint(&mut key, user_type::COMMON);
        self.get(Index::UserByEmail, &key)
    }

    fn password(&self, user_id: &str) -> Result<Option<Password>> {
        self.get(Index::PasswordByUser, &texts(&[user_id]))
    }

    fn password_token(&self, user_id: &str) -> Result<Option<PasswordToken>> {
        self.get(Index::PasswordToken, &texts(&[user_id]))
    }

    fn credential(&self, id: &str) -> Result<Option<Credential>> {
        self.get(Index::Credential, &texts(&[id]))
    }

    fn credential_by_social_id(
        &self,
        social_id: &str,
        provider: &str,
    ) -> Result<Option<Credential>> {
        self.get(Index::CredentialBySocialId, &texts(&[social_id, provider]))
    }

    fn first_credential(&self, user_id: &str) -> Result<Option<Credential>> {
        self.get(Index::CredentialByUser, &texts(&[user_id]))
    }

    fn session(&self, sid: &str) -> Result<Option<LoginSession>> {
        self.get(Index::Session, &texts(&[sid]))
    }

    fn records(&self, index: Index, key: &[&str]) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        self.each(index, &texts(key), u32::MAX, |row| records.push(Record::new(row.data())))?;
        Ok(records)
    }

    fn page(&self, index: Index, from: From<'_>, limit: usize) -> Result<Vec<Record>> {
        let index = self.space(index)?.primary()?;
        let every = Key { part_count: 0, parts: &[] };
        let record = |row: &Tuple| Record::new(row.data());
        Ok(match from {
            From::Offset(count) => {
                index.select(Kind::All, every).skip(count).take(limit).map(record).collect()
            }
            From::After(last) => {
                let position = index.unpack(After::Tuple(last.data()))?;
                index.select_after(Kind::All, every, &position).take(limit).map(record).collect()
            }
        })
    }

    fn count(&self, index: Index) -> Result<usize> {
        Ok(self.space(index)?.len())
    }

    fn count_under(&self, index: Index, key: &[&str]) -> Result<usize> {
        Ok(self.each(index, &texts(key), u32::MAX, |_| {})? as usize)
    }
}

impl Writing<'_, '_> {
    fn put<R: Row>(&mut self, index: Index, row: &R) -> Result<()> {
        let mut data = encoded(row);
        let space = self.space(index)?;
        let sought = Tuple::probe(&data);
        if let Some(old) = space.primary()?.find(&sought) {
            data = with_rest(&data, old.data(), R::FIELDS);
        }
        self.txn.replace(self.ids.of(index).space_id, &data).map(drop)
    }
}

fn encoded(row: &impl Row) -> Vec<u8> {
    let mut data = Vec::new();
    row.write(&mut data);
    data
}

impl AccountsMut for Writing<'_, '_> {
    fn insert_user(&mut self, user: &User) -> Result<()> {
        self.txn.insert(self.ids.of(Index::User).space_id, &encoded(user)).map(drop)
    }

    fn put_user(&mut self, user: &User) -> Result<()> {
        self.put(Index::User, user)
    }

    fn delete_user(&mut self, user_id: &str) -> Result<()> {
        self.remove_user(user_id)
    }

    fn put_password(&mut self, password: &Password) -> Result<()> {
        self.put(Index::Password, password)
    }

    fn put_password_token(&mut self, token: &PasswordToken) -> Result<()> {
        self.put(Index::PasswordToken, token)
    }

    fn delete_password_token(&mut self, user_id: &str) -> Result<()> {
        self.delete_all(Index::PasswordToken, &[user_id]).map(drop)
    }

    fn put_credential(&mut self, credential: &Credential) -> Result<()> {
        self.put(Index::Credential, credential)
    }

    fn put_social_state(&mut self, state: &SocialState, now: u64, max: u64) -> Result<()> {
        let mut oldest = Vec::new();
        let empty = texts(&[]);
        self.each(Index::SocialStateByExpiry, &empty, STATES_LOOKED_AT, |row| {
            oldest.push(SocialState::read(row.data()));
        })?;
        let len = self.count(Index::SocialState)? as u64;
        // What there will be too many of once the new one is there.
        let surplus = usize::try_from((len + 1).saturating_sub(max)).unwrap_or(usize::MAX);
        for (passed, state) in oldest.into_iter().flatten().enumerate() {
            if state.expires_at > now && passed >= surplus {
                break;
            }
            self.delete_all(Index::SocialState, &[&state.key])?;
        }
        self.put(Index::SocialState, state)
    }

    fn take_social_state(&mut self, key: &str) -> Result<Option<SocialState>> {
        let found = self.get(Index::SocialState, &texts(&[key]))?;
        self.delete_all(Index::SocialState, &[key])?;
        Ok(found)
    }

    fn put_session(&mut self, session: &LoginSession) -> Result<()> {
        self.put(Index::Session, session)
    }

    fn delete_session(&mut self, sid: &str) -> Result<()> {
        self.delete_all(Index::Session, &[sid]).map(drop)
    }

    fn delete_sessions(&mut self, user_id: &str) -> Result<()> {
        self.delete_all(Index::SessionByUser, &[user_id]).map(drop)
    }

    fn insert_record(&mut self, index: Index, record: &Record) -> Result<()> {
        self.txn.insert(self.ids.of(index).space_id, record.data()).map(drop)
    }

    fn put_record(&mut self, index: Index, record: &Record) -> Result<()> {
        self.txn.replace(self.ids.of(index).space_id, record.data()).map(drop)
    }

    fn delete_records(&mut self, index: Index, key: &[&str]) -> Result<Vec<Record>> {
        self.delete_all(index, key)
    }
}

//! The rows in the engine: [`Store`] over a procedure's [`Context`].
//!
//! Ids of spaces and indexes are looked up once, at start; a space that is dropped while the server runs is an error of
//! the database from then on.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{write_array, write_str};

use super::model::{Accounts, AccountsMut, Credential, LoginSession, Row, Store, User, with_rest};
use super::spaces::SpaceDef;
use crate::config::SpaceNames;
use crate::db::access::ADMIN;
use crate::db::{Database, Select, Tuple, Txn};
use crate::procs::Context;

/// Ids of the spaces that the procedures use, and of their secondary indexes.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    user: u32,
    credential: u32,
    credential_by_user: u32,
    credential_by_social_id: u32,
    session: u32,
}

/// The index where a row has one tuple for its id.
const PRIMARY: u32 = 0;

impl Ids {
    /// Looks up the ids in a database that has the spaces.
    ///
    /// # Errors
    /// NO_SUCH_SPACE, NO_SUCH_INDEX_NAME.
    pub fn find(db: &Database, names: &SpaceNames) -> Result<Self> {
        let space = |key: &str| {
            let name = SpaceDef::find(key).map_or(key, |def| def.name(names));
            db.space_by_name(name)
        };
        let credential = space(Credential::SPACE)?;
        Ok(Self {
            user: space(User::SPACE)?.def.id,
            credential: credential.def.id,
            credential_by_user: credential.index_by_name("user")?.def.id,
            credential_by_social_id: credential.index_by_name("social")?.def.id,
            session: space(LoginSession::SPACE)?.def.id,
        })
    }
}

/// The database of one call.
pub struct Engine<'a> {
    /// What the procedure got.
    pub context: &'a Context,
    /// Where the rows are.
    pub ids: &'a Ids,
}

impl Store for Engine<'_> {
    async fn read<T: Send>(
        &self,
        work: impl FnOnce(&dyn Accounts) -> Result<T> + Send,
    ) -> Result<T> {
        self.context.read(|db| work(&Reading { db, ids: self.ids }))
    }

    async fn write<T: Send>(
        &self,
        work: impl FnOnce(&mut dyn AccountsMut) -> Result<T> + Send,
    ) -> Result<T> {
        self.context.transaction(|txn| work(&mut Writing { txn, ids: self.ids })).await
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

impl Reading<'_> {
    /// The first row under a key of texts.
    fn get<R: Row>(&self, space_id: u32, index_id: u32, key: &[&str]) -> Result<Option<R>> {
        let mut array = Vec::new();
        write_array(&mut array, key.len());
        key.iter().for_each(|text| write_str(&mut array, text));
        let select = Select {
            space_id,
            index_id,
            iterator: Kind::Eq as u32,
            offset: 0,
            limit: 1,
            key: &array,
        };
        let mut found = None;
        self.db.select(ADMIN, &select, |tuple| found = Some(R::read(tuple.data())))?;
        // Taking a row of somebody else for an absent one would end in overwriting it.
        let strange = || {
            let name = self.db.space(space_id).map_or("", |space| &*space.def.name);
            err!(PROC_C, format!("authman: space '{name}' holds a row of another layout"))
        };
        found.map(|row| row.ok_or_else(strange)).transpose()
    }
}

impl Accounts for Reading<'_> {
    fn user(&self, id: &str) -> Result<Option<User>> {
        self.get(self.ids.user, PRIMARY, &[id])
    }

    fn credential(&self, id: &str) -> Result<Option<Credential>> {
        self.get(self.ids.credential, PRIMARY, &[id])
    }

    fn credential_by_social_id(
        &self,
        social_id: &str,
        provider: &str,
    ) -> Result<Option<Credential>> {
        self.get(self.ids.credential, self.ids.credential_by_social_id, &[social_id, provider])
    }

    fn first_credential(&self, user_id: &str) -> Result<Option<Credential>> {
        self.get(self.ids.credential, self.ids.credential_by_user, &[user_id])
    }

    fn session(&self, sid: &str) -> Result<Option<LoginSession>> {
        self.get(self.ids.session, PRIMARY, &[sid])
    }
}

impl Writing<'_, '_> {
    fn reading(&self) -> Reading<'_> {
        Reading { db: self.txn.db(), ids: self.ids }
    }

    fn put<R: Row>(&mut self, space_id: u32, row: &R) -> Result<()> {
        let mut data = Vec::new();
        row.write(&mut data);
        let old = self.txn.db().space(space_id)?.primary()?.find(&Tuple::new(&data)).cloned();
        if let Some(old) = old {
            data = with_rest(&data, old.data(), R::FIELDS);
        }
        self.txn.replace(space_id, &data).map(drop)
    }
}

impl Accounts for Writing<'_, '_> {
    fn user(&self, id: &str) -> Result<Option<User>> {
        self.reading().user(id)
    }

    fn credential(&self, id: &str) -> Result<Option<Credential>> {
        self.reading().credential(id)
    }

    fn credential_by_social_id(
        &self,
        social_id: &str,
        provider: &str,
    ) -> Result<Option<Credential>> {
        self.reading().credential_by_social_id(social_id, provider)
    }

    fn first_credential(&self, user_id: &str) -> Result<Option<Credential>> {
        self.reading().first_credential(user_id)
    }

    fn session(&self, sid: &str) -> Result<Option<LoginSession>> {
        self.reading().session(sid)
    }
}

impl AccountsMut for Writing<'_, '_> {
    fn put_user(&mut self, user: &User) -> Result<()> {
        self.put(self.ids.user, user)
    }

    fn put_credential(&mut self, credential: &Credential) -> Result<()> {
        self.put(self.ids.credential, credential)
    }

    fn put_session(&mut self, session: &LoginSession) -> Result<()> {
        self.put(self.ids.session, session)
    }

    fn delete_session(&mut self, sid: &str) -> Result<()> {
        let mut key = Vec::new();
        write_array(&mut key, 1);
        write_str(&mut key, sid);
        self.txn.delete(self.ids.session, PRIMARY, &key).map(drop)
    }
}

//! The settings of a session, which `_session_settings` shows as rows: a space without tuples of its own.
//!
//! They are kept for whoever asks; only SQL, which there is none of, would follow them.
//!
//! Source: schema.md §1; Tarantool `src/box/session_settings.c`.

use lycosa_proto::err;
use lycosa_proto::error::{Arg, Error, Result};
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{self, Token, write_array, write_bool, write_str};

use super::access::Privilege;
use super::blame;
use super::database::Database;
use super::index::Index;
use super::key_def::Key;
use super::memory::AccountId;
use super::schema::space_id::SESSION_SETTINGS;
use super::select::{Select, give};
use super::space::Space;
use super::tuple::Tuple;
use super::update::{Manner, Update};

/// The engines that `sql_default_engine` may name.
const ENGINES: [&str; 2] = ["memtx", "vinyl"];

/// The value of a setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Value {
    Bool(bool),
    /// One of [`ENGINES`].
    Engine(&'static str),
}

/// Names of the settings in ascending order, each with its value in a new session.
const DEFAULTS: [(&str, Value); 9] = [
    ("sql_default_engine", Value::Engine(ENGINES[0])),
    ("sql_full_column_names", Value::Bool(false)),
    ("sql_full_metadata", Value::Bool(false)),
    ("sql_parser_debug", Value::Bool(false)),
    ("sql_recursive_triggers", Value::Bool(true)),
    ("sql_reverse_unordered_selects", Value::Bool(false)),
    ("sql_select_debug", Value::Bool(false)),
    ("sql_seq_scan", Value::Bool(false)),
    ("sql_vdbe_debug", Value::Bool(false)),
];

/// The settings of one session.
#[derive(Clone, Debug)]
pub struct SessionSettings([Value; DEFAULTS.len()]);

impl Default for SessionSettings {
    fn default() -> Self {
        Self(DEFAULTS.map(|(_, value)| value))
    }
}

/// The error for what no session's settings can be asked.
#[cold]
pub fn unsupported(operation: &str) -> Error {
    err!(UNSUPPORTED, "_session_settings space", operation)
}

impl SessionSettings {
    /// A row: name and value.
    fn row(&self, at: usize) -> Tuple {
        let mut row = Vec::new();
        write_array(&mut row, 2);
        write_str(&mut row, DEFAULTS[at].0);
        match self.0[at] {
            Value::Bool(value) => write_bool(&mut row, value),
            Value::Engine(name) => write_str(&mut row, name),
        }
        Tuple::probe(&row)
    }

    /// Gives the rows that a user selects to `each`, in order. Returns how many there were.
    ///
    /// # Errors
    /// As [`Database::select`].
    pub fn select(
        &self,
        db: &Database,
        uid: u32,
        select: &Select<'_>,
        each: impl FnMut(&Tuple),
    ) -> Result<u32> {
        let kind = Kind::from_number(select.iterator)?;
        let space = db.space(SESSION_SETTINGS)?;
        db.check_space(uid, &space.def, Privilege::READ)?;
        let own = space.index(select.index_id)?;
        let key = Key::from_array(select.key);
        own.check_select(kind, &key, &space.def.name, space.def.engine.name())
            .map_err(|error| blame::search_key(error, select.key, own, &space.def))?;
        let mut rows = Index::new(own.def.clone(), None, AccountId::NOBODY);
        (0..DEFAULTS.len()).for_each(|at| drop(rows.replace(&self.row(at))));
        Ok(give(rows.select(kind, key), select, each))
    }

    /// Applies UPDATE operations to the setting with this key; gives its row, or None if there is no such setting.
    ///
    /// # Errors
    /// NO_SUCH_SPACE, ACCESS_DENIED, NO_SUCH_INDEX_ID, EXACT_MATCH, KEY_PART_TYPE, those of the operations and the format;
    /// CANT_UPDATE_PRIMARY_KEY; SESSION_SETTING_INVALID_VALUE for a value of another type; NO_SUCH_ENGINE.
    pub fn update(
        &mut self,
        db: &Database,
        uid: u32,
        index_id: u32,
        key: &[u8],
        ops: &[u8],
        index_base: u32,
    ) -> Result<Option<Tuple>> {
        let space = db.space(SESSION_SETTINGS)?;
        db.check_space(uid, &space.def, Privilege::WRITE)?;
        let index = space.index(index_id)?;
        let parsed = Key::from_array(key);
        (index.def.key_def.check_exact_key(&parsed))
            .map_err(|error| blame::exact_key(error, key, index, &space.def))?;
        let wanted = msgpack::read_str(&mut { parsed.parts }).unwrap_or_default();
        let Some(at) = DEFAULTS.iter().position(|(name, _)| name.as_bytes() == wanted) else {
            return Ok(None);
        };
        let old = self.row(at);
        let new = changed(db, space, index, &old, ops, index_base)?;
        self.0[at] = parse(at, new.field(1).unwrap_or_default())?;
        Ok(Some(new))
    }
}

/// The row after the operations.
fn changed(
    db: &Database,
    space: &Space,
    index: &Index,
    old: &Tuple,
    ops: &[u8],
    index_base: u32,
) -> Result<Tuple> {
    let wrong_ops = |error| blame::operations(error, ops, index, &space.def);
    let update = Update::decode(ops, space, index_base).map_err(wrong_ops)?;
    let updated =
        update.apply(old.data(), space, Manner::Update, db.tuple_bytes_max).map_err(wrong_ops)?;
    let data = updated.data;
    (space.format.check(&data, &space.def))
        .map_err(|error| blame::in_index(error, index, &space.def))?;
    let new = Tuple::probe(&data);
    if !index.is_same_key(old, &new) {
        let (name, id) = (&*space.def.name, space.def.id);
        return Err(err!(CANT_UPDATE_PRIMARY_KEY, name, id, old.data(), new.data()));
    }
    Ok(new)
}

/// The value of a setting.
fn parse(at: usize, field: &[u8]) -> Result<Value> {
    let (name, default) = DEFAULTS[at];
    let wrong = |wanted: &str| err!(SESSION_SETTING_INVALID_VALUE, name, wanted);
    match (default, msgpack::read(&mut { field })) {
        (Value::Bool(_), Ok(Token::Bool(value))) => Ok(Value::Bool(value)),
        (Value::Bool(_), _) => Err(wrong("boolean")),
        (Value::Engine(_), Ok(Token::Str(value))) => {
            let known = ENGINES.into_iter().find(|known| known.as_bytes() == value);
            let unknown = || err!(NO_SUCH_ENGINE, Arg::sent(value));
            known.map(Value::Engine).ok_or_else(unknown)
        }
        (Value::Engine(_), _) => Err(wrong("string")),
    }
}

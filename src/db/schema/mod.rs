//! The schema as rows: system spaces, and what a change of their rows does.
//!
//! Nothing else creates a space: bootstrap, recovery and requests all come through `on_replace`. One table maps each
//! system space to its trigger; a trigger validates the change and carries it out, remembering how to take it back.
//!
//! Source: schema.md; Tarantool `src/box/schema_def.h`, `src/box/alter.cc`.

mod alter;
mod alter_index;
pub mod bootstrap;
mod cluster;
pub(super) mod collation;
pub mod constraint_def;
pub mod func_def;
mod func_index;
pub mod ids;
pub mod index_def;
mod index_options;
mod part_def;
mod privilege;
mod row;
pub mod sequence;
pub mod space_def;
mod user;
pub mod views;

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::{Arg, Result};
use lycosa_proto::msgpack::{write_array, write_str, write_uint};

use super::database::{Database, Spaces};
use super::field_type::FieldType;
use super::index::Index;
use super::key_def::{Key, KeyDef, Part};
use super::memory::AccountId;
use super::space::Space;
use super::tuple::Tuple;
use super::txn::Txn;
use index_def::{IndexDef, IndexType, RtreeOptions};
use row::Row;
use space_def::{Engine, SpaceDef};

pub use user::refresh_access;

/// Ids of the system spaces.
pub mod space_id {
    macro_rules! ids {
        ($($name:ident $id:literal)*) => {
            $(#[doc = concat!("`", stringify!($name), "`")] pub const $name: u32 = $id;)*
        };
    }
    ids! {
        VINYL_DEFERRED_DELETE 257
        SCHEMA 272
        COLLATION 276
        VCOLLATION 277
        SPACE 280
        VSPACE 281
        SEQUENCE 284
        SEQUENCE_DATA 285
        VSEQUENCE 286
        INDEX 288
        VINDEX 289
        FUNC 296
        VFUNC 297
        USER 304
        VUSER 305
        PRIV 312
        VPRIV 313
        CLUSTER 320
        TRIGGER 328
        TRUNCATE 330
        SPACE_SEQUENCE 340
        VSPACE_SEQUENCE 341
        FK_CONSTRAINT 356
        CK_CONSTRAINT 364
        FUNC_INDEX 372
        SESSION_SETTINGS 380
        GC_CONSUMERS 388
        RECOVERY_POINT 396
    }

    /// The first id for users' spaces.
    pub const USER_FIRST: u32 = 512;
}

/// Tells whether an id is in the range of system spaces.
#[inline]
pub fn is_system(space_id: u32) -> bool {
    (257..=510).contains(&space_id)
}

/// A change of a row: what was there, what is there now.
#[derive(Clone, Copy)]
struct Change<'a> {
    old: Option<Row<'a>>,
    new: Option<Row<'a>>,
}

type Trigger = fn(&mut Txn<'_>, Change<'_>) -> Result<()>;

/// What a change of each system space's rows does; spaces that are not here hold plain rows.
const TRIGGERS: &[(u32, Trigger)] = &[
    (space_id::VINYL_DEFERRED_DELETE, alter::on_deferred_delete),
    (space_id::SCHEMA, cluster::on_schema),
    (space_id::COLLATION, collation::on_collation),
    (space_id::SPACE, alter::on_space),
    (space_id::SEQUENCE, sequence::on_sequence),
    (space_id::SEQUENCE_DATA, sequence::on_sequence_data),
    (space_id::INDEX, alter_index::on_index),
    (space_id::FUNC, func_def::on_func),
    (space_id::USER, user::on_user),
    (space_id::PRIV, privilege::on_priv),
    (space_id::CLUSTER, cluster::on_cluster),
    (space_id::TRIGGER, alter::on_sql_trigger),
    (space_id::TRUNCATE, alter::on_truncate),
    (space_id::SPACE_SEQUENCE, sequence::on_space_sequence),
    (space_id::FUNC_INDEX, func_index::on_func_index),
];

/// Carries out what the change of a system space's row means.
///
/// # Errors
/// Whatever the schema refuses; the caller takes the change of the row back.
pub(super) fn on_replace(
    txn: &mut Txn<'_>,
    space_id: u32,
    old: Option<&Tuple>,
    new: Option<&Tuple>,
) -> Result<()> {
    let Some((_, trigger)) = TRIGGERS.iter().find(|(id, _)| *id == space_id) else { return Ok(()) };
    trigger(txn, Change { old: old.map(Row), new: new.map(Row) })
}

/// The system spaces that must exist before the rows that define them: the dictionary itself, and those whose rows come
/// before `_index` in a snapshot.
pub(super) fn stubs(account: AccountId) -> Spaces {
    use space_id::{COLLATION, INDEX, SCHEMA, SEQUENCE, SEQUENCE_DATA, SPACE};
    let stub = |id: u32, name: &str, parts: &[FieldType]| {
        let def = SpaceDef {
            id,
            owner: super::access::ADMIN,
            name: name.into(),
            engine: Engine::Memtx,
            exact_field_count: 0,
            is_temporary: false,
            is_type_temporary: false,
            is_local: false,
            is_view: false,
            fields: Box::new([]),
            constraints: Box::new([]),
            default_count: 0,
            has_constraints: false,
        };
        let part = |(no, field_type): (usize, &FieldType)| Part {
            field_no: no as u32,
            field_type: *field_type,
            ..part_def::PLAIN
        };
        let index = IndexDef {
            space_id: id,
            id: 0,
            name: "primary".into(),
            index_type: IndexType::Tree,
            is_unique: true,
            func_id: 0,
            key_def: KeyDef::new(parts.iter().enumerate().map(part).collect()),
            rtree: RtreeOptions::default(),
        };
        let mut space = Space::new(def).expect("a stub has no format");
        space.put_index(Index::new(Arc::new(index), None, account));
        space.rebuild_format().expect("a stub has one index");
        (id, space)
    };
    let unsigned = FieldType::Unsigned;
    [
        stub(SCHEMA, "_schema", &[FieldType::String]),
        stub(COLLATION, "_collation", &[unsigned]),
        stub(SPACE, "_space", &[unsigned]),
        stub(SEQUENCE, "_sequence", &[unsigned]),
        stub(SEQUENCE_DATA, "_sequence_data", &[unsigned]),
        stub(INDEX, "_index", &[unsigned, unsigned]),
    ]
    .into_iter()
    .collect()
}

/// The tuple of a system space with this name, through its index `name` (id 2).
fn find_by_name<'db>(db: &'db Database, system_space: u32, name: &str) -> Option<&'db Tuple> {
    let mut array = Vec::with_capacity(name.len() + 6);
    write_array(&mut array, 1);
    write_str(&mut array, name);
    db.spaces.get(&system_space)?.index(2).ok()?.get(&Key::from_array(&array))
}

/// The tuple of a system space whose primary key is one number.
fn find_row(db: &Database, system_space: u32, id: u32) -> Option<&Tuple> {
    let mut array = Vec::with_capacity(6);
    write_array(&mut array, 1);
    write_uint(&mut array, u64::from(id));
    db.spaces.get(&system_space)?.primary().ok()?.get(&Key::from_array(&array))
}

/// The id of a space by name.
pub(super) fn space_id_by_name(db: &Database, name: &str) -> Option<u32> {
    Row(find_by_name(db, space_id::SPACE, name)?).uint32(0).ok()
}

/// The format of a space as its row in `_space` has it: a MsgPack array of maps.
pub fn space_format(db: &Database, id: u32) -> Option<&[u8]> {
    let mut key = Vec::new();
    write_uint(&mut key, u64::from(id));
    let primary = db.spaces.get(&space_id::SPACE)?.primary().ok()?;
    primary.get(&Key { part_count: 1, parts: &key })?.field(6)
}

/// The row of `_func` with this name as an object of access checks.
pub fn function_by_name(db: &Database, name: &str) -> Option<FunctionRow> {
    let row = Row(find_by_name(db, space_id::FUNC, name)?);
    Some(FunctionRow {
        id: row.uint32(0).ok()?,
        owner: row.uint32(1).ok()?,
        is_setuid: row.token(3) == lycosa_proto::msgpack::Token::Uint(1),
    })
}

/// What a row of `_func` says about who may call it.
#[derive(Clone, Copy, Debug)]
pub struct FunctionRow {
    /// The id.
    pub id: u32,
    /// Uid of the owner.
    pub owner: u32,
    /// It runs with the rights of its owner.
    pub is_setuid: bool,
}

/// What is wrong with an option that is none.
fn unexpected_option(key: &[u8]) -> Arg {
    Arg::sent_between("unexpected option '", key, "'")
}

/// The error for what the schema of Tarantool has and this server does not yet.
fn unsupported(what: &str) -> lycosa_proto::error::Error {
    err!(UNSUPPORTED, "Lycosa", what)
}

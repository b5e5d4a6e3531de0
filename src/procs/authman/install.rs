//! What a database needs before the procedures may run: the spaces, the marks of migrations, the kept secrets.
//!
//! One transaction at every start. What is there already stays as it is, whoever made it: a database of the Lua
//! application goes on with its own spaces. Where an index is missing from a space, it is added.
//!
//! Source: authman.md sections 3, 4, 10; Tarantool `src/box/lua/schema.lua` (`box.schema.space.create`, `box.once`).

use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{
    read_str, read_uint, write_array, write_bool, write_map, write_str, write_uint,
};

use super::Secrets;
use super::codes::hex;
use super::spaces::{IndexDef, IndexKind, SPACES, SpaceDef};
use super::store::Ids;
use crate::config::{self, Secret};
use crate::db::access::ADMIN;
use crate::db::schema::space_id;
use crate::db::{Database, Key, Tuple, Txn};

/// The greatest id of a space (`BOX_SPACE_MAX`).
const SPACE_ID_MAX: u32 = 0x7fff_ffff;

/// What the key of a row of `_schema` begins with that holds a secret drawn here, before the option's name:
/// `[key, secret]`.
const KEPT: &str = "authman_";

/// Length of a drawn secret, in bytes before they become hexadecimal digits.
const SECRET_BYTES: usize = 32;

/// Migrations of the Lua application, each with the spaces whose rows it brings up to date.
const MIGRATIONS: [(&str, &[&str]); 3] = [
    ("20170726_authman_add_registration_and_session_ts", &["user"]),
    ("20180125_authman_oauth_add_app_is_trusted", &["oauth_app"]),
    ("20180125_authman_oauth_add_code_and_token_resource_owner", &["oauth_code", "oauth_token"]),
];

/// What the procedures need of the database.
pub struct Installed {
    /// Where their rows are.
    pub ids: Ids,
    /// The secrets of the configuration; in place of those that are not set, the ones that the database keeps.
    pub secrets: Secrets,
}

/// Makes whatever is missing.
///
/// # Errors
/// Those of DDL, for names that no space may have and for rows that do not fit into an index that is added.
pub fn install(txn: &mut Txn<'_>, config: &config::Authman) -> Result<Installed> {
    for def in SPACES {
        let name = def.name(&config.spaces);
        let space_id = match txn.db().space_id(name) {
            Some(space_id) => space_id,
            None => create_space(txn, name)?,
        };
        for index in def.indexes {
            create_index(txn, space_id, index)?;
        }
    }
    mark_migrations(txn, config)?;
    let secrets = Secrets {
        activation: secret(txn, "activation_secret", config.activation_secret.as_ref())?,
        session: secret(txn, "session_secret", config.session_secret.as_ref())?,
        restore: secret(txn, "restore_secret", config.restore_secret.as_ref())?,
    };
    Ok(Installed { ids: Ids::find(txn.db(), &config.spaces)?, secrets })
}

/// Inserts the row of a new space; gives its id.
fn create_space(txn: &mut Txn<'_>, name: &str) -> Result<u32> {
    let id = next_space_id(txn.db());
    let mut row = Vec::new();
    write_array(&mut row, 7);
    write_uint(&mut row, u64::from(id));
    write_uint(&mut row, u64::from(ADMIN));
    write_str(&mut row, name);
    write_str(&mut row, "memtx");
    write_uint(&mut row, 0);
    write_map(&mut row, 0);
    write_array(&mut row, 0);
    txn.insert(space_id::SPACE, &row)?;
    raise_max_id(txn, id)?;
    Ok(id)
}

/// The id after the greatest one; a gap, when nothing comes after it.
fn next_space_id(db: &Database) -> u32 {
    let greatest = db.spaces().map(|space| space.def.id).max().unwrap_or(0);
    let next = greatest.max(space_id::USER_FIRST - 1) + 1;
    let mut ids = (next..=SPACE_ID_MAX).chain(space_id::USER_FIRST..next);
    ids.find(|id| db.space(*id).is_err()).unwrap_or(next)
}

/// Keeps step with the counter from which Tarantool before 2.11 takes ids, if the database has it.
fn raise_max_id(txn: &mut Txn<'_>, id: u32) -> Result<()> {
    let row = schema_row(txn.db(), "max_id")?;
    let value = row.as_ref().and_then(|row| row.field(1));
    let Some(max) = value.and_then(|mut value| read_uint(&mut value).ok()) else { return Ok(()) };
    let mut row = Vec::new();
    write_array(&mut row, 2);
    write_str(&mut row, "max_id");
    write_uint(&mut row, max.max(u64::from(id)));
    txn.replace(space_id::SCHEMA, &row).map(drop)
}

/// Inserts the row of an index unless the space has one of this name.
fn create_index(txn: &mut Txn<'_>, space_id: u32, def: &IndexDef) -> Result<()> {
    let space = txn.db().space(space_id)?;
    if space.index_by_name(def.name).is_ok() {
        return Ok(());
    }
    let id = space.indexes().last().map_or(0, |last| last.def.id + 1);
    let mut row = Vec::new();
    write_array(&mut row, 6);
    write_uint(&mut row, u64::from(space_id));
    write_uint(&mut row, u64::from(id));
    write_str(&mut row, def.name);
    write_str(&mut row, if def.kind == IndexKind::Hash { "hash" } else { "tree" });
    write_map(&mut row, 1);
    write_str(&mut row, "unique");
    write_bool(&mut row, def.kind != IndexKind::Tree);
    write_array(&mut row, def.parts.len());
    for (field_no, field_type) in def.parts {
        write_array(&mut row, 2);
        write_uint(&mut row, u64::from(*field_no));
        write_str(&mut row, field_type);
    }
    txn.insert(space_id::INDEX, &row).map(drop)
}

/// Marks as done, as `box.once` does, each migration whose spaces are empty: rows made from here on need none. Rows that
/// the Lua application has left unmigrated are its own to migrate.
fn mark_migrations(txn: &mut Txn<'_>, config: &config::Authman) -> Result<()> {
    for (key, spaces) in MIGRATIONS {
        let defs = spaces.iter().filter_map(|key| SpaceDef::find(key));
        let mut names = defs.map(|def| def.name(&config.spaces));
        let has_rows = |name| txn.db().space_by_name(name).is_ok_and(|space| !space.is_empty());
        if names.any(has_rows) {
            continue;
        }
        let mark = format!("once{key}");
        if schema_row(txn.db(), &mark)?.is_none() {
            txn.insert(space_id::SCHEMA, &one_text(&mark))?;
        }
    }
    Ok(())
}

/// The secret that is configured, else the one that the database keeps under the option's name; draws one the first
/// time.
fn secret(txn: &mut Txn<'_>, option: &str, configured: Option<&Secret>) -> Result<Secret> {
    if let Some(secret) = configured {
        return Ok(secret.clone());
    }
    let key = format!("{KEPT}{option}");
    if let Some(row) = schema_row(txn.db(), &key)?
        && let Some(mut value) = row.field(1)
        && let Ok(text) = read_str(&mut value)
        && let Ok(text) = std::str::from_utf8(text)
        && !text.is_empty()
    {
        return Ok(Secret::new(text));
    }
    tracing::info!("roles_cfg.authman.{option} is not set: drew one, kept in _schema");
    let secret = hex(&rand::random::<[u8; SECRET_BYTES]>());
    let mut row = Vec::new();
    write_array(&mut row, 2);
    write_str(&mut row, &key);
    write_str(&mut row, &secret);
    txn.replace(space_id::SCHEMA, &row)?;
    Ok(Secret::new(secret))
}

/// The row of `_schema` with this key.
fn schema_row(db: &Database, key: &str) -> Result<Option<Tuple>> {
    let array = one_text(key);
    Ok(db.space(space_id::SCHEMA)?.primary()?.get(&Key::from_array(&array)).cloned())
}

/// An array of one text.
fn one_text(text: &str) -> Vec<u8> {
    let mut array = Vec::new();
    write_array(&mut array, 1);
    write_str(&mut array, text);
    array
}

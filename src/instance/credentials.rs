//! The users of the configuration as rows of `_user` and `_priv`.
//!
//! What is configured is granted at every start; what the configuration no longer names stays, as in Tarantool.
//!
//! Source: Tarantool `src/box/lua/config/applier/credentials.lua` for what a privilege means.

use std::collections::BTreeMap;

use lycosa_proto::chap;
use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token, write_array, write_map, write_str, write_uint};

use crate::config::{Permission, Privilege, User};
use crate::db::access::{ADMIN, ObjectType, PUBLIC, Privilege as Right};
use crate::db::schema::{function_by_name, space_id};
use crate::db::{Key, Txn};

/// Creates configured users that are missing, sets their passwords, grants their roles and privileges.
///
/// # Errors
/// NO_SUCH_ROLE, NO_SUCH_SPACE, NO_SUCH_FUNCTION for names that are not there; USER_MAX.
pub(super) fn apply(txn: &mut Txn<'_>, users: &BTreeMap<String, User>) -> Result<()> {
    for (name, user) in users {
        let uid = find_or_create(txn, name)?;
        if let Some(password) = &user.password {
            set_password(txn, uid, password.expose())?;
        }
        for role in &user.roles {
            let Some((role, _)) =
                txn.db().access().find(role.name().as_bytes()).filter(|(_, found)| found.is_role)
            else {
                return Err(err!(NO_SUCH_ROLE, role.name()));
            };
            grant(txn, uid, ObjectType::Role, &number(role), Right::EXECUTE.0)?;
        }
        for privilege in &user.privileges {
            grant_privilege(txn, uid, privilege)?;
        }
    }
    Ok(())
}

fn find_or_create(txn: &mut Txn<'_>, name: &str) -> Result<u32> {
    if let Some((uid, _)) =
        txn.db().access().find(name.as_bytes()).filter(|(_, user)| !user.is_role)
    {
        return Ok(uid);
    }
    let users = txn.db().space(space_id::USER)?.primary()?;
    let is_free = |id: &u32| users.get(&Key::from_array(&key_of(*id))).is_none();
    let uid = (crate::db::access::SUPER + 1..).find(is_free).expect("users are few");
    let mut row = Vec::new();
    write_array(&mut row, 5);
    write_uint(&mut row, u64::from(uid));
    write_uint(&mut row, u64::from(ADMIN));
    write_str(&mut row, name);
    write_str(&mut row, "user");
    write_map(&mut row, 0);
    txn.insert(space_id::USER, &row)?;
    // What box.schema.user.create grants: the role public, alter on oneself, session and usage.
    grant(txn, uid, ObjectType::Role, &number(PUBLIC), Right::EXECUTE.0)?;
    grant(txn, uid, ObjectType::User, &number(uid), Right::ALTER.0)?;
    grant(txn, uid, ObjectType::Universe, &number(0), Right::SESSION.0 | Right::USAGE.0)?;
    Ok(uid)
}

fn number(value: u32) -> Vec<u8> {
    let mut out = Vec::new();
    write_uint(&mut out, u64::from(value));
    out
}

fn key_of(id: u32) -> Vec<u8> {
    let mut out = vec![0x91];
    out.extend(number(id));
    out
}

fn set_password(txn: &mut Txn<'_>, uid: u32, password: &str) -> Result<()> {
    let data = chap::password_data(password.as_bytes());
    if txn.db().access().user(uid)?.password == chap::parse_data(data.as_bytes()) {
        return Ok(());
    }
    // [["=", 4, {"chap-sha1": data}]]
    let mut ops = vec![0x91, 0x93];
    write_str(&mut ops, "=");
    write_uint(&mut ops, 4);
    write_map(&mut ops, 1);
    write_str(&mut ops, "chap-sha1");
    write_str(&mut ops, data);
    txn.update(space_id::USER, 0, &key_of(uid), &ops, 0).map(|_| ())
}

/// Adds rights on an object to those that are there; `object` is its id as MsgPack.
fn grant(
    txn: &mut Txn<'_>,
    uid: u32,
    object_type: ObjectType,
    object: &[u8],
    mask: u32,
) -> Result<()> {
    let mut key = Vec::new();
    write_array(&mut key, 3);
    write_uint(&mut key, u64::from(uid));
    write_str(&mut key, object_type.name());
    key.extend_from_slice(object);
    let index = txn.db().space(space_id::PRIV)?.primary()?;
    let known =
        index.get(&Key::from_array(&key)).and_then(|row| match msgpack::read(&mut row.field(4)?) {
            Ok(Token::Uint(mask)) => Some(mask as u32),
            _ => None,
        });
    let wanted = known.unwrap_or(0) | mask;
    if known == Some(wanted) {
        return Ok(());
    }
    let mut row = Vec::new();
    write_array(&mut row, 5);
    write_uint(&mut row, u64::from(ADMIN));
    row.extend_from_slice(&key[1..]);
    write_uint(&mut row, u64::from(wanted));
    txn.replace(space_id::PRIV, &row).map(|_| ())
}

fn right(permission: Permission) -> Right {
    match permission {
        Permission::Read => Right::READ,
        Permission::Write => Right::WRITE,
        Permission::Execute => Right::EXECUTE,
        Permission::Create => Right::CREATE,
        Permission::Alter => Right::ALTER,
        Permission::Drop => Right::DROP,
        Permission::Usage => Right::USAGE,
        Permission::Session => Right::SESSION,
    }
}

fn grant_privilege(txn: &mut Txn<'_>, uid: u32, privilege: &Privilege) -> Result<()> {
    let mask = privilege.permissions.iter().fold(0, |mask, permission| mask | right(*permission).0);
    if privilege.universe {
        grant(txn, uid, ObjectType::Universe, &number(0), mask)?;
    }
    for name in &privilege.spaces {
        let object = match name.as_str() {
            "all" => vec![0xa0],
            name => number(txn.db().space_by_name(name)?.def.id),
        };
        grant(txn, uid, ObjectType::Space, &object, mask)?;
    }
    for name in &privilege.functions {
        let object = match name.as_str() {
            "all" => vec![0xa0],
            name => match function_by_name(txn.db(), name) {
                Some(function) => number(function.id),
                None => return Err(err!(NO_SUCH_FUNCTION, name)),
            },
        };
        grant(txn, uid, ObjectType::Function, &object, mask)?;
    }
    for name in &privilege.lua_call {
        let mut object = Vec::new();
        write_str(&mut object, if name == "all" { "" } else { name });
        grant(txn, uid, ObjectType::LuaCall, &object, mask)?;
    }
    Ok(())
}

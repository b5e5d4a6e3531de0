//! `_priv`: who has which rights on what.
//!
//! Source: schema.md §3; Tarantool `src/box/alter.cc` priv_def_check, on_replace_dd_priv.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::Token;

use super::row::Row;
use super::user::refresh_access;
use super::{Change, find_row, space_id};
use crate::db::access::{
    self, ADMIN, Grant, Object, ObjectId, ObjectType, PUBLIC, Privilege, denied,
};
use crate::db::database::Database;
use crate::db::txn::Txn;

/// Parses a row of `_priv`.
///
/// # Errors
/// UNKNOWN_SCHEMA_OBJECT, FIELD_TYPE.
pub(super) fn parse_grant(row: &Row<'_>) -> Result<Grant> {
    let type_name = row.str(2);
    let object_type =
        ObjectType::parse(type_name).ok_or_else(|| err!(UNKNOWN_SCHEMA_OBJECT, type_name))?;
    let object = match row.token(3) {
        Token::Str(b"") => ObjectId::Entity,
        Token::Str(name) if object_type == ObjectType::LuaCall => {
            ObjectId::Name(String::from_utf8_lossy(name).into())
        }
        Token::Uint(_) => ObjectId::Number(row.uint32(3)?),
        other => return Err(err!(FIELD_TYPE, "4", "unsigned", other.kind())),
    };
    Ok(Grant {
        grantor: row.uint32(0)?,
        grantee: row.uint32(1)?,
        object_type,
        object,
        mask: row.uint32(4)?,
    })
}

pub(super) fn on_priv(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    if !txn.is_recovery() {
        if let Some(new) = change.new {
            check_grant(txn, &parse_grant(&new)?, true)?;
        } else if let Some(old) = change.old {
            check_grant(txn, &parse_grant(&old)?, false)?;
        }
        if let Some(row) = change.new.or(change.old) {
            let grant = parse_grant(&row)?;
            let is_kept = change.new.is_some() && grant.mask == access::ALL;
            if grant.grantee == ADMIN && grant.object_type == ObjectType::Universe && !is_kept {
                return Err(err!(GRANT, "can't revoke universe from the admin user"));
            }
        }
    }
    refresh_access(txn.db_mut());
    Ok(())
}

/// Who owns the object of a grant, and its name for messages.
struct Target {
    owner: u32,
    name: String,
}

fn check_grant(txn: &Txn<'_>, grant: &Grant, is_new: bool) -> Result<()> {
    let db = txn.db();
    db.access.user(grant.grantor)?;
    let grantee = db.access.user(grant.grantee)?;
    let target = find_target(db, grant)?;
    let uid = txn.uid();
    let id = match grant.object {
        ObjectId::Number(id) => id,
        _ => 0,
    };
    let object =
        Object { object_type: grant.object_type, id, owner: target.owner, name: &target.name };
    let is_public =
        grant.object_type == ObjectType::Role && id == PUBLIC && grant.mask == Privilege::EXECUTE.0;
    if !is_public && !db.access.may_grant(uid, &object) {
        return Err(denied(
            Privilege::GRANT,
            grant.object_type,
            &target.name,
            db.access.user(uid)?,
        ));
    }
    if is_new {
        if grant.mask == 0 {
            return Err(err!(GRANT, "the grant tuple has no privileges"));
        }
        if grant.grantee == uid && !db.access.is_admin(uid) && uid != object.owner {
            return Err(err!(GRANT, "only object owner or admin can grant oneself"));
        }
        if grant.object_type == ObjectType::Role {
            let would_loop = grant.grantee == id
                || db.access.user(id).is_ok_and(|role| role.has_role(grant.grantee));
            if would_loop && grantee.is_role {
                return Err(err!(ROLE_LOOP, &*target.name, &*grantee.name));
            }
        }
    }
    Ok(())
}

/// Finds what a grant is for.
fn find_target(db: &Database, grant: &Grant) -> Result<Target> {
    let id = match &grant.object {
        ObjectId::Number(id) => *id,
        ObjectId::Entity | ObjectId::Name(_) => {
            return Ok(Target { owner: ADMIN, name: String::new() });
        }
    };
    let from_row = |space: u32| {
        let row = Row(find_row(db, space, id)?);
        Some(Target { owner: row.uint32(1).ok()?, name: row.str(2).to_owned() })
    };
    match grant.object_type {
        ObjectType::Space => {
            let def = &db.space(id)?.def;
            if def.is_type_temporary {
                return Err(err!(UNSUPPORTED, "temporary space", "privileges"));
            }
            Ok(Target { owner: def.owner, name: def.name.to_string() })
        }
        ObjectType::Function => {
            from_row(space_id::FUNC).ok_or_else(|| err!(NO_SUCH_FUNCTION, id.to_string()))
        }
        ObjectType::Sequence => {
            from_row(space_id::SEQUENCE).ok_or_else(|| err!(NO_SUCH_SEQUENCE, id.to_string()))
        }
        ObjectType::User => match db.access.user(id) {
            Ok(user) if !user.is_role => Ok(from_row(space_id::USER).expect("a user has a row")),
            Ok(user) => Err(err!(NO_SUCH_USER, &*user.name)),
            Err(_) => Err(err!(NO_SUCH_USER, id.to_string())),
        },
        ObjectType::Role => match db.access.user(id) {
            Ok(user) if user.is_role => Ok(from_row(space_id::USER).expect("a role has a row")),
            Ok(user) => Err(err!(NO_SUCH_ROLE, &*user.name)),
            Err(_) => Err(err!(NO_SUCH_ROLE, id.to_string())),
        },
        _ => Ok(Target { owner: ADMIN, name: String::new() }),
    }
}

//! `_priv`: who has which rights on what.
//!
//! Source: schema.md §3; Tarantool `src/box/alter.cc` priv_def_check, on_replace_dd_priv.

use lycosa_proto::err;
use lycosa_proto::error::{Arg, Result};
use lycosa_proto::msgpack::Token;

use super::row::Row;
use super::user::refresh_access;
use super::{Change, find_row, space_id};
use crate::db::access::{self, ADMIN, Grant, Object, ObjectId, ObjectType, PUBLIC, Privilege};
use crate::db::database::Database;
use crate::db::txn::Txn;

/// Parses a row of `_priv`.
///
/// # Errors
/// UNKNOWN_SCHEMA_OBJECT, FIELD_TYPE.
pub(super) fn parse_grant(row: &Row<'_>) -> Result<Grant> {
    let type_name = row.str(2);
    let object_type = ObjectType::parse(type_name);
    let object = match row.token(3) {
        Token::Str(b"") => ObjectId::Entity,
        Token::Str(name) if object_type == Some(ObjectType::LuaCall) => {
            ObjectId::Name(String::from_utf8_lossy(name).into())
        }
        Token::Uint(_) => ObjectId::Number(row.uint32(3)?),
        other => return Err(err!(FIELD_TYPE, "4", "unsigned", other.kind())),
    };
    let object_type =
        object_type.ok_or_else(|| err!(UNKNOWN_SCHEMA_OBJECT, Arg::sent(row.bytes(2))))?;
    Ok(Grant {
        grantor: row.uint32(0)?,
        grantee: row.uint32(1)?,
        object_type,
        object,
        mask: row.uint32(4)?,
    })
}

pub(super) fn on_priv(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    if !txn.is_recovery()
        && let Some(row) = change.new.or(change.old)
    {
        check_grant(txn, &parse_grant(&row)?, change.new.is_none())?;
    }
    refresh_access(txn.db_mut());
    Ok(())
}

/// What a grant is for. Of an entity, which has no owner, the id and the owner are [`NOBODY`] and the name is empty.
struct Target {
    id: u32,
    owner: u32,
    name: String,
}

/// No uid and no id.
const NOBODY: u32 = u32::MAX;

impl Target {
    const ENTITY: Self = Self { id: NOBODY, owner: NOBODY, name: String::new() };
}

/// Checks that a grant is of something to somebody, and that the user may give or revoke it.
///
/// # Errors
/// NO_SUCH_USER, NO_SUCH_ROLE, NO_SUCH_SPACE, NO_SUCH_FUNCTION, NO_SUCH_SEQUENCE, ROLE_LOOP, ACCESS_DENIED, GRANT.
/// Source: Tarantool `src/box/alter.cc` priv_def_check.
fn check_grant(txn: &Txn<'_>, grant: &Grant, is_revoked: bool) -> Result<()> {
    let access = txn.db().access();
    access.user(grant.grantor)?;
    access.user(grant.grantee)?;
    let target = find_target(txn.db(), grant)?;
    let object = Object {
        object_type: grant.object_type,
        id: target.id,
        owner: target.owner,
        name: &target.name,
    };
    // To give the right to grant takes a right of its own.
    let meta = Privilege::GRANT.0 | Privilege::METAGRANT.0;
    let mut wanted = 0;
    if grant.mask & !meta != 0 {
        wanted |= Privilege::GRANT.0;
    }
    if grant.mask & meta != 0 {
        wanted |= Privilege::METAGRANT.0;
    }
    let uid = txn.uid();
    access.check_ddl(uid, &object, Privilege(wanted))?;
    if grant.grantee == uid && !access.is_admin(uid) && uid != target.owner {
        return Err(err!(GRANT, "only object owner or admin can grant oneself"));
    }
    if grant.mask == 0 {
        return Err(err!(GRANT, "the grant tuple has no privileges"));
    }
    let is_of_admin = grant.grantee == ADMIN && grant.object_type == ObjectType::Universe;
    if is_of_admin && (is_revoked || grant.mask != access::ALL) {
        return Err(err!(GRANT, "can't revoke universe from the admin user"));
    }
    Ok(())
}

/// Finds what a grant of a role is for, and that it closes no circle.
fn find_role(db: &Database, grant: &Grant, id: u32) -> Result<Target> {
    let role = match db.access.user(id) {
        Ok(role) if role.is_role => role,
        Ok(user) => return Err(err!(NO_SUCH_ROLE, &*user.name)),
        Err(_) => return Err(err!(NO_SUCH_ROLE, id.to_string())),
    };
    if grant.grantee == id || role.has_role(grant.grantee) {
        return Err(err!(ROLE_LOOP, &*role.name, &*db.access.user(grant.grantee)?.name));
    }
    // Everybody may give the role public, as if he owned it.
    let is_public = id == PUBLIC && grant.mask == Privilege::EXECUTE.0;
    let owner = if is_public {
        grant.grantor
    } else {
        find_row(db, space_id::USER, id).map_or(Ok(NOBODY), |row| Row(row).uint32(1))?
    };
    Ok(Target { id, owner, name: role.name.to_string() })
}

/// Finds what a grant is for.
fn find_target(db: &Database, grant: &Grant) -> Result<Target> {
    let id = match &grant.object {
        ObjectId::Number(id) => *id,
        ObjectId::Entity | ObjectId::Name(_) => return Ok(Target::ENTITY),
    };
    let from_row = |space: u32| {
        let row = Row(find_row(db, space, id)?);
        Some(Target { id, owner: row.uint32(1).ok()?, name: row.str(2).to_owned() })
    };
    match grant.object_type {
        ObjectType::Space => {
            let def = &db.space(id)?.def;
            if def.is_type_temporary {
                return Err(err!(UNSUPPORTED, "temporary space", "privileges"));
            }
            Ok(Target { id, owner: def.owner, name: def.name.to_string() })
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
        ObjectType::Role => find_role(db, grant, id),
        _ => Ok(Target::ENTITY),
    }
}

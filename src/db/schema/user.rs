//! `_user`: users and roles; and the rights computed from `_user` and `_priv`.
//!
//! Source: schema.md §3, §5 `_user`; Tarantool `src/box/alter.cc` on_replace_dd_user, `src/box/user.cc`.

use lycosa_proto::chap;
use lycosa_proto::err;
use lycosa_proto::error::{Arg, Result};
use lycosa_proto::msgpack::{self, Token};

use super::alter::{check_object, has_grants, has_match};
use super::privilege::parse_grant;
use super::row::Row;
use super::space_def::{NAME_BYTES_MAX, check_identifier, cut_name};
use super::{Change, space_id};
use crate::db::access::{self, Grant, Object, ObjectType, Privilege, User};
use crate::db::database::Database;
use crate::db::txn::Txn;

/// The one way to log in whose data is checked.
const AUTH_METHOD: &str = "chap-sha1";

/// Computes everybody's rights anew from the rows.
pub fn refresh_access(db: &mut Database) {
    let rows = |id: u32| {
        let index = db.spaces.get(&id).and_then(|space| space.primary().ok());
        index.into_iter().flat_map(super::super::index::Index::iter)
    };
    let users = rows(space_id::USER).filter_map(|tuple| {
        let row = Row(tuple);
        let user = User::new(row.str(2), is_role(row.str(3)), password(&row));
        Some((row.uint32(0).ok()?, user))
    });
    let users: Vec<(u32, User)> = users.collect();
    let grants: Vec<Grant> =
        rows(space_id::PRIV).filter_map(|tuple| parse_grant(&Row(tuple)).ok()).collect();
    db.access.rebuild(users, &grants);
}

/// The stored hash of a user's password, if he has a good one.
fn password(row: &Row<'_>) -> Option<chap::Hash> {
    chap::parse_data(auth_data(row)?)
}

/// What the auth map holds for chap-sha1.
fn auth_data<'a>(row: &Row<'a>) -> Option<&'a [u8]> {
    msgpack::pairs(row.raw(4)).find_map(|(key, value)| {
        let is_method = matches!(msgpack::read(&mut { key }), Ok(Token::Str(name)) if name == AUTH_METHOD.as_bytes());
        match msgpack::read(&mut { value }) {
            Ok(Token::Str(data)) if is_method => Some(data),
            _ => None,
        }
    })
}

/// Tells whether a row of this type is a role; types are read in any case.
pub(super) fn is_role(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("role")
}

/// The object of access checks that a row of `_user` is, with the type of another row.
fn object<'a>(row: &Row<'a>, typed: &Row<'_>) -> Result<Object<'a>> {
    let object_type = if is_role(typed.str(3)) { ObjectType::Role } else { ObjectType::User };
    Ok(Object { object_type, id: row.uint32(0)?, owner: row.uint32(1)?, name: row.str(2) })
}

pub(super) fn on_user(txn: &mut Txn<'_>, change: Change<'_>) -> Result<()> {
    match (change.old, change.new) {
        (None, Some(new)) => {
            check_row(&new)?;
            check_object(txn, &object(&new, &new)?, Privilege::CREATE)?;
            if txn.db().access.len() >= access::USER_MAX && !txn.is_recovery() {
                return Err(err!(USER_MAX, access::USER_MAX));
            }
        }
        (Some(old), Some(new)) => {
            check_row(&new)?;
            // A user may change himself: his password.
            let owner = new.uint32(0)?;
            let object = Object { owner, ..object(&new, &old)? };
            check_object(txn, &object, Privilege::ALTER)?;
        }
        (Some(old), None) => {
            check_object(txn, &object(&old, &old)?, Privilege::DROP)?;
            check_drop(txn, &old)?;
        }
        (None, None) => {}
    }
    refresh_access(txn.db_mut());
    Ok(())
}

/// Checks that a row of `_user` makes a user or a role.
fn check_row(row: &Row<'_>) -> Result<()> {
    let (name, kind) = (row.bytes(2), row.str(3));
    row.uint32(0)?;
    row.uint32(1)?;
    if name.len() > NAME_BYTES_MAX {
        return Err(err!(CREATE_USER, cut_name(name), "user name is too long"));
    }
    if !["user", "role"].iter().any(|known| known.eq_ignore_ascii_case(kind)) {
        return Err(err!(CREATE_USER, Arg::sent(name), "unknown user type"));
    }
    let name = check_identifier(name)?;
    let mut methods = msgpack::pairs(row.raw(4)).peekable();
    if is_role(kind) && methods.peek().is_some() {
        return Err(err!(CREATE_ROLE, name, "authentication data can not be set for a role"));
    }
    let is_known = |key| msgpack::read(&mut { key }) == Ok(Token::Str(AUTH_METHOD.as_bytes()));
    // The first method that is known counts.
    let Some((_, value)) = methods.find(|(key, _)| is_known(*key)) else { return Ok(()) };
    let invalid = |details: &str| Err(err!(INVALID_AUTH_DATA, AUTH_METHOD, details));
    let Ok(Token::Str(data)) = msgpack::read(&mut { value }) else {
        return invalid("scramble must be string");
    };
    if chap::parse_data(data).is_none() {
        return invalid("invalid scramble size");
    }
    if row.uint32(0)? == access::GUEST && data != chap::password_data(b"").as_bytes() {
        return Err(err!(GUEST_USER_PASSWORD));
    }
    Ok(())
}

fn check_drop(txn: &Txn<'_>, old: &Row<'_>) -> Result<()> {
    let (id, name) = (old.uint32(0)?, old.str(2));
    if id <= 3 || id == access::SUPER {
        return Err(err!(DROP_USER, name, "the user or the role is a system"));
    }
    let owns = |space: u32| has_match(txn.db(), space, 1, id);
    let has_objects = owns(space_id::SPACE)
        || owns(space_id::FUNC)
        || owns(space_id::SEQUENCE)
        || owns(space_id::PRIV)
        || has_match(txn.db(), space_id::PRIV, 0, id)
        || (is_role(old.str(3)) && has_grants(txn.db(), ObjectType::Role, id));
    if has_objects { Err(err!(DROP_USER, name, "the user has objects")) } else { Ok(()) }
}

//! `box.schema.user.*` and `box.schema.role.*`, but for grants.
//!
//! Source: Tarantool `src/box/lua/schema.lua` box.schema.user, box.schema.role, full_drop, info.

use lycosa_proto::chap;
use lycosa_proto::err;
use lycosa_proto::error::Result;
use rmpv::Value;

use super::grants::Grant;
use super::lookup::{self, Kin};
use super::{functions, privileges, sequences, spaces};
use crate::db::Txn;
use crate::db::access::{ADMIN, Object, ObjectType, Privilege, SUPER, denied};
use crate::db::schema::{ids, space_id};
use crate::procs::boxed::params::{self, Params};
use crate::procs::{Args, Session, Values};

/// Ids of the users and roles that every database has.
const SYSTEM_IDS: std::ops::RangeInclusive<u32> = 0..=3;

/// The value of the field `auth` for a password.
fn auth(password: &str) -> Value {
    let data = chap::password_data(password.as_bytes());
    Value::Map(vec![("chap-sha1".into(), data.into())])
}

/// True where `_user` has fields for the history of passwords and the time of the last change.
fn has_history(txn: &Txn<'_>) -> Result<bool> {
    Ok(lookup::known(txn, space_id::USER)?.def.fields.len() >= 7)
}

/// Makes a user or a role; gives its id.
fn insert(txn: &mut Txn<'_>, kin: Kin, name: &Value, auth: Value) -> Result<u32> {
    let id = ids::next_id(txn, space_id::USER)?;
    let mut row: Vec<Value> =
        vec![id.into(), txn.uid().into(), name.clone(), kin.name().into(), auth];
    if has_history(txn)? {
        row.extend([Value::Array(Vec::new()), (txn.now() as u64).into()]);
    }
    txn.insert_row(space_id::USER, &row)?;
    Ok(id)
}

/// `box.schema.user.create(name, options)`: no value.
///
/// # Errors
/// ILLEGAL_PARAMS, USER_EXISTS, those of writes to `_user` and `_priv`.
pub(in super::super) fn create_user(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let name = params::value(args, 0);
    let known = lookup::user_or_role(txn, &name)?;
    let template = &[("password", "string"), ("if_not_exists", "boolean")];
    let options = Params::parse(&params::value(args, 1), template)?;
    if known.is_some() {
        return match options.is_true("if_not_exists") {
            true => Ok(Values::none()),
            false => Err(err!(USER_EXISTS, params::text(&name))),
        };
    }
    let auth = options.str("password").map_or(Value::Map(Vec::new()), |password| auth(&password));
    let uid = insert(txn, Kin::User, &name, auth)?;
    Grant::on(uid, "execute", "role", "public").give(txn)?;
    // So that he can change his own password.
    Grant::on(uid, "alter", "user", uid).give(txn)?;
    // Only admin may give rights on the universe.
    txn.act_as(ADMIN, |txn| Grant::on_universe(uid, "session,usage").give(txn))?;
    Ok(Values::none())
}

/// `box.schema.role.create(name, options)`: no value.
///
/// # Errors
/// ILLEGAL_PARAMS, ROLE_EXISTS, those of a write to `_user`.
pub(in super::super) fn create_role(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let name = params::value(args, 0);
    let options = Params::parse(&params::value(args, 1), &[("if_not_exists", "boolean")])?;
    if lookup::user_or_role(txn, &name)?.is_some() {
        return match options.is_true("if_not_exists") {
            true => Ok(Values::none()),
            false => Err(err!(ROLE_EXISTS, params::text(&name))),
        };
    }
    insert(txn, Kin::Role, &name, Value::Map(Vec::new()))?;
    Ok(Values::none())
}

fn exists(txn: &Txn<'_>, kin: Kin, args: &Args) -> Result<Values> {
    Ok(Values::from(lookup::kin_id(txn, kin, &params::value(args, 0))?.is_some()))
}

/// `box.schema.user.exists(name or id)`: whether the caller sees such a user.
///
/// # Errors
/// KEY_PART_TYPE for what is neither name nor id.
pub(in super::super) fn user_exists(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    exists(txn, Kin::User, args)
}

/// `box.schema.role.exists(name or id)`: whether the caller sees such a role.
///
/// # Errors
/// KEY_PART_TYPE for what is neither name nor id.
pub(in super::super) fn role_exists(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    exists(txn, Kin::Role, args)
}

/// `box.schema.user.password(password)`: what `_user` would hold of it.
///
/// # Errors
/// ILLEGAL_PARAMS without a password.
pub(in super::super) fn password(_: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let password = params::string(args, 0, "password")?;
    Ok(Values::from(&*chap::password_data(password.as_bytes())))
}

/// `box.schema.user.passwd(user, password)`, or `(password)` for the session's own user: no value.
///
/// # Errors
/// ILLEGAL_PARAMS, NO_SUCH_USER, those of a write to `_user`.
pub(in super::super) fn passwd(
    txn: &mut Txn<'_>,
    session: &Session,
    args: &Args,
) -> Result<Values> {
    let (name, password) = (params::value(args, 0), params::value(args, 1));
    if name.is_nil() {
        return Err(params::illegal("Usage: box.schema.user.passwd([user,] password)"));
    }
    if password.is_nil() {
        let uid = session.uid();
        return txn.act_as(ADMIN, |txn| set_password(txn, uid, &params::text(&name)));
    }
    let uid = lookup::kin_id(txn, Kin::User, &name)?;
    let uid = uid.ok_or_else(|| err!(NO_SUCH_USER, params::text(&name)))?;
    set_password(txn, uid, &params::text(&password))
}

fn set_password(txn: &mut Txn<'_>, uid: u32, password: &str) -> Result<Values> {
    let set = |field_no: u32, value: Value| (Value::from("="), Value::from(field_no), value);
    let mut operations = vec![set(5, auth(password))];
    if has_history(txn)? {
        operations.push(set(6, Value::Array(Vec::new())));
        operations.push(set(7, (txn.now() as u64).into()));
    }
    super::update_from_one(txn, space_id::USER, &(uid,), &operations)?;
    Ok(Values::none())
}

/// `box.schema.user.enable(user)`: gives the right to log in; no value.
///
/// # Errors
/// NO_SUCH_USER, those of a write to `_priv`.
pub(in super::super) fn enable(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    Grant::on_universe(user_id(txn, args)?, "session,usage").give(txn)?;
    Ok(Values::none())
}

/// `box.schema.user.disable(user)`: takes the right to log in; no value.
///
/// # Errors
/// NO_SUCH_USER, those of a write to `_priv`.
pub(in super::super) fn disable(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    Grant::on_universe(user_id(txn, args)?, "session,usage").take(txn)?;
    Ok(Values::none())
}

fn user_id(txn: &Txn<'_>, args: &Args) -> Result<u32> {
    let name = params::value(args, 0);
    let uid = lookup::kin_id(txn, Kin::User, &name)?;
    uid.ok_or_else(|| err!(NO_SUCH_USER, params::text(&name)))
}

/// `box.schema.user.drop(name, options)`: no value. Takes what the user owns along.
///
/// # Errors
/// ILLEGAL_PARAMS, NO_SUCH_USER, DROP_USER, those of writes to the system spaces.
pub(in super::super) fn drop_user(
    txn: &mut Txn<'_>,
    session: &Session,
    args: &Args,
) -> Result<Values> {
    let options = Params::parse(&params::value(args, 1), &[("if_exists", "boolean")])?;
    let name = params::value(args, 0);
    let text = params::text(&name);
    let Some(uid) = lookup::kin_id(txn, Kin::User, &name)? else {
        return match options.is_true("if_exists") {
            true => Ok(Values::none()),
            false => Err(err!(NO_SUCH_USER, text)),
        };
    };
    if SYSTEM_IDS.contains(&uid) {
        return Err(err!(DROP_USER, text, "the user or the role is a system"));
    }
    if uid == session.uid() || uid == txn.uid() {
        return Err(err!(DROP_USER, text, "the user is active in the current session"));
    }
    remove(txn, Kin::User, uid)
}

/// `box.schema.role.drop(name, options)`: no value.
///
/// # Errors
/// ILLEGAL_PARAMS, NO_SUCH_ROLE, DROP_USER, those of writes to the system spaces.
pub(in super::super) fn drop_role(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let options = Params::parse(&params::value(args, 1), &[("if_exists", "boolean")])?;
    let name = params::value(args, 0);
    let text = params::text(&name);
    let Some(id) = lookup::kin_id(txn, Kin::Role, &name)? else {
        return match options.is_true("if_exists") {
            true => Ok(Values::none()),
            false => Err(err!(NO_SUCH_ROLE, text)),
        };
    };
    if SYSTEM_IDS.contains(&id) || id == SUPER {
        return Err(err!(DROP_USER, text, "the user or the role is a system"));
    }
    remove(txn, Kin::Role, id)
}

/// Drops a user or a role with everything that it owns.
fn remove(txn: &mut Txn<'_>, kin: Kin, id: u32) -> Result<Values> {
    let owned = |txn: &Txn<'_>, view: u32| -> Result<Vec<u32>> {
        let rows = lookup::rows(txn, view, lookup::OWNER_INDEX, &(id,))?;
        rows.iter().map(|row| row.get(0)).collect()
    };
    for space in owned(txn, space_id::VSPACE)? {
        spaces::remove(txn, space)?;
    }
    for function in owned(txn, space_id::VFUNC)? {
        functions::remove(txn, function)?;
    }
    lookup::revoke_all(txn, "role", id)?;
    for sequence in owned(txn, space_id::VSEQUENCE)? {
        sequences::remove(txn, sequence)?;
    }
    // Neither owns the universe, nor need the caller have the right to grant what he takes.
    txn.act_as(ADMIN, |txn| {
        if kin == Kin::User {
            Grant::on_universe(id, "session,usage").take(txn)?;
        }
        for grant in lookup::rows(txn, space_id::VPRIV, 0, &(id,))? {
            let (object_type, object): (&str, Value) = (grant.get(2)?, grant.get(3)?);
            txn.delete_row(space_id::PRIV, &(id, object_type, object))?;
        }
        Ok(())
    })?;
    txn.delete_row(space_id::USER, &(id,))?;
    Ok(Values::none())
}

/// The grants of a user or a role: a list of [privileges, object type, object name].
fn info(txn: &Txn<'_>, id: u32) -> Result<Values> {
    let describe = |grant: &crate::db::Tuple| -> Result<(String, String, String)> {
        let names = privileges::names(grant.get(4)?);
        Ok((names, grant.get(2)?, privileges::object_name(txn, grant)?))
    };
    let grants = lookup::rows(txn, space_id::VPRIV, 0, &(id,))?;
    Values::of(&grants.iter().map(describe).collect::<Result<Vec<_>>>()?)
}

/// `box.schema.user.info(name or id)`: the grants of a user; of the caller without a name.
///
/// # Errors
/// NO_SUCH_USER.
pub(in super::super) fn user_info(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let uid = if params::value(args, 0).is_nil() { txn.uid() } else { user_id(txn, args)? };
    info(txn, uid)
}

/// `box.schema.role.info(name or id)`: the grants of a role.
///
/// # Errors
/// NO_SUCH_ROLE.
pub(in super::super) fn role_info(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let name = params::value(args, 0);
    let id = lookup::kin_id(txn, Kin::Role, &name)?;
    info(txn, id.ok_or_else(|| err!(NO_SUCH_ROLE, params::text(&name)))?)
}

/// `box.session.su(user)`: the session is that user's from now on; no value.
///
/// # Errors
/// ILLEGAL_PARAMS without a user; NO_SUCH_USER; ACCESS_DENIED if that user may not log in.
pub(in super::super) fn su(txn: &mut Txn<'_>, session: &Session, args: &Args) -> Result<Values> {
    let name = params::value(args, 0);
    let access = txn.db().access();
    let uid = match &name {
        Value::Nil => return Err(params::illegal("session.su(): bad arguments")),
        Value::String(text) => access.find(text.as_bytes()).map(|(uid, _)| uid),
        number => Some(params::as_id(number)),
    };
    let no_such = || err!(NO_SUCH_USER, params::text(&name));
    let uid = uid.ok_or_else(no_such)?;
    let user = access.user(uid).map_err(|_| no_such())?;
    if user.universe() & Privilege::SESSION.0 == 0 {
        let object = Object { object_type: ObjectType::Universe, id: 0, owner: ADMIN, name: "" };
        return Err(denied(Privilege::SESSION, object.object_type, object.name, user));
    }
    session.set_uid(uid);
    Ok(Values::none())
}

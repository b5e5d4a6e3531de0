//! `grant` and `revoke` of users and roles.
//!
//! Source: Tarantool `src/box/lua/schema.lua` grant, revoke, grant_error, revoke_error, role_check_grant_revoke_of_sys_priv.

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use rmpv::Value;

use super::lookup::{self, Kin};
use super::privileges;
use crate::db::Txn;
use crate::db::schema::space_id;
use crate::procs::boxed::params;
use crate::procs::{Args, Session, Values};

/// What is given or taken, and to whom.
pub(super) struct Grant {
    /// Who has it.
    uid: u32,
    /// The name that the caller used for him.
    name: String,
    /// The privileges as the caller named them.
    privilege: Value,
    /// The type of the object.
    object_type: String,
    /// The object as the caller named it; empty for all of the type.
    object_name: Value,
    /// True if it is no error that nothing changes.
    is_lenient: bool,
}

impl Grant {
    /// `what` on the universe.
    pub(super) fn on_universe(uid: u32, what: &str) -> Self {
        Self {
            uid,
            name: uid.to_string(),
            privilege: what.into(),
            object_type: "universe".into(),
            object_name: "".into(),
            is_lenient: true,
        }
    }

    /// `what` on another object.
    pub(super) fn on(uid: u32, what: &str, object_type: &str, object: impl Into<Value>) -> Self {
        let object_type = object_type.to_owned();
        Self {
            object_type,
            object_name: object.into(),
            is_lenient: false,
            ..Self::on_universe(uid, what)
        }
    }

    /// From the arguments (who, privilege, object type, object name, options), or (who, role), or (who, privilege, object
    /// type). `leniency` is the option that makes it no error that nothing changes.
    fn parse(txn: &Txn<'_>, kin: Kin, args: &Args, leniency: &str) -> Result<Self> {
        let who = params::value(args, 0);
        let name = params::text(&who);
        let uid = match (lookup::kin_id(txn, kin, &who)?, kin) {
            (Some(uid), _) => uid,
            (None, Kin::User) => return Err(err!(NO_SUCH_USER, name)),
            (None, Kin::Role) => return Err(err!(NO_SUCH_ROLE, name)),
        };
        let mut privilege = params::value(args, 1);
        if kin == Kin::Role {
            refuse_system_privileges(&privilege)?;
        }
        let (mut object_type, mut object_name) = (params::value(args, 2), params::value(args, 3));
        if object_name.is_nil() {
            object_name = "".into();
            if object_type.is_nil() {
                // A role is granted as if it were a privilege.
                object_name = std::mem::replace(&mut privilege, "execute".into());
                object_type = "role".into();
            }
        }
        let is_lenient = match params::value(args, 4) {
            Value::Map(options) => {
                let is_it = |(name, value): &(Value, Value)| {
                    name.as_str() == Some(leniency) && value.as_bool() == Some(true)
                };
                options.iter().any(is_it)
            }
            _ => false,
        };
        let object_type = params::text(&object_type);
        Ok(Self { uid, name, privilege, object_type, object_name, is_lenient })
    }

    /// Gives it.
    ///
    /// # Errors
    /// UNKNOWN_SCHEMA_OBJECT, UNSUPPORTED_PRIV, those of an object that does not exist, ROLE_GRANTED, PRIV_GRANTED, those of a
    /// write to `_priv`.
    pub(super) fn give(&self, txn: &mut Txn<'_>) -> Result<()> {
        let mask = privileges::mask(&self.privilege, &self.object_type)?;
        let object = self.object(txn)?;
        let (_, held) = self.held(txn, &object)?;
        if held | mask == held {
            return if self.is_lenient { Ok(()) } else { Err(self.given_already()) };
        }
        let row = (txn.uid(), self.uid, &self.object_type, &object, held | mask);
        txn.replace_row(space_id::PRIV, &row).map(drop)
    }

    /// Takes it back.
    ///
    /// # Errors
    /// UNKNOWN_SCHEMA_OBJECT, UNSUPPORTED_PRIV, those of an object that does not exist, ROLE_NOT_GRANTED, PRIV_NOT_GRANTED,
    /// those of a write to `_priv`.
    pub(super) fn take(&self, txn: &mut Txn<'_>) -> Result<()> {
        let mask = privileges::mask(&self.privilege, &self.object_type)?;
        let object = self.object(txn)?;
        let (grantor, held) = self.held(txn, &object)?;
        if held & mask == 0 {
            return if self.is_lenient { Ok(()) } else { Err(self.not_given()) };
        }
        let key = (self.uid, &self.object_type, &object);
        match held & !mask {
            0 => txn.delete_row(space_id::PRIV, &key).map(drop),
            left => {
                let row = (grantor, self.uid, &self.object_type, &object, left);
                txn.replace_row(space_id::PRIV, &row).map(drop)
            }
        }
    }

    fn object(&self, txn: &Txn<'_>) -> Result<Value> {
        privileges::object(txn, &self.object_type, &self.object_name)
    }

    /// Who granted what is held on the object, and what that is.
    fn held(&self, txn: &Txn<'_>, object: &Value) -> Result<(u32, u32)> {
        let key = (self.uid, &self.object_type, object);
        let row = lookup::row(txn, space_id::VPRIV, 0, &key)?;
        row.map_or(Ok((txn.uid(), 0)), |row| Ok((row.get(0)?, row.get(4)?)))
    }

    fn is_role(&self) -> bool {
        self.object_type == "role"
            && self.object_name.as_str() != Some("")
            && self.privilege.as_str() == Some("execute")
    }

    fn given_already(&self) -> Error {
        let (name, object) = (&*self.name, params::text(&self.object_name));
        if self.is_role() {
            return err!(ROLE_GRANTED, name, object);
        }
        let object_type = &*self.object_type;
        let shown = match privileges::is_singleton(object_type) {
            true => object_type.to_owned(),
            false => format!("{object_type} '{object}'"),
        };
        err!(PRIV_GRANTED, name, params::text(&self.privilege), shown, object_type, object)
    }

    fn not_given(&self) -> Error {
        let (name, object) = (&*self.name, params::text(&self.object_name));
        if self.is_role() {
            return err!(ROLE_NOT_GRANTED, name, object);
        }
        err!(PRIV_NOT_GRANTED, name, params::text(&self.privilege), &*self.object_type, object)
    }
}

/// Roles cannot have what lets a user log in.
fn refuse_system_privileges(privilege: &Value) -> Result<()> {
    const SYSTEM: u64 = 8 | 16;
    let is_system = match privilege {
        Value::String(names) => {
            let names = names.as_str().unwrap_or("").to_lowercase();
            names.contains("session") || names.contains("usage")
        }
        number => number.as_u64().is_some_and(|mask| mask & SYSTEM != 0),
    };
    if is_system {
        return Err(err!(GRANT, "system privilege can not be granted to role"));
    }
    Ok(())
}

fn give(txn: &mut Txn<'_>, kin: Kin, args: &Args) -> Result<Values> {
    Grant::parse(txn, kin, args, "if_not_exists")?.give(txn)?;
    Ok(Values::none())
}

fn take(txn: &mut Txn<'_>, kin: Kin, args: &Args) -> Result<Values> {
    Grant::parse(txn, kin, args, "if_exists")?.take(txn)?;
    Ok(Values::none())
}

/// `box.schema.user.grant(user, privileges, object type, object name, options)`: no value.
///
/// # Errors
/// NO_SUCH_USER; those of [`Grant::give`].
pub(in super::super) fn grant_user(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    give(txn, Kin::User, args)
}

/// `box.schema.user.revoke`, with the arguments of `grant`: no value.
///
/// # Errors
/// NO_SUCH_USER; those of [`Grant::take`].
pub(in super::super) fn revoke_user(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    take(txn, Kin::User, args)
}

/// `box.schema.role.grant(role, privileges, object type, object name, options)`: no value.
///
/// # Errors
/// NO_SUCH_ROLE, GRANT; those of [`Grant::give`].
pub(in super::super) fn grant_role(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    give(txn, Kin::Role, args)
}

/// `box.schema.role.revoke`, with the arguments of `grant`: no value.
///
/// # Errors
/// NO_SUCH_ROLE, GRANT; those of [`Grant::take`].
pub(in super::super) fn revoke_role(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    take(txn, Kin::Role, args)
}

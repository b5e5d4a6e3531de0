//! The v-spaces: which rows of a system space a user may see.
//!
//! Source: schema.md §1 "Who sees the v-spaces"; Tarantool `src/box/sysview.c`.

use super::row::Row;
use super::space_id;
use super::user::is_role;
use crate::db::access::{self, ALL, Object, ObjectType, Privilege, User};
use crate::db::database::{Database, space_object};
use crate::db::tuple::Tuple;

/// The system space whose rows a view shows.
pub fn source(view: u32) -> Option<u32> {
    Some(match view {
        space_id::VCOLLATION => space_id::COLLATION,
        space_id::VSPACE => space_id::SPACE,
        space_id::VSEQUENCE => space_id::SEQUENCE,
        space_id::VINDEX => space_id::INDEX,
        space_id::VFUNC => space_id::FUNC,
        space_id::VUSER => space_id::USER,
        space_id::VPRIV => space_id::PRIV,
        space_id::VSPACE_SEQUENCE => space_id::SPACE_SEQUENCE,
        _ => return None,
    })
}

/// Any of these on an object shows it.
const SEEN_BY: u32 = Privilege::READ.0
    | Privilege::WRITE.0
    | Privilege::DROP.0
    | Privilege::ALTER.0
    | Privilege::GRANT.0;

/// What a user may see of a view.
pub struct Visible<'db> {
    db: &'db Database,
    uid: u32,
    user: Option<&'db User>,
    view: u32,
    /// Rights on the universe or on the source show every row.
    is_all: bool,
}

impl<'db> Visible<'db> {
    /// What `uid` may see of `view`.
    pub fn new(db: &'db Database, uid: u32, view: u32) -> Self {
        let user = db.access.user(uid).ok();
        let seen_by = match view {
            space_id::VCOLLATION => ALL,
            space_id::VFUNC | space_id::VSEQUENCE => SEEN_BY | Privilege::EXECUTE.0,
            _ => SEEN_BY,
        };
        let on_source =
            source(view).and_then(|source| db.spaces.get(&source)).is_some_and(|space| {
                user.is_some_and(|user| user.has_own(&space_object(&space.def), Privilege::READ.0))
            });
        let is_all = on_source
            || view == space_id::VCOLLATION
            || user.is_some_and(|user| user.universe() & seen_by != 0);
        Self { db, uid, user, view, is_all }
    }

    /// Tells whether a row is shown.
    pub fn shows(&self, tuple: &Tuple) -> bool {
        if self.is_all {
            return true;
        }
        let Some(user) = self.user else { return false };
        let row = Row(tuple);
        let id = row.uint32(0).unwrap_or(0);
        match self.view {
            space_id::VSPACE | space_id::VINDEX | space_id::VSPACE_SEQUENCE => {
                self.db.spaces.get(&id).is_some_and(|space| {
                    space.def.owner == self.uid || user.has_any(&space_object(&space.def), SEEN_BY)
                })
            }
            space_id::VUSER => {
                let object_type =
                    if is_role(row.str(3)) { ObjectType::Role } else { ObjectType::User };
                user.on_entity(object_type) & SEEN_BY != 0
                    || id == self.uid
                    || row.uint32(1).is_ok_and(|owner| owner == self.uid)
                    || id == access::PUBLIC
                    || user.has_role(id)
            }
            space_id::VPRIV => {
                row.uint32(0).is_ok_and(|grantor| grantor == self.uid)
                    || row.uint32(1).is_ok_and(|owner| owner == self.uid)
            }
            space_id::VFUNC | space_id::VSEQUENCE => {
                let object_type = match self.view {
                    space_id::VFUNC => ObjectType::Function,
                    _ => ObjectType::Sequence,
                };
                let owner = row.uint32(1).unwrap_or(u32::MAX);
                let object = Object { object_type, id, owner, name: "" };
                owner == self.uid || user.has_any(&object, SEEN_BY | Privilege::EXECUTE.0)
            }
            _ => false,
        }
    }
}

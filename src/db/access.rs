//! Who may do what: the effective rights of users, computed from `_user` and `_priv`.
//!
//! Every request is checked here and nowhere else. Rights come in three layers: the universe, every object of a type
//! (entity), one object. A user has what was granted to him and to every role that he has, directly or not. Owners have
//! every right on what they own but usage, which must be held on the universe.
//!
//! Source: schema.md §3; Tarantool `src/box/user.cc`, `schema.cc` access_check_*, `alter.cc` access_check_ddl.

use std::collections::{HashMap, HashSet};

use lycosa_proto::err;
use lycosa_proto::error::{Arg, Error, Result};

use super::database::Ids;

/// A right, one bit of the mask in `_priv`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Privilege(pub u32);

macro_rules! privileges {
    ($($name:ident $bit:literal $text:literal)*) => {
        impl Privilege {
            $(#[doc = $text] pub const $name: Self = Self($bit);)*

            /// The name in messages, that of the lowest bit if there are several.
            pub fn name(self) -> &'static str {
                match self.0 & self.0.wrapping_neg() {
                    $($bit => $text,)*
                    _ => "Any",
                }
            }
        }
    };
}

privileges! {
    READ 1 "Read"
    WRITE 2 "Write"
    EXECUTE 4 "Execute"
    SESSION 8 "Session"
    USAGE 16 "Usage"
    CREATE 32 "Create"
    DROP 64 "Drop"
    ALTER 128 "Alter"
    REFERENCE 256 "Reference"
    TRIGGER 512 "Trigger"
    INSERT 1024 "Insert"
    UPDATE 2048 "Update"
    DELETE 4096 "Delete"
    GRANT 8192 "Grant"
    METAGRANT 16384 "Metagrant"
}

/// Every right.
pub const ALL: u32 = u32::MAX;

macro_rules! object_types {
    ($($variant:ident $name:literal)*) => {
        /// The type of an object that rights can be had on.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum ObjectType {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl ObjectType {
            /// The name in `_priv` and in messages.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The type of a name, in any case.
            pub fn parse(name: &str) -> Option<Self> {
                match name.to_ascii_lowercase().as_str() {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

object_types! {
    Universe "universe"
    Space "space"
    Function "function"
    User "user"
    Role "role"
    Sequence "sequence"
    Collation "collation"
    LuaCall "lua_call"
    LuaEval "lua_eval"
    Sql "sql"
}

/// What a grant is for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ObjectId {
    /// Every object of the type.
    Entity,
    /// The object with this number.
    Number(u32),
    /// The object with this name (`lua_call`).
    Name(Box<str>),
}

/// Uid of guest.
pub const GUEST: u32 = 0;
/// Uid of admin.
pub const ADMIN: u32 = 1;
/// Id of the role public.
pub const PUBLIC: u32 = 2;
/// Id of the role super.
pub const SUPER: u32 = 31;
/// Users and roles together.
pub const USER_MAX: usize = 32;

/// An object as far as rights on it go.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// The type.
    pub object_type: ObjectType,
    /// The number.
    pub id: u32,
    /// Uid of the owner.
    pub owner: u32,
    /// The name, for messages.
    pub name: &'a str,
}

/// A user or a role with its effective rights.
#[derive(Debug, Default)]
pub struct User {
    /// The name.
    pub name: Box<str>,
    /// True for a role.
    pub is_role: bool,
    /// The stored hash of the password for chap-sha1.
    pub password: Option<lycosa_proto::chap::Hash>,
    /// Rights on the universe.
    universe: u32,
    /// Rights on entities and objects.
    objects: HashMap<(ObjectType, ObjectId), u32>,
    /// The roles that this one has, directly or not.
    roles: HashSet<u32>,
}

/// A row of `_priv`.
#[derive(Debug)]
pub struct Grant {
    /// Uid of who granted.
    pub grantor: u32,
    /// Uid of who has the right.
    pub grantee: u32,
    /// The type of the object.
    pub object_type: ObjectType,
    /// The object.
    pub object: ObjectId,
    /// The rights.
    pub mask: u32,
}

/// The users and what they may do.
#[derive(Debug, Default)]
pub struct Access {
    users: Ids<User>,
    /// guest has every right while this process runs, whatever the rows say.
    pub is_guest_trusted: bool,
    /// guest stands in for admin: he is trusted, and the rows give him less than everything.
    is_guest_admin: bool,
}

impl Access {
    /// Computes every user's effective rights. `users` are the rows of `_user`.
    pub fn rebuild(&mut self, users: Vec<(u32, User)>, grants: &[Grant]) {
        self.users = users.into_iter().collect();
        let mut memberships: HashMap<u32, Vec<u32>> = HashMap::new();
        for grant in grants.iter().filter(|grant| grant.object_type == ObjectType::Role) {
            if let ObjectId::Number(role) = grant.object
                && grant.mask & Privilege::EXECUTE.0 != 0
            {
                memberships.entry(grant.grantee).or_default().push(role);
            }
        }
        for (uid, user) in &mut self.users {
            let mut reached = HashSet::from([*uid]);
            let mut queue = vec![*uid];
            while let Some(id) = queue.pop() {
                let next = memberships.get(&id).into_iter().flatten();
                queue.extend(next.filter(|role| reached.insert(**role)));
            }
            for grant in grants.iter().filter(|grant| reached.contains(&grant.grantee)) {
                if grant.object_type == ObjectType::Universe {
                    user.universe |= grant.mask;
                } else {
                    *user.objects.entry((grant.object_type, grant.object.clone())).or_default() |=
                        grant.mask;
                }
            }
            reached.remove(uid);
            user.roles = reached;
        }
        self.is_guest_admin = false;
        if let Some(guest) = self.users.get_mut(&GUEST).filter(|guest| guest.universe != ALL)
            && self.is_guest_trusted
        {
            guest.universe = ALL;
            self.is_guest_admin = true;
        }
    }

    /// A user or role by uid.
    ///
    /// # Errors
    /// NO_SUCH_USER with the number, for a session whose user was dropped.
    #[inline]
    pub fn user(&self, uid: u32) -> Result<&User> {
        self.users.get(&uid).ok_or_else(|| err!(NO_SUCH_USER, uid.to_string()))
    }

    /// A user or role by name.
    pub fn find(&self, name: &[u8]) -> Option<(u32, &User)> {
        let found = self.users.iter().find(|(_, user)| user.name.as_bytes() == name);
        found.map(|(uid, user)| (*uid, user))
    }

    /// True for admin, and for a guest who stands in for him.
    pub fn is_admin(&self, uid: u32) -> bool {
        uid == ADMIN || (uid == GUEST && self.is_guest_admin)
    }

    /// The number of users and roles.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// True without users, before bootstrap.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Checks the right to use an object: usage on the universe and `wanted` on any layer, or ownership.
    ///
    /// # Errors
    /// ACCESS_DENIED.
    #[inline]
    pub fn check(&self, uid: u32, object: &Object<'_>, wanted: Privilege) -> Result<()> {
        let user = self.user(uid)?;
        let need = wanted.0 | Privilege::USAGE.0;
        if user.universe & need == need {
            return Ok(());
        }
        user.check_layers(uid, object, wanted)
    }

    /// Checks rights to change the dictionary: usage and `wanted`, which may be several, on the universe or entity; or the
    /// owner, for rights other than create; or the object's own grants.
    ///
    /// # Errors
    /// ACCESS_DENIED.
    pub fn check_ddl(&self, uid: u32, object: &Object<'_>, wanted: Privilege) -> Result<()> {
        let user = self.user(uid)?;
        let missing = (wanted.0 | Privilege::USAGE.0)
            & !user.universe
            & !user.on(object.object_type, ObjectId::Entity);
        if missing == 0 {
            return Ok(());
        }
        let is_owner = self.is_admin(uid) || uid == object.owner;
        if is_owner && missing & (Privilege::USAGE.0 | Privilege::CREATE.0) == 0 {
            return Ok(());
        }
        let missing = missing
            & !(user.on(object.object_type, ObjectId::Number(object.id)) & !Privilege::USAGE.0);
        if missing == 0 {
            return Ok(());
        }
        if missing & Privilege::USAGE.0 != 0 {
            return Err(denied(Privilege::USAGE, ObjectType::Universe, "", user));
        }
        Err(denied(Privilege(missing), object.object_type, object.name, user))
    }

    /// Checks a right on the universe.
    ///
    /// # Errors
    /// ACCESS_DENIED.
    pub fn check_universe(&self, uid: u32, wanted: Privilege) -> Result<()> {
        let user = self.user(uid)?;
        if user.universe & wanted.0 == wanted.0 {
            return Ok(());
        }
        Err(denied(wanted, ObjectType::Universe, "", user))
    }

    /// Checks the right to call a procedure. `function` is its row in `_func`, if it has one.
    ///
    /// Rights on every `lua_call` do not reach what Tarantool itself puts among Lua's globals: those need execute on the
    /// universe, or a grant on just that name.
    ///
    /// # Errors
    /// ACCESS_DENIED.
    ///
    /// Source: Tarantool `src/box/func.c` func_access_check, `src/box/call.c` access_check_lua_call.
    pub fn check_call(&self, uid: u32, name: &[u8], function: Option<&Object<'_>>) -> Result<()> {
        let user = self.user(uid)?;
        let missing = (Privilege::EXECUTE.0 | Privilege::USAGE.0) & !user.universe;
        if missing == 0 {
            return Ok(());
        }
        let (usage, execute) = (Privilege::USAGE.0, Privilege::EXECUTE.0);
        if let Some(function) = function {
            let missing = missing & !user.on_entity(ObjectType::Function);
            let own = user.on(ObjectType::Function, ObjectId::Number(function.id));
            if missing & usage == 0 && (function.owner == uid || missing & !own == 0) {
                return Ok(());
            }
        }
        let missing = missing & !user.on_entity(ObjectType::LuaCall);
        if missing == 0 && !is_builtin_global(name) {
            return Ok(());
        }
        let id = || ObjectId::Name(String::from_utf8_lossy(name).into());
        let by_name = || user.on(ObjectType::LuaCall, id());
        if missing & usage == 0 && by_name() & execute != 0 {
            return Ok(());
        }
        Err(denied(Privilege::EXECUTE, ObjectType::Function, Arg::sent(name), user))
    }
}

/// The globals of a fresh Lua state of Tarantool, sorted.
const BUILTIN_GLOBALS: &[&str] = &[
    "_G",
    "_TARANTOOL",
    "_VERSION",
    "assert",
    "bit",
    "box",
    "collectgarbage",
    "coroutine",
    "debug",
    "dofile",
    "dostring",
    "error",
    "gcinfo",
    "getfenv",
    "getmetatable",
    "help",
    "io",
    "ipairs",
    "jit",
    "load",
    "loadfile",
    "loadstring",
    "math",
    "module",
    "newproxy",
    "next",
    "os",
    "package",
    "pairs",
    "pcall",
    "print",
    "rawequal",
    "rawget",
    "rawset",
    "require",
    "select",
    "setfenv",
    "setmetatable",
    "string",
    "table",
    "tonumber",
    "tonumber64",
    "tostring",
    "tutorial",
    "type",
    "unpack",
    "utf8",
    "xpcall",
];

/// Tells whether the name of a call begins at a global that Tarantool defines.
fn is_builtin_global(name: &[u8]) -> bool {
    let global = name.split(|byte| b".:[".contains(byte)).next().unwrap_or(name);
    BUILTIN_GLOBALS.binary_search_by(|known| known.as_bytes().cmp(global)).is_ok()
}

/// The error of a missing right.
pub fn denied(
    wanted: Privilege,
    object_type: ObjectType,
    name: impl Into<Arg>,
    user: &User,
) -> Error {
    err!(ACCESS_DENIED, wanted.name(), object_type.name(), name.into(), &*user.name)
}

impl User {
    /// A user or role without rights yet.
    pub fn new(name: &str, is_role: bool, password: Option<lycosa_proto::chap::Hash>) -> Self {
        Self { name: name.into(), is_role, password, ..Self::default() }
    }

    /// Rights on the universe.
    pub fn universe(&self) -> u32 {
        self.universe
    }

    /// Rights granted on every object of a type.
    pub fn on_entity(&self, object_type: ObjectType) -> u32 {
        self.on(object_type, ObjectId::Entity)
    }

    /// True if the user has the role, directly or not.
    pub fn has_role(&self, role: u32) -> bool {
        self.roles.contains(&role)
    }

    fn on(&self, object_type: ObjectType, object: ObjectId) -> u32 {
        self.objects.get(&(object_type, object)).copied().unwrap_or(0)
    }

    /// Rights on an object by all layers but the universe.
    fn on_object(&self, uid: u32, object: &Object<'_>) -> u32 {
        if uid == object.owner {
            return ALL & !Privilege::USAGE.0;
        }
        self.on(object.object_type, ObjectId::Entity)
            | self.on(object.object_type, ObjectId::Number(object.id))
    }

    /// True if any of the rights in `mask` is held on the object by any layer, or by ownership.
    pub fn has_any(&self, object: &Object<'_>, mask: u32) -> bool {
        let granted = self.universe
            | self.on(object.object_type, ObjectId::Entity)
            | self.on(object.object_type, ObjectId::Number(object.id));
        granted & mask != 0
    }

    /// True if any of the rights in `mask` is granted on just this object.
    pub fn has_own(&self, object: &Object<'_>, mask: u32) -> bool {
        self.on(object.object_type, ObjectId::Number(object.id)) & mask != 0
    }

    #[cold]
    fn check_layers(&self, uid: u32, object: &Object<'_>, wanted: Privilege) -> Result<()> {
        if self.universe & Privilege::USAGE.0 == 0 {
            return Err(denied(Privilege::USAGE, ObjectType::Universe, "", self));
        }
        if (self.universe | self.on_object(uid, object)) & wanted.0 == wanted.0 {
            return Ok(());
        }
        Err(denied(wanted, object.object_type, object.name, self))
    }
}

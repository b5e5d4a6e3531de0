//! Options that are maps: users with their rights, names of spaces.

use std::collections::BTreeMap;

use serde_norway::Value;

use super::choice::{BuiltinRole, Permission};
use super::options::Limits;
use super::scalar::Secret;
use super::value::{OptionType, Refused, read_any_map, read_list, read_map};

/// Limits of values inside a map, which the table does not bound.
const UNBOUND: Limits = Limits { min: 0, max: u64::MAX, unit: "" };

/// A user as the configuration wants it.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// The password; none leaves the user without one, so that nobody can log in as it.
    pub password: Option<Secret>,
    /// Roles granted to the user.
    pub roles: Vec<BuiltinRole>,
    /// Rights granted to the user.
    pub privileges: Vec<Privilege>,
}

/// Permissions and what they are given on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Privilege {
    /// What is permitted.
    pub permissions: Vec<Permission>,
    /// On everything.
    pub universe: bool,
    /// On these spaces; `all` is every space.
    pub spaces: Vec<String>,
    /// On these functions; `all` is every function.
    pub functions: Vec<String>,
    /// On these sequences; `all` is every sequence.
    pub sequences: Vec<String>,
    /// On Lua text sent by clients.
    pub lua_eval: bool,
    /// On these global functions; `all` is every one.
    pub lua_call: Vec<String>,
    /// On SQL; only `all` exists.
    pub sql: Vec<String>,
}

fn texts(value: &Value) -> Result<Vec<String>, Refused> {
    read_list(value, "a list of texts", |item| String::read(item, &UNBOUND))
}

impl User {
    fn read(name: &str, value: &Value) -> Result<Self, Refused> {
        let mut user = Self::default();
        let allowed = "a map with keys: password, roles, privileges";
        if !(value.is_null() || value.is_mapping()) {
            return Err(Refused::hidden(allowed));
        }
        for (key, value) in read_map(value, &["password", "roles", "privileges"])? {
            user.set(name, key, value).map_err(|refused| refused.under(key))?;
        }
        Ok(user)
    }

    fn set(&mut self, name: &str, key: &str, value: &Value) -> Result<(), Refused> {
        match key {
            "password" if name == "guest" => {
                return Err(Refused::hidden("none: guest has no password"));
            }
            "password" => self.password = Some(Secret::read(value, &UNBOUND)?),
            "roles" => {
                let role = |item: &Value| BuiltinRole::read(item, &UNBOUND);
                self.roles = read_list(value, "a list of roles", role)?;
            }
            _ => self.privileges = read_list(value, "a list of maps", Privilege::read)?,
        }
        Ok(())
    }
}

impl Privilege {
    const KEYS: [&str; 8] = [
        "permissions",
        "universe",
        "spaces",
        "functions",
        "sequences",
        "lua_eval",
        "lua_call",
        "sql",
    ];

    fn read(value: &Value) -> Result<Self, Refused> {
        let mut privilege = Self::default();
        for (key, value) in read_map(value, &Self::KEYS)? {
            privilege.set(key, value).map_err(|refused| refused.under(key))?;
        }
        Ok(privilege)
    }

    fn set(&mut self, key: &str, value: &Value) -> Result<(), Refused> {
        match key {
            "permissions" => {
                let permission = |item: &Value| Permission::read(item, &UNBOUND);
                self.permissions = read_list(value, "a list of permissions", permission)?;
            }
            "universe" => self.universe = bool::read(value, &UNBOUND)?,
            "spaces" => self.spaces = texts(value)?,
            "functions" => self.functions = texts(value)?,
            "sequences" => self.sequences = texts(value)?,
            "lua_eval" => self.lua_eval = bool::read(value, &UNBOUND)?,
            "lua_call" => self.lua_call = texts(value)?,
            _ => {
                self.sql = texts(value)?;
                if self.sql.iter().any(|name| name != "all") {
                    return Err(Refused::new(value, "[all]"));
                }
            }
        }
        Ok(())
    }
}

impl OptionType for BTreeMap<String, User> {
    const SECRET: bool = true;

    fn allowed(_: &Limits) -> String {
        "a map from names to {password, roles, privileges}".to_owned()
    }

    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        let users = read_any_map(value, &Self::allowed(limits))?;
        let user = |(name, value): (&str, &Value)| match name {
            "" => Err(Refused::new(&Value::from(name), "a name that is not empty")),
            _ => Ok((name.to_owned(), User::read(name, value).map_err(|e| e.under(name))?)),
        };
        users.into_iter().map(user).collect()
    }
}

/// Keys of the spaces that the accounts application keeps.
///
/// Source: authman.md section 3.
pub const SPACE_KEYS: [&str; 12] = [
    "password",
    "password_token",
    "session",
    "social",
    "user",
    "oauth_app",
    "oauth_consumer",
    "oauth_code",
    "oauth_token",
    "oauth_scope",
    "oauth_redirect",
    "social_state",
];

/// Names of spaces by [`SPACE_KEYS`]; those left out keep their default name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpaceNames(pub BTreeMap<String, String>);

impl OptionType for SpaceNames {
    fn allowed(_: &Limits) -> String {
        format!("a map from any of {} to {{name}}", SPACE_KEYS.join(", "))
    }

    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        let mut names = BTreeMap::new();
        for (key, value) in read_map(value, &SPACE_KEYS)? {
            let name = read_map(value, &["name"]).map_err(|e| e.under(key))?.next();
            if let Some((_, value)) = name {
                let text = String::read(value, limits).ok().filter(|name| !name.is_empty());
                let refused = || Refused::new(value, "text that is not empty");
                let name = text.ok_or_else(|| refused().under("name").under(key))?;
                names.insert(key.to_owned(), name);
            }
        }
        Ok(Self(names))
    }
}

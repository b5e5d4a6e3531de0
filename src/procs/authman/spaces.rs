//! The spaces of the application, as data. They have no format; field names here are for the reader.
//!
//! Those of the Lua application, and `auth_social_state`, which it does not have. Nor does it know `token_use` and
//! `device_id` of a credential, which providers of its own do without.
//! Fields named `expires_at` are not in it either; it takes no notice of them.
//!
//! Source: authman.md section 4.

use crate::config::SpaceNames;

/// The kind of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// HASH, always unique.
    Hash,
    /// TREE, unique.
    UniqueTree,
    /// TREE with repeated keys.
    Tree,
}

/// An index; the first of a space is the primary one.
#[derive(Clone, Copy, Debug)]
pub struct IndexDef {
    /// The name.
    pub name: &'static str,
    /// The kind.
    pub kind: IndexKind,
    /// Field numbers, zero-based, with types.
    pub parts: &'static [(u32, &'static str)],
}

/// A space.
#[derive(Clone, Copy, Debug)]
pub struct SpaceDef {
    /// The key in `roles_cfg.authman.spaces`.
    pub key: &'static str,
    /// The name unless configured.
    pub default_name: &'static str,
    /// What its fields are.
    pub fields: &'static [&'static str],
    /// Its indexes.
    pub indexes: &'static [IndexDef],
}

impl SpaceDef {
    /// The space with this key.
    pub fn find(key: &str) -> Option<&'static Self> {
        SPACES.iter().find(|space| space.key == key)
    }

    /// The name that the configuration gives, else the default.
    pub fn name<'a>(&self, names: &'a SpaceNames) -> &'a str {
        names.0.get(self.key).map_or(self.default_name, String::as_str)
    }
}

macro_rules! spaces {
    ($($key:literal $name:literal [$($field:literal)*] {
        $($index:literal $kind:ident [$($part:literal $ty:literal)*])*
    })*) => {
        /// Every space.
        pub static SPACES: &[SpaceDef] = &[$(SpaceDef {
            key: $key,
            default_name: $name,
            fields: &[$($field),*],
            indexes: &[$(IndexDef {
                name: $index,
                kind: IndexKind::$kind,
                parts: &[$(($part, $ty)),*],
            }),*],
        }),*];
    };
}

spaces! {
    "user" "auth_user"
    ["id" "email" "type" "is_active" "profile" "registration_ts" "session_update_ts"] {
        "primary" Hash [0 "string"]
        "email_index" Tree [1 "string" 2 "unsigned"]
    }
    "password" "auth_password_credential"
    ["id" "user_id" "hash"] {
        "primary" Hash [0 "string"]
        "user" UniqueTree [1 "string"]
    }
    "password_token" "auth_password_token"
    ["user_id" "token" "expires_at"] {
        "primary" Hash [0 "string"]
    }
    "social" "auth_social_credential"
    ["id" "user_id" "provider" "social_id" "token" "token_use" "device_id"] {
        "primary" Hash [0 "string"]
        "user" UniqueTree [1 "string" 2 "string"]
        "social" Hash [3 "string" 2 "string"]
    }
    "session" "auth_sesssion"
    ["id" "code" "user_id" "credential_id" "expires_at"] {
        "primary" Hash [0 "string"]
        "user_index" Tree [2 "string"]
    }
    "oauth_app" "auth_oauth_app"
    ["id" "user_id" "name" "type" "is_active" "registration_ts" "is_trusted"] {
        "primary" Hash [0 "string"]
        "user" UniqueTree [1 "string" 2 "string"]
    }
    "oauth_consumer" "auth_oauth_consumer"
    ["consumer_key" "secret_hash" "app_id" "redirect_urls"] {
        "primary" Hash [0 "string"]
        "app" UniqueTree [2 "string"]
    }
    "oauth_code" "auth_oauth_code"
    ["code" "consumer_key" "redirect_url" "scope" "state" "expires_in" "created_at"
     "code_challenge" "code_challenge_method" "resource_owner"] {
        "primary" Hash [0 "string"]
        "consumer" Tree [1 "string" 9 "string"]
    }
    "oauth_token" "auth_oauth_token"
    ["access_token" "consumer_key" "refresh_token" "redirect_url" "scope" "expires_in"
     "created_at" "resource_owner"] {
        "primary" Hash [0 "string"]
        "consumer" Tree [1 "string" 7 "string"]
        "refresh" UniqueTree [2 "string"]
    }
    "oauth_scope" "auth_oauth_scope"
    ["consumer_key" "user_id" "name"] {
        "primary" UniqueTree [0 "string" 1 "string" 2 "string"]
        "user_id" Tree [1 "string"]
    }
    "oauth_redirect" "auth_oauth_redirect"
    ["consumer_key" "user_id" "url"] {
        "primary" UniqueTree [0 "string" 1 "string"]
        "user_id" Tree [1 "string"]
    }
    "social_state" "auth_social_state"
    ["key" "provider" "verifier" "nonce" "own_state" "expires_at"] {
        "primary" Hash [0 "string"]
        "expires_at" Tree [5 "unsigned"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_the_same_spaces() {
        let mut keys: Vec<_> = SPACES.iter().map(|space| space.key).collect();
        let mut configured = crate::config::SPACE_KEYS.to_vec();
        keys.sort_unstable();
        configured.sort_unstable();
        assert_eq!(keys, configured);
    }

    #[test]
    fn parts_are_fields() {
        for space in SPACES {
            for index in space.indexes {
                let fields = space.fields.len() as u32;
                assert!(index.parts.iter().all(|(field, _)| *field < fields), "{}", space.key);
            }
        }
    }
}

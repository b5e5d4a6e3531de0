//! Where the rows are: ids of spaces and indexes, looked up once.

use lycosa_proto::error::Result;

use crate::config::SpaceNames;
use crate::db::Database;
use crate::procs::authman::spaces::SpaceDef;

/// A space and one of its indexes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) space_id: u32,
    pub(super) index_id: u32,
}

macro_rules! places {
    ($($name:ident $space:literal $index:literal)*) => {
        /// Ids of the spaces that the procedures use, and of their indexes.
        #[derive(Clone, Copy, Debug)]
        pub struct Ids {
            $(pub(super) $name: Place,)*
        }

        impl Ids {
            /// Looks up the ids in a database that has the spaces.
            ///
            /// # Errors
            /// NO_SUCH_SPACE, NO_SUCH_INDEX_NAME.
            pub fn find(db: &Database, names: &SpaceNames) -> Result<Self> {
                Ok(Self { $($name: place(db, names, $space, $index)?,)* })
            }
        }
    };
}

places! {
    user "user" "primary"
    user_by_email "user" "email_index"
    password "password" "primary"
    password_by_user "password" "user"
    restore_token "password_token" "primary"
    credential "social" "primary"
    credential_by_user "social" "user"
    credential_by_social_id "social" "social"
    session "session" "primary"
    session_by_user "session" "user_index"
    app_by_user "oauth_app" "user"
    consumer_by_app "oauth_consumer" "app"
    code_by_consumer "oauth_code" "consumer"
    token_by_consumer "oauth_token" "consumer"
    scope "oauth_scope" "primary"
    scope_by_user "oauth_scope" "user_id"
    redirect "oauth_redirect" "primary"
    redirect_by_user "oauth_redirect" "user_id"
    social_state "social_state" "primary"
    social_state_by_expiry "social_state" "expires_at"
}

/// The index of a name in the space that the configuration knows under `key`.
fn place(db: &Database, names: &SpaceNames, key: &str, index: &str) -> Result<Place> {
    let space = db.space_by_name(SpaceDef::find(key).map_or(key, |def| def.name(names)))?;
    Ok(Place { space_id: space.def.id, index_id: space.index_by_name(index)?.def.id })
}

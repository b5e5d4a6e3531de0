//! Zero-based fields of the OAuth2 spaces' rows, those that anything is done with.
//!
//! Source: authman.md section 4.

/// Of an application.
pub mod app {
    /// UUID as text.
    pub const ID: usize = 0;
    /// The user who made it.
    pub const USER_ID: usize = 1;
    /// The name.
    pub const NAME: usize = 2;
    /// Whether it is enabled.
    pub const IS_ACTIVE: usize = 4;
}

/// Of a consumer; of a scope and a redirect too, the key.
pub mod consumer {
    /// 32 hexadecimal digits.
    pub const KEY: usize = 0;
    /// SHA-256 of the application's id and the secret, 32 bytes.
    pub const SECRET_HASH: usize = 1;
    /// The application.
    pub const APP_ID: usize = 2;
}

/// Of a code and of a token.
pub mod grant {
    /// The code, or the access token.
    pub const ID: usize = 0;
    /// The consumer that it was given to.
    pub const CONSUMER_KEY: usize = 1;
    /// How long it lives, in seconds.
    pub const EXPIRES_IN: usize = 5;
    /// When it was made, in seconds since the epoch.
    pub const CREATED_AT: usize = 6;
}

/// Of a token.
pub mod token {
    /// The token that gets another access token.
    pub const REFRESH_TOKEN: usize = 2;
}

/// Of a scope and of a redirect.
pub mod authorization {
    /// The consumer.
    pub const CONSUMER_KEY: usize = 0;
    /// The user.
    pub const USER_ID: usize = 1;
}

/// Of a scope.
pub mod scope {
    /// What is permitted.
    pub const NAME: usize = 2;
}

//! What each provider wants to be asked, and where in its answers things are.
//!
//! Source: authman.md section 8.

use crate::config;

/// What fills a parameter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slot {
    /// Always the same.
    Text(&'static str),
    /// What is asked for, unless the configuration says otherwise.
    Scope(&'static str),
    /// The version of the provider's interface, unless the configuration says otherwise.
    Version(&'static str),
    /// The application's id.
    ClientId,
    /// The application's secret.
    ClientSecret,
    /// Where people are sent back to.
    RedirectUri,
    /// The code that a person came back with.
    Code,
    /// The token.
    Token,
}

/// How parameters travel.
#[derive(Clone, Copy, Debug)]
pub(super) enum Method {
    /// In the query.
    Get,
    /// As a form.
    Post,
}

/// A request whose answer is JSON.
#[derive(Debug)]
pub(super) struct Request {
    /// How parameters travel.
    pub(super) method: Method,
    /// The provider's address.
    pub(super) url: &'static str,
    /// The address that the configuration may put in its place.
    pub(super) configured_url: fn(&config::Provider) -> Option<&str>,
    /// The parameters, in order.
    pub(super) params: &'static [(&'static str, Slot)],
    /// Whether it does no harm to send it twice. A code can be exchanged once.
    pub(super) is_idempotent: bool,
}

/// A provider.
#[derive(Debug)]
pub(super) struct ProviderDef {
    /// The name that clients use.
    pub(super) name: &'static str,
    /// Its part of the configuration.
    pub(super) config: fn(&config::Authman) -> &config::Provider,
    /// The version of its interface that stands for `{version}` in addresses; `{/version}` is one that is not there unless
    /// configured.
    pub(super) api_version: &'static str,
    /// The page where a person consents.
    pub(super) consent_url: &'static str,
    /// The parameters of that page, before `state`.
    pub(super) consent: &'static [(&'static str, Slot)],
    /// The exchange of a code.
    pub(super) token: Request,
    /// The field of its answer that is kept as the token.
    pub(super) token_field: &'static str,
    /// The field of its answer that is the email.
    pub(super) token_email_field: Option<&'static str>,
    /// The request that turns the kept token into one for the profile.
    pub(super) refresh: Option<Request>,
    /// The profile.
    pub(super) profile: Request,
    /// Where in its answer the person is, as a JSON pointer.
    pub(super) profile_root: &'static str,
    /// Whether the person's id may be a number.
    pub(super) id_may_be_number: bool,
    /// The fields of first and last name.
    pub(super) name_fields: [&'static str; 2],
}

fn token_url(config: &config::Provider) -> Option<&str> {
    config.endpoints.token_url.as_deref()
}

fn profile_url(config: &config::Provider) -> Option<&str> {
    config.endpoints.profile_url.as_deref()
}

/// Every provider.
pub(super) static PROVIDERS: [ProviderDef; 3] = [
    ProviderDef {
        name: "facebook",
        config: |config| &config.facebook,
        api_version: "v2.8",
        consent_url: "https://www.facebook.com/{version}/dialog/oauth",
        consent: &[
            ("client_id", Slot::ClientId),
            ("redirect_uri", Slot::RedirectUri),
            ("scope", Slot::Scope("email")),
        ],
        token: Request {
            method: Method::Get,
            url: "https://graph.facebook.com/{version}/oauth/access_token",
            configured_url: token_url,
            params: &[
                ("client_id", Slot::ClientId),
                ("redirect_uri", Slot::RedirectUri),
                ("client_secret", Slot::ClientSecret),
                ("code", Slot::Code),
            ],
            is_idempotent: false,
        },
        token_field: "access_token",
        token_email_field: None,
        refresh: None,
        profile: Request {
            method: Method::Get,
            url: "https://graph.facebook.com{/version}/me",
            configured_url: profile_url,
            params: &[
                ("access_token", Slot::Token),
                ("fields", Slot::Text("email,first_name,last_name")),
            ],
            is_idempotent: true,
        },
        profile_root: "",
        id_may_be_number: false,
        name_fields: ["first_name", "last_name"],
    },
    ProviderDef {
        name: "google",
        config: |config| &config.google,
        api_version: "",
        consent_url: "https://accounts.google.com/o/oauth2/v2/auth",
        consent: &[
            ("client_id", Slot::ClientId),
            ("redirect_uri", Slot::RedirectUri),
            ("response_type", Slot::Text("code")),
            ("scope", Slot::Scope("email")),
            ("access_type", Slot::Text("offline")),
            ("prompt", Slot::Text("consent")),
        ],
        token: Request {
            method: Method::Post,
            url: "https://www.googleapis.com/oauth2/v4/token",
            configured_url: token_url,
            params: &[
                ("client_id", Slot::ClientId),
                ("redirect_uri", Slot::RedirectUri),
                ("client_secret", Slot::ClientSecret),
                ("code", Slot::Code),
                ("grant_type", Slot::Text("authorization_code")),
            ],
            is_idempotent: false,
        },
        token_field: "refresh_token",
        token_email_field: None,
        refresh: Some(Request {
            method: Method::Post,
            url: "https://www.googleapis.com/oauth2/v4/token",
            configured_url: token_url,
            params: &[
                ("client_id", Slot::ClientId),
                ("client_secret", Slot::ClientSecret),
                ("refresh_token", Slot::Token),
                ("grant_type", Slot::Text("refresh_token")),
            ],
            is_idempotent: false,
        }),
        profile: Request {
            method: Method::Get,
            url: "https://www.googleapis.com/oauth2/v2/userinfo",
            configured_url: profile_url,
            params: &[("access_token", Slot::Token)],
            is_idempotent: true,
        },
        profile_root: "",
        id_may_be_number: false,
        name_fields: ["given_name", "family_name"],
    },
    ProviderDef {
        name: "vk",
        config: |config| &config.vk,
        api_version: "",
        consent_url: "https://oauth.vk.com/authorize",
        consent: &[
            ("client_id", Slot::ClientId),
            ("display", Slot::Text("page")),
            ("redirect_uri", Slot::RedirectUri),
            ("scope", Slot::Scope("offline,email")),
            ("response_type", Slot::Text("code")),
            ("v", Slot::Version("5.62")),
        ],
        token: Request {
            method: Method::Get,
            url: "https://oauth.vk.com/access_token",
            configured_url: token_url,
            params: &[
                ("client_id", Slot::ClientId),
                ("redirect_uri", Slot::RedirectUri),
                ("client_secret", Slot::ClientSecret),
                ("code", Slot::Code),
            ],
            is_idempotent: false,
        },
        token_field: "access_token",
        token_email_field: Some("email"),
        refresh: None,
        profile: Request {
            method: Method::Get,
            url: "https://api.vk.com/method/users.get",
            configured_url: profile_url,
            params: &[
                ("access_token", Slot::Token),
                ("fields", Slot::Text("first_name,last_name")),
                ("v", Slot::Version("5.0")),
            ],
            is_idempotent: true,
        },
        profile_root: "/response/0",
        id_may_be_number: true,
        name_fields: ["first_name", "last_name"],
    },
];

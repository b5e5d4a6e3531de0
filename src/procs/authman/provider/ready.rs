//! Ready entries: providers whose addresses and ways are known, so that the configuration need not say them.
//!
//! Where a provider has a discovery document, its addresses come from there. Sources: the providers' own pages for
//! developers, named at each entry.

use crate::config::{ReadyProvider, TokenAuth};

/// How a provider wants to be asked who a token belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProfileWay {
    /// GET with the token in the header, after this word.
    Header(&'static str),
    /// POST with the token and the application's id as a form.
    Form,
}

/// What is known of a provider. Empty text stands for what it does not have.
#[derive(Debug)]
pub(super) struct ReadyDef {
    /// The issuer of OpenID Connect.
    pub(super) issuer: &'static str,
    /// Its discovery document, where it is not at the place that the issuer gives.
    pub(super) discovery_url: &'static str,
    /// Addresses of providers without a discovery document: consent page, exchange of codes, profile.
    pub(super) endpoints: [&'static str; 3],
    /// A further address for the emails of a person, with marks which are verified.
    pub(super) emails_url: &'static str,
    /// What is asked for, separated by spaces.
    pub(super) scope: &'static str,
    /// Further parameters of the consent page.
    pub(super) consent_params: &'static [(&'static str, &'static str)],
    /// Claims of id, email, its mark, first and last name.
    pub(super) claims: [&'static str; 5],
    /// How the application says who it is; None is what the discovery document names, else the form.
    pub(super) token_auth: Option<TokenAuth>,
    /// How the profile is asked for.
    pub(super) profile_way: ProfileWay,
    /// Whether the provider gives out verified emails only, without a mark.
    pub(super) trust_email: bool,
    /// Whether the callback names a device, which must be named again when tokens are asked for.
    pub(super) has_devices: bool,
    /// Whether a kept token of the Lua application is one to refresh.
    pub(super) lua_keeps_refresh_token: bool,
}

/// Claims of OpenID Connect.
const CLAIMS: [&str; 5] = ["sub", "email", "email_verified", "given_name", "family_name"];

/// Any provider that the configuration describes.
pub(super) static PLAIN: ReadyDef = ReadyDef {
    issuer: "",
    discovery_url: "",
    endpoints: [""; 3],
    emails_url: "",
    scope: "openid email profile",
    consent_params: &[],
    claims: CLAIMS,
    token_auth: None,
    profile_way: ProfileWay::Header("Bearer"),
    trust_email: false,
    has_devices: false,
    lua_keeps_refresh_token: false,
};

/// <https://developers.google.com/identity/openid-connect/openid-connect>
static GOOGLE: ReadyDef = ReadyDef {
    issuer: "https://accounts.google.com",
    consent_params: &[("access_type", "offline"), ("prompt", "consent")],
    lua_keeps_refresh_token: true,
    ..PLAIN
};

/// <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps>
static GITHUB: ReadyDef = ReadyDef {
    endpoints: [
        "https://github.com/login/oauth/authorize",
        "https://github.com/login/oauth/access_token",
        "https://api.github.com/user",
    ],
    emails_url: "https://api.github.com/user/emails",
    scope: "read:user user:email",
    claims: ["id", "", "", "name", ""],
    token_auth: Some(TokenAuth::Post),
    ..PLAIN
};

/// <https://docs.gitlab.com/integration/openid_connect_provider/>
static GITLAB: ReadyDef = ReadyDef {
    issuer: "https://gitlab.com",
    claims: ["sub", "email", "email_verified", "name", ""],
    ..PLAIN
};

/// <https://learn.microsoft.com/en-us/entra/identity-platform/v2-protocols-oidc>
static MICROSOFT: ReadyDef = ReadyDef {
    issuer: "https://login.microsoftonline.com/{tenantid}/v2.0",
    discovery_url: "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration",
    scope: "openid email profile offline_access",
    ..PLAIN
};

/// <https://developer.apple.com/documentation/signinwithapplerestapi>
static APPLE: ReadyDef = ReadyDef {
    issuer: "https://appleid.apple.com",
    scope: "openid email name",
    consent_params: &[("response_mode", "form_post")],
    token_auth: Some(TokenAuth::Post),
    ..PLAIN
};

/// <https://yandex.com/dev/id/doc/en/codes/code-url>
static YANDEX: ReadyDef = ReadyDef {
    endpoints: [
        "https://oauth.yandex.ru/authorize",
        "https://oauth.yandex.ru/token",
        "https://login.yandex.ru/info?format=json",
    ],
    scope: "login:email login:info",
    claims: ["id", "default_email", "", "first_name", "last_name"],
    token_auth: Some(TokenAuth::Post),
    profile_way: ProfileWay::Header("OAuth"),
    trust_email: true,
    ..PLAIN
};

/// <https://id.vk.com/about/business/go/docs/en/vkid/latest/vk-id/intro/main>
static VKID: ReadyDef = ReadyDef {
    endpoints: [
        "https://id.vk.ru/authorize",
        "https://id.vk.ru/oauth2/auth",
        "https://id.vk.ru/oauth2/user_info",
    ],
    scope: "email",
    claims: ["/user/user_id", "/user/email", "", "/user/first_name", "/user/last_name"],
    token_auth: Some(TokenAuth::None),
    profile_way: ProfileWay::Form,
    trust_email: true,
    has_devices: true,
    ..PLAIN
};

/// The entry of a provider.
pub(super) fn entry(ready: Option<ReadyProvider>) -> &'static ReadyDef {
    match ready {
        None => &PLAIN,
        Some(ReadyProvider::Google) => &GOOGLE,
        Some(ReadyProvider::Github) => &GITHUB,
        Some(ReadyProvider::Gitlab) => &GITLAB,
        Some(ReadyProvider::Microsoft) => &MICROSOFT,
        Some(ReadyProvider::Apple) => &APPLE,
        Some(ReadyProvider::Yandex) => &YANDEX,
        Some(ReadyProvider::Vkid) => &VKID,
    }
}

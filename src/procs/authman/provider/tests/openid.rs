//! Providers that the configuration describes, against an issuer of our own.

use serde_json::{Value, json};

use super::*;
use crate::procs::authman::model::TokenUse;
use crate::procs::authman::provider::issuer::Issuer;

const NOW: u64 = 1_795_450_825;

/// The provider `p` of this configuration.
fn described(more: &str, authman: &str) -> Provider {
    let yaml = format!(
        "roles_cfg: {{authman: {{request_timeout: 20, {authman} providers: {{p: {{client_id: C, \
         client_secret: 's t', redirect_uri: 'http://x/cb', {more}}}}}}}}}"
    );
    named(&Config::from_yaml(&yaml).unwrap(), "p")
}

async fn issuer() -> (Issuer, Provider) {
    let issuer = Issuer::start(NOW).await;
    issuer.says.lock().claims.insert("nonce".into(), json!("n"));
    let provider = described(&format!("issuer: '{}'", issuer.name()), "");
    (issuer, provider)
}

fn came_back() -> Login<'static> {
    let (code, verifier, nonce) = ("c", Some("v"), Some("n"));
    Login { code, verifier, nonce, clock: Clock::new(NOW), ..Login::default() }
}

async fn log_in(provider: &Provider) -> Result<Person, ProviderError> {
    let exchanged = provider.exchange(&came_back()).await?;
    provider.profile(&exchanged, &came_back()).await
}

#[tokio::test]
async fn a_login_from_discovery_to_the_profile() {
    let (issuer, provider) = issuer().await;
    let consent = Consent { state: Some("st"), verifier: Some("v"), nonce: Some("n") };
    let url = provider.consent_url(&consent).await.unwrap();
    assert_eq!(
        url,
        format!(
            "{}/consent?client_id=C&redirect_uri=http://x/cb&response_type=code&scope=openid%20email%20profile\
             &state=st&code_challenge=TJRIXgwhrmxB89RPzvMrlwSfgeqhTnwKHlcf7oDOcI0\
             &code_challenge_method=S256&nonce=n",
            issuer.name(),
        )
        .replace("TJRIXgwhrmxB89RPzvMrlwSfgeqhTnwKHlcf7oDOcI0", &challenge("v")),
    );
    let exchanged = provider.exchange(&came_back()).await.unwrap();
    assert_eq!(exchanged.kept.token_use, Some(TokenUse::Refresh));
    assert_eq!(exchanged.kept.token.expose(), "rt");
    let person = provider.profile(&exchanged, &came_back()).await.unwrap();
    assert_eq!((person.id.as_str(), person.email.as_deref()), ("s1", Some("a@x")));
    let profile = Text(person.profile.as_msgpack()).to_string();
    assert_eq!(profile, r#"{"first_name": "A", "last_name": "B"}"#);
    let asked = issuer.stub.requests();
    // The token's request: id and secret in the header, each encoded.
    let token = asked.iter().find(|request| request.starts_with("POST /token")).unwrap();
    assert!(token.contains("authorization: Basic QzpzJTIwdA==\r\n"), "{token}");
    assert!(token.ends_with(
        "grant_type=authorization_code&code=c&redirect_uri=http%3A%2F%2Fx%2Fcb&code_verifier=v"
    ));
    let me = asked.last().unwrap();
    assert!(me.contains("authorization: Bearer at\r\n"), "{me}");
    log_in(&provider).await.unwrap();
    assert_eq!((issuer.asked("/.well-known"), issuer.asked("/jwks")), (1, 1));
    let counted = provider.counted();
    assert_eq!((counted.requests, counted.in_flight), (6, 0));
    assert!(counted.errors.is_empty());
}

fn challenge(verifier: &str) -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(verifier))
}

/// What is not to be believed is not believed.
#[tokio::test]
async fn id_tokens_that_are_wrong() {
    use ProviderError::{AnotherPerson, IdToken, Missing};
    let check = async |claim: &str, value: Value, expected: ProviderError| {
        let (issuer, provider) = issuer().await;
        issuer.says.lock().claims.insert(claim.into(), value.clone());
        assert_eq!(log_in(&provider).await, Err(expected.clone()), "{claim}: {value}");
        assert_eq!(provider.counted().errors.get(expected.kind()), Some(&1));
    };
    check("nonce", json!("N"), IdToken("nonce")).await;
    check("nonce", Value::Null, IdToken("nonce")).await;
    check("aud", json!("D"), IdToken("aud")).await;
    check("iss", json!("https://elsewhere"), IdToken("iss")).await;
    check("exp", json!(NOW - 61), IdToken("exp")).await;
    check("iat", json!(NOW + 61), IdToken("iat")).await;
    check("sub", json!("s2"), AnotherPerson).await;

    let spoilt = async |spoil: fn(String) -> String, expected: ProviderError| {
        let (issuer, provider) = issuer().await;
        issuer.says.lock().spoil = spoil;
        assert_eq!(log_in(&provider).await, Err(expected));
    };
    spoilt(
        |token| {
            let (signed, signature) = token.split_at(token.rfind('.').unwrap() + 1);
            let first = if signature.starts_with('A') { 'B' } else { 'A' };
            format!("{signed}{first}{}", &signature[1..])
        },
        IdToken("signature"),
    )
    .await;
    spoilt(|token| token[..token.rfind('.').unwrap() + 1].to_owned(), IdToken("signature")).await;
    spoilt(|_| "x".to_owned(), IdToken("form")).await;
    spoilt(|token| with_header(&token, r#"{"alg":"none"}"#), IdToken("form")).await;
    spoilt(|token| with_header(&token, r#"{"alg":"HS256","kid":"k1"}"#), IdToken("alg")).await;
    spoilt(|token| with_header(&token, r#"{"alg":"RS256","kid":"k1"}"#), IdToken("kid")).await;
    let critical = r#"{"alg":"ES256","kid":"k1","crit":["b64"]}"#;
    spoilt(|token| with_header(&token, critical_of(&token)), IdToken("crit")).await;
    assert_eq!(critical_of(""), critical);

    let (issuer, provider) = issuer().await;
    issuer.says.lock().token.insert("id_token".into(), Value::Null);
    assert_eq!(log_in(&provider).await, Err(Missing("id_token")));
}

fn critical_of(_: &str) -> &'static str {
    r#"{"alg":"ES256","kid":"k1","crit":["b64"]}"#
}

fn with_header(token: &str, header: &str) -> String {
    use base64::Engine as _;
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header);
    format!("{header}{}", &token[token.find('.').unwrap()..])
}

#[tokio::test]
async fn keys_may_change() {
    let issuer = Issuer::start(NOW).await;
    issuer.says.lock().claims.insert("nonce".into(), json!("n"));
    let yaml = format!("issuer: '{}'", issuer.name());
    let provider = described(&yaml, "jwks_refetch_interval: 3600,");
    log_in(&provider).await.unwrap();
    issuer.says.lock().rotate("k2");
    log_in(&provider).await.unwrap();
    assert_eq!(issuer.asked("/jwks"), 2);
    // Whoever invents ids of keys does not make us ask for them each time.
    issuer.says.lock().kid = "invented".to_owned();
    for _ in 0..3 {
        assert_eq!(log_in(&provider).await, Err(ProviderError::IdToken("kid")));
    }
    assert_eq!(issuer.asked("/jwks"), 2);
}

/// An issuer may put another key under the id of an older one; the same pause holds.
#[tokio::test]
async fn a_key_may_change_under_its_id() {
    let issuer = Issuer::start(NOW).await;
    issuer.says.lock().claims.insert("nonce".into(), json!("n"));
    let yaml = format!("issuer: '{}'", issuer.name());
    let provider = described(&yaml, "jwks_refetch_interval: 3600,");
    log_in(&provider).await.unwrap();
    issuer.says.lock().rotate("k1");
    log_in(&provider).await.unwrap();
    assert_eq!(issuer.asked("/jwks"), 2);
    issuer.says.lock().rotate("k1");
    for _ in 0..2 {
        assert_eq!(log_in(&provider).await, Err(ProviderError::IdToken("signature")));
    }
    assert_eq!(issuer.asked("/jwks"), 2);
}

#[tokio::test]
async fn a_key_must_be_one_to_verify_with() {
    let (issuer, provider) = issuer().await;
    issuer.says.lock().jwks["keys"][2]["key_ops"] = json!(["encrypt"]);
    assert_eq!(log_in(&provider).await, Err(ProviderError::IdToken("kid")));
    let (issuer, provider) = self::issuer().await;
    issuer.says.lock().jwks["keys"][2]["key_ops"] = json!(["verify"]);
    log_in(&provider).await.unwrap();
}

/// The provider takes its time; what it signs at the end is of that moment.
#[tokio::test]
async fn the_clock_goes_on_while_the_provider_is_asked() {
    let (issuer, provider) = issuer().await;
    issuer.says.lock().claims.insert("iat".into(), json!(NOW + 70));
    assert_eq!(log_in(&provider).await, Err(ProviderError::IdToken("iat")));
    let login = Login { clock: came_back().clock.later(10), ..came_back() };
    let exchanged = provider.exchange(&login).await.unwrap();
    provider.profile(&exchanged, &login).await.unwrap();
}

#[tokio::test]
async fn a_person_is_asked_about_again() {
    let (issuer, provider) = issuer().await;
    issuer.says.lock().claims.clear();
    let kept = |token: &str, token_use| Kept {
        token: Secret::new(token),
        token_use: Some(token_use),
        device_id: None,
    };
    let (newer, person) = ask_again(&provider, &kept("rt", TokenUse::Refresh), NOW).await;
    assert_eq!((person.unwrap().id.as_str(), newer), ("s1", None));
    let asked = issuer.stub.requests();
    let token = asked.iter().find(|request| request.starts_with("POST /token")).unwrap();
    assert!(token.ends_with("grant_type=refresh_token&refresh_token=rt"), "{token}");

    // A token that is replaced is handed out even if the rest fails.
    issuer.says.lock().token.insert("refresh_token".into(), json!("rt2"));
    issuer.says.lock().info = json!({});
    let (newer, person) = ask_again(&provider, &kept("rt", TokenUse::Refresh), NOW).await;
    assert!(person.is_err());
    assert_eq!(newer, Some(kept("rt2", TokenUse::Refresh)));

    issuer.says.lock().info = json!({"sub": "s1"});
    let asked = issuer.asked("/token");
    let (_, person) = ask_again(&provider, &kept("at", TokenUse::Access), NOW).await;
    assert_eq!(person.unwrap().email, None);
    assert_eq!(issuer.asked("/token"), asked);
    issuer.says.lock().knows_code = false;
    let (_, person) = ask_again(&provider, &kept("rt", TokenUse::Refresh), NOW).await;
    assert_eq!(person, Err(ProviderError::Http(HttpError::Status(400))));
}

#[tokio::test]
async fn emails_count_when_the_provider_vouches_for_them() {
    let check = async |info: Value, more: &str, expected: Option<&str>| {
        let issuer = Issuer::start(NOW).await;
        issuer
            .says
            .lock()
            .claims
            .extend([("nonce".to_owned(), json!("n")), ("email".to_owned(), Value::Null)]);
        issuer.says.lock().info = info.clone();
        let provider = described(&format!("issuer: '{}', {more}", issuer.name()), "");
        assert_eq!(log_in(&provider).await.unwrap().email.as_deref(), expected, "{info} {more}");
    };
    let email = "A@x";
    check(json!({"sub": "s1", "email": email, "email_verified": true}), "", Some("a@x")).await;
    check(json!({"sub": "s1", "email": email, "email_verified": "true"}), "", Some("a@x")).await;
    check(json!({"sub": "s1", "email": email, "email_verified": false}), "", None).await;
    check(json!({"sub": "s1", "email": email}), "", None).await;
    check(json!({"sub": "s1", "email": email}), "trust_email: true", Some("a@x")).await;
    check(
        json!({"sub": "s1", "mail": email}),
        "trust_email: true, claims: {email: mail}",
        Some("a@x"),
    )
    .await;
}

#[tokio::test]
async fn issuers_that_are_not_as_configured() {
    let check = async |field: &str, value: Value, expected: &'static str| {
        let (issuer, provider) = issuer().await;
        issuer.says.lock().document.insert(field.into(), value);
        let url = provider.consent_url(&Consent::default()).await;
        assert_eq!(url, Err(ProviderError::Document(expected)));
    };
    check("issuer", json!("https://elsewhere"), "issuer").await;
    check("token_endpoint", Value::Null, "token_endpoint").await;
}

/// OAuth2 without an issuer: the addresses are configured, the profile says who it is.
#[tokio::test]
async fn plain_oauth2() {
    let issuer = Issuer::start(NOW).await;
    issuer.says.lock().info =
        json!({"data": {"id": 17, "mail": "A@x"}, "name": "A", "email": "ignored"});
    let name = issuer.name();
    let provider = described(
        &format!(
            "endpoints: {{consent_url: '{name}/consent', token_url: '{name}/token', \
             profile_url: '{name}/me'}}, scopes: [a, b], trust_email: true, \
             claims: {{id: /data/id, email: /data/mail, first_name: name}}, consent_params: {{p: q}}"
        ),
        "",
    );
    let consent = Consent { state: Some("s"), verifier: Some("v"), nonce: Some("n") };
    let url = provider.consent_url(&consent).await.unwrap();
    assert!(url.contains("&scope=a%20b&state=s&code_challenge="), "{url}");
    assert!(url.ends_with("&code_challenge_method=S256&p=q"), "{url}");
    let person = log_in(&provider).await.unwrap();
    assert_eq!((person.id.as_str(), person.email.as_deref()), ("17", Some("a@x")));
    assert_eq!(issuer.asked("/.well-known") + issuer.asked("/jwks"), 0);
    let asked = issuer.stub.requests();
    assert!(asked[0].ends_with("&client_id=C&client_secret=s+t"), "{}", asked[0]);
}

#[tokio::test]
async fn github_has_emails_elsewhere() {
    let stub = Stub::start(|request| {
        let body = match request.split(' ').nth(1).unwrap() {
            "/token" => r#"{"access_token": "t", "scope": "x", "token_type": "bearer"}"#,
            "/user" => r#"{"id": 17, "login": "a", "name": "A B", "email": null}"#,
            _ => {
                r#"[{"email": "no@x", "primary": false, "verified": true},
                    {"email": "Yes@x", "primary": true, "verified": true}]"#
            }
        };
        Answer::new(200, body)
    })
    .await;
    let yaml = format!(
        "ready: github, endpoints: {{token_url: '{}', profile_url: '{}', emails_url: '{}'}}",
        stub.url("/token"),
        stub.url("/user"),
        stub.url("/emails"),
    );
    let person = log_in(&described(&yaml, "")).await.unwrap();
    assert_eq!((person.id.as_str(), person.email.as_deref()), ("17", Some("yes@x")));
    assert_eq!(Text(person.profile.as_msgpack()).to_string(), r#"{"first_name": "A B"}"#);

    // Who may not read the emails has none; a server that fails says nothing about them.
    for (status, is_in) in [(401, true), (403, true), (404, true), (500, false)] {
        let refusing = Stub::start(move |_| Answer::new(status, "{}")).await;
        let yaml = yaml.replace(&stub.url("/emails"), &refusing.url("/emails"));
        let person = log_in(&described(&yaml, "")).await;
        assert_eq!(person.map(|person| person.email).ok(), is_in.then_some(None), "{status}");
    }
}

#[tokio::test]
async fn vkid_wants_the_device_again() {
    let stub = Stub::start(|request| {
        let body = match request.split(' ').nth(1).unwrap() {
            "/token" => r#"{"access_token": "t", "refresh_token": "r", "user_id": 1}"#,
            _ => {
                r#"{"user": {"user_id": "1", "first_name": "A", "last_name": "B", "email": "e@x"}}"#
            }
        };
        Answer::new(200, body)
    })
    .await;
    let yaml = format!(
        "ready: vkid, client_secret: '', endpoints: {{token_url: '{}', profile_url: '{}'}}",
        stub.url("/token"),
        stub.url("/me"),
    )
    .replace("client_secret: '', ", "");
    let provider = described(&yaml, "");
    let login = Login { device_id: Some("d1"), state: Some("st"), ..came_back() };
    let exchanged = provider.exchange(&login).await.unwrap();
    assert_eq!(exchanged.kept.device_id.as_deref(), Some("d1"));
    let person = provider.profile(&exchanged, &login).await.unwrap();
    assert_eq!((person.id.as_str(), person.email.as_deref()), ("1", Some("e@x")));
    ask_again(&provider, &exchanged.kept, NOW).await.1.unwrap();
    let asked = stub.requests();
    assert!(
        asked[0].ends_with("&code_verifier=v&state=st&device_id=d1&client_id=C"),
        "{}",
        asked[0]
    );
    assert!(asked[1].ends_with("\r\n\r\nclient_id=C&access_token=t"), "{}", asked[1]);
    assert!(
        asked[2].ends_with("grant_type=refresh_token&refresh_token=r&device_id=d1&client_id=C"),
        "{}",
        asked[2]
    );
}

#[tokio::test]
async fn apple_wants_a_secret_that_is_signed() {
    let issuer = Issuer::start(NOW).await;
    issuer
        .says
        .lock()
        .claims
        .extend([("nonce".to_owned(), json!("n")), ("email_verified".to_owned(), json!("true"))]);
    issuer.says.lock().document.insert("userinfo_endpoint".into(), Value::Null);
    let key = ring::signature::EcdsaKeyPair::generate_pkcs8(
        &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &ring::rand::SystemRandom::new(),
    );
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD.encode(key.unwrap().as_ref());
    let yaml = format!(
        "ready: apple, issuer: '{}', client_secret_jwt: {{team_id: T, key_id: K, private_key: \
         \"-----BEGIN PRIVATE KEY-----\\n{key}\\n-----END PRIVATE KEY-----\\n\"}}",
        issuer.name(),
    );
    let provider = described(&yaml, "");
    let url = provider.consent_url(&Consent::default()).await.unwrap();
    assert!(url.ends_with("&scope=openid%20email%20name&response_mode=form_post"), "{url}");
    let person = log_in(&provider).await.unwrap();
    assert_eq!((person.id.as_str(), person.email.as_deref()), ("s1", Some("a@x")));
    let asked = issuer.stub.requests();
    let token = asked.iter().find(|request| request.starts_with("POST /token")).unwrap();
    let secret = token.split("client_secret=").nth(1).unwrap();
    let header = jsonwebtoken::decode_header(secret).unwrap();
    assert_eq!(header.kid.as_deref(), Some("K"));
    let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(secret).unwrap();
    let expected =
        json!({"iss": "T", "sub": "C", "aud": issuer.name(), "iat": NOW, "exp": NOW + 300});
    assert_eq!(claims, expected);
}

#[test]
fn ready_entries_need_little() {
    for (name, _) in crate::config::ReadyProvider::ALL {
        let yaml = format!(
            "roles_cfg: {{authman: {{providers: {{{name}: {{client_id: C, client_secret: s, \
             redirect_uri: 'https://x'}}}}}}}}"
        );
        let config = Config::from_yaml(&yaml).unwrap();
        let all = Provider::all(&config.roles_cfg.authman, &Http::new().unwrap());
        assert_eq!(all.iter().filter(|provider| provider.name() == *name).count(), 1);
        assert!(named(&config, name).checks_state());
    }
}

mod openid;

use lycosa_proto::msgpack::Text;

use super::*;
use crate::config::Config;
use crate::http::stub::{Answer, Stub};

/// The provider `name` whose addresses lead to `stub`.
fn provider(name: &str, stub: &Stub) -> Provider {
    let yaml = format!(
        "roles_cfg: {{authman: {{request_timeout: 20, {name}: {{client_id: 'C D', client_secret: s&t, \
         redirect_uri: 'http://localhost:8000/?a=b', endpoints: {{token_url: '{}', profile_url: '{}'}}}}}}}}",
        stub.url("/token"),
        stub.url("/me"),
    );
    let config = Config::from_yaml(&yaml).unwrap();
    named(&config, name)
}

fn login(code: &str) -> Login<'_> {
    Login { code, ..Login::default() }
}

fn named(config: &Config, name: &str) -> Provider {
    let all = Provider::all(&config.roles_cfg.authman, &Http::new().unwrap());
    all.into_iter().find(|provider| provider.name() == name).unwrap()
}

/// Asks about a person again: the token to keep, the person.
async fn ask_again(
    provider: &Provider,
    kept: &Kept,
    now: u64,
) -> (Option<Kept>, Result<Person, ProviderError>) {
    match provider.refresh(kept, Clock::new(now)).await {
        Ok(refreshed) => {
            let person = provider.profile_again(&refreshed, Clock::new(now)).await;
            (refreshed.kept, person)
        }
        Err(error) => (None, Err(error)),
    }
}

/// A server that answers on each path with a fixed body.
async fn answering(token: &'static str, me: &'static str) -> Stub {
    let answer = move |request: &str| {
        let body =
            if request.split(' ').nth(1).unwrap().starts_with("/token") { token } else { me };
        Answer::new(200, body)
    };
    Stub::start(answer).await
}

#[tokio::test]
async fn facebook_asks_as_the_table_says() {
    let stub = answering(
        r#"{"access_token": "T&1"}"#,
        r#"{"id": "fb1", "email": "FB@x.com", "first_name": "A", "last_name": "B"}"#,
    )
    .await;
    let provider = provider("facebook", &stub);
    let exchanged = provider.exchange(&login("a code")).await.unwrap();
    assert_eq!((exchanged.kept.token.expose(), &exchanged.email), ("T&1", &None));
    let person = provider.profile(&exchanged, &login("")).await.unwrap();
    assert_eq!((person.id.as_str(), person.email.as_deref()), ("fb1", Some("fb@x.com")));
    let profile = Text(person.profile.as_msgpack()).to_string();
    assert_eq!(profile, r#"{"first_name": "A", "last_name": "B"}"#);
    assert_eq!(
        stub.lines(),
        [
            "GET /token?client_id=C+D&redirect_uri=http%3A%2F%2Flocalhost%3A8000%2F%3Fa%3Db\
             &client_secret=s%26t&code=a+code",
            "GET /me?access_token=T%261&fields=email%2Cfirst_name%2Clast_name",
        ]
    );
}

#[tokio::test]
async fn google_refreshes_the_token_before_the_profile() {
    let stub = answering(
        r#"{"access_token": "short", "refresh_token": "long"}"#,
        r#"{"id": "g1", "email": "g@x", "given_name": "A", "family_name": null}"#,
    )
    .await;
    let provider = provider("google", &stub);
    let exchanged = provider.exchange(&login("c")).await.unwrap();
    assert_eq!(exchanged.kept.token, Secret::new("long"));
    let person = provider.profile(&exchanged, &login("")).await.unwrap();
    let profile = Text(person.profile.as_msgpack()).to_string();
    assert_eq!(profile, r#"{"first_name": "A", "last_name": null}"#);
    assert_eq!(stub.lines(), ["POST /token", "POST /token", "GET /me?access_token=short"]);
    let bodies = stub.requests();
    assert!(bodies[0].ends_with("&client_secret=s%26t&code=c&grant_type=authorization_code"));
    assert!(bodies[1].ends_with(
        "client_id=C+D&client_secret=s%26t&refresh_token=long&grant_type=refresh_token"
    ));
}

#[tokio::test]
async fn vk_gives_the_email_with_the_token_and_a_number_as_id() {
    let stub = answering(
        r#"{"access_token": "t", "email": "VK@x"}"#,
        r#"{"response": [{"id": 17, "first_name": "A"}]}"#,
    )
    .await;
    let provider = provider("vk", &stub);
    let exchanged = provider.exchange(&login("c")).await.unwrap();
    assert_eq!(exchanged.email.as_deref(), Some("vk@x"));
    let person = provider.profile(&exchanged, &login("")).await.unwrap();
    assert_eq!((person.id.as_str(), person.email), ("17", None));
    assert_eq!(Text(person.profile.as_msgpack()).to_string(), r#"{"first_name": "A"}"#);
}

#[tokio::test]
async fn consent_pages() {
    let check = async |name: &str, state: Option<&str>, expected: &str| {
        let yaml = format!(
            "roles_cfg: {{authman: {{{name}: {{client_id: FB, redirect_uri: 'http://x:80/a?b'}}}}}}"
        );
        let provider = named(&Config::from_yaml(&yaml).unwrap(), name);
        let consent = Consent { state, ..Consent::default() };
        assert_eq!(provider.consent_url(&consent).await.unwrap(), expected);
    };
    let facebook = "https://www.facebook.com/v2.8/dialog/oauth?client_id=FB\
                    &redirect_uri=http://x:80/a?b&scope=email";
    check("facebook", None, facebook).await;
    check("facebook", Some("s t&x=1#+%"), &format!("{facebook}&state=s%20t%26x%3D1%23%2B%25"))
        .await;
    check(
        "google",
        None,
        "https://accounts.google.com/o/oauth2/v2/auth?client_id=FB&redirect_uri=http://x:80/a?b\
         &response_type=code&scope=email&access_type=offline&prompt=consent",
    )
    .await;
    check(
        "vk",
        None,
        "https://oauth.vk.com/authorize?client_id=FB&display=page&redirect_uri=http://x:80/a?b\
         &scope=offline,email&response_type=code&v=5.62",
    )
    .await;
}

#[tokio::test]
async fn scopes_and_versions_may_be_others() {
    let check = async |yaml: &str, name: &str, expected: &str| {
        let config = Config::from_yaml(&format!("roles_cfg: {{authman: {yaml}}}")).unwrap();
        let url = named(&config, name).consent_url(&Consent::default()).await.unwrap();
        assert_eq!(url, expected);
    };
    check(
        "{facebook: {api_version: v19.0, scope: 'email,public_profile'}}",
        "facebook",
        "https://www.facebook.com/v19.0/dialog/oauth?client_id=&redirect_uri=\
         &scope=email,public_profile",
    )
    .await;
    check(
        "{vk: {api_version: '5.131', scope: offline}}",
        "vk",
        "https://oauth.vk.com/authorize?client_id=&display=page&redirect_uri=&scope=offline\
         &response_type=code&v=5.131",
    )
    .await;
}

#[tokio::test]
async fn the_consent_page_may_be_elsewhere() {
    let yaml = "roles_cfg: {authman: {vk: {endpoints: {consent_url: 'https://x/y?z=1'}}}}";
    let vk = named(&Config::from_yaml(yaml).unwrap(), "vk");
    let url = vk.consent_url(&Consent::default()).await.unwrap();
    assert!(url.starts_with("https://x/y?z=1&client_id=&display=page&"), "{url}");

    let yaml = yaml.replace("https", "http");
    let vk = named(&Config::from_yaml(&yaml).unwrap(), "vk");
    let refused = vk.consent_url(&Consent { state: Some("st"), ..Consent::default() }).await;
    let insecure = HttpError::Insecure("http://x".to_owned());
    assert_eq!(refused, Err(ProviderError::Http(insecure)));
    assert_eq!(vk.counted().errors.get("insecure"), Some(&1));
}

#[tokio::test]
async fn answers_that_do_not_help() {
    use ProviderError::{Http, Missing, NotJson};
    let check =
        async |name: &str, status: u16, body: &'static str, expected: [ProviderError; 2]| {
            let stub = Stub::start(move |_| Answer::new(status, body)).await;
            let provider = provider(name, &stub);
            let token = provider.exchange(&login("c")).await.unwrap_err();
            let kept = Kept { token: Secret::new("t"), token_use: None, device_id: None };
            let profile = ask_again(&provider, &kept, 0).await.1.unwrap_err();
            assert_eq!([token, profile], expected, "{name} {status} {body}");
        };
    let status = |status| [Http(HttpError::Status(status)), Http(HttpError::Status(status))];
    check("facebook", 400, "{}", status(400)).await;
    check("facebook", 201, "{}", status(201)).await;
    check("facebook", 200, "Expected", [NotJson, NotJson]).await;
    check("facebook", 200, "{}", [Missing("access_token"), Missing("id")]).await;
    check("facebook", 200, "[]", [Missing("access_token"), Missing("id")]).await;
    let wrong = r#"{"access_token": "", "id": 17}"#;
    check("facebook", 200, wrong, [Missing("access_token"), Missing("id")]).await;
    check("google", 200, "{}", [Missing("refresh_token"), Missing("access_token")]).await;
    let empty = r#"{"response": []}"#;
    check("vk", 200, empty, [Missing("access_token"), Missing("profile")]).await;
}

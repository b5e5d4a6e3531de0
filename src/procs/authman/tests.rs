mod engine;
mod oauth;
mod openid;
mod safety;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lycosa_proto::msgpack::{Text, write_array, write_str};
use parking_lot::Mutex;

use super::answer::Reply;
use super::memory::{Memory, Rows};
use super::*;
use crate::config::Config;
use crate::http::stub::{Answer as HttpAnswer, Stub};
use crate::procs::Values;

const START: u64 = 1_795_450_825;

/// Settings of passwords that do not cost time.
const CHEAP: &str = "argon2_memory: 8192, argon2_iterations: 1";

/// Where every call comes from.
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Arguments that are all texts.
fn texts(texts: &[&str]) -> Args {
    let mut array = Vec::new();
    write_array(&mut array, texts.len());
    texts.iter().for_each(|text| write_str(&mut array, text));
    Args::new(&array)
}

/// The values of an answer as text.
fn shown(values: &Values) -> String {
    let mut array = Vec::new();
    write_array(&mut array, values.count() as usize);
    array.extend_from_slice(values.bytes());
    Text(&array).to_string().replace("\\/", "/")
}

fn secrets() -> Secrets {
    let secret = || Secret::new("x");
    Secrets { activation: secret(), session: secret(), restore: secret() }
}

type Meanwhile = fn(&mut Rows);

/// The application against a local provider, with a clock and UUIDs of its own.
struct Bench {
    authman: Authman,
    store: Arc<Memory>,
    stub: Stub,
    /// What else happens, once, while the provider is asked for the profile.
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
    /// Status and body of the provider's profile.
    me: Arc<Mutex<(u16, String)>>,
    now: u64,
    drawn: AtomicU64,
}

impl Bench {
    async fn new() -> Self {
        Self::with(CHEAP, "").await
    }

    /// The same with settings of passwords, and others.
    async fn with(passwords: &str, settings: &str) -> Self {
        let me = r#"{"id": "fb1", "email": "FB@x.com", "first_name": "A", "last_name": "B"}"#;
        let me = Arc::new(Mutex::new((200, me.to_owned())));
        let store = Arc::new(Memory::default());
        let meanwhile = Arc::new(Mutex::new(None::<Meanwhile>));
        let (shown, others, event) = (me.clone(), store.clone(), meanwhile.clone());
        let stub = Stub::start(move |request| {
            if request.starts_with("GET /token") {
                let good = request.contains("code=good");
                let body = if good { r#"{"access_token": "tok"}"# } else { "{}" };
                return HttpAnswer::new(200, body);
            }
            if let Some(event) = event.lock().take() {
                others.change(event);
            }
            let (status, body) = shown.lock().clone();
            HttpAnswer::new(status, &body)
        })
        .await;
        let yaml = format!(
            "roles_cfg: {{authman: {{{settings} session_secret: x, \
             passwords: {{{passwords}}}, session_lifetime: 1000, \
             session_update_timedelta: 300, social_check_time: 100, facebook: {{client_id: FB, \
             endpoints: {{token_url: '{}', profile_url: '{}'}}}}}}}}",
            stub.url("/token"),
            stub.url("/me"),
        );
        let config = Config::from_yaml(&yaml).unwrap().roles_cfg.authman;
        let authman = Authman::new(&config, &Http::new().unwrap(), secrets());
        Self { authman, store, stub, meanwhile, me, now: START, drawn: AtomicU64::new(0) }
    }

    /// Bytes that are others at each call.
    fn bytes(&self) -> [u8; 32] {
        [self.drawn.fetch_add(1, Ordering::Relaxed) as u8; 32]
    }

    /// Calls a procedure and gives its answer as text.
    async fn call(&self, name: &str, args: &[&str]) -> String {
        self.try_call(name, &texts(args)).await.unwrap()
    }

    async fn try_call(&self, name: &str, args: &Args) -> Result<String> {
        let uuid = || format!("uuid-{}", self.drawn.fetch_add(1, Ordering::Relaxed));
        let drawn = Drawn { now: self.now, uuid: &uuid, bytes: &|| self.bytes(), address: HERE };
        let procedure = Procedure::find(&format!("auth.{name}")).unwrap();
        let answer = self.authman.call(procedure, args, &*self.store, drawn).await?;
        Ok(shown(&answer::values(&answer)))
    }

    /// Calls a procedure that gives a user, and takes its session out of the answer.
    async fn session(&self, name: &str, args: &[&str]) -> (String, String) {
        let answer = self.call(name, args).await;
        let (head, session) = answer.split_once("\"session\": \"").expect("a session");
        (head.to_owned(), session.trim_end_matches("\"}]").to_owned())
    }

    async fn check(&self, session: &str, expected: &str) {
        assert_eq!(self.call("check_auth", &[session]).await, expected);
    }
}

/// The start of the answer for the person that the provider knows.
const FB1: &str = r#"[true, {"id": "uuid-0", "email": "fb@x.com", "is_active": true, "profile": {"first_name": "A", "last_name": "B"}, "social": {"provider": "facebook", "social_id": "fb1"}, "#;

const WRONG_SIGN: &str = r#"[false, {"7": "Wrong session sign"}]"#;
const NOT_AUTHENTICATED: &str = r#"[false, {"8": "User is not authenticated"}]"#;
const NOT_FOUND: &str = r#"[false, {"1": "User not found"}]"#;

#[tokio::test]
async fn a_login_from_the_consent_page_to_the_end() {
    let bench = Bench::new().await;
    assert_eq!(
        bench.call("social_auth_url", &["facebook", "st&x"]).await,
        r#"[true, "https://www.facebook.com/v2.8/dialog/oauth?client_id=FB&redirect_uri=&scope=email&state=st%26x"]"#,
    );
    let (head, session) = bench.session("social_auth", &["facebook", "good"]).await;
    assert_eq!(head, FB1);
    assert_eq!(bench.store.counts(), (1, 1, 1));
    let (head, same) = bench.session("check_auth", &[&session]).await;
    assert_eq!((head.as_str(), &same), (FB1, &session));
    assert_eq!(bench.call("drop_session", &[&session]).await, "[true, true]");
    assert_eq!(bench.call("drop_session", &[&session]).await, WRONG_SIGN);
    bench.check(&session, WRONG_SIGN).await;
    assert_eq!(bench.store.counts(), (1, 1, 0));
}

#[tokio::test]
async fn a_second_login_updates_the_same_user() {
    let bench = Bench::new().await;
    bench.session("social_auth", &["facebook", "good"]).await;
    bench.store.change(|rows| rows.change_user(|user| user.is_active = false));
    *bench.me.lock() = (200, r#"{"id": "fb1", "email": null}"#.to_owned());
    let (head, _) = bench.session("social_auth", &["facebook", "good"]).await;
    assert!(
        head.contains(r#""id": "uuid-0", "email": "fb@x.com", "is_active": true, "profile": []"#)
    );
    assert_eq!(bench.store.counts(), (1, 1, 2));

    bench.store.change(Rows::forget_users);
    let (head, _) = bench.session("social_auth", &["facebook", "good"]).await;
    assert!(head.contains(r#""id": "uuid-0", "email": "", "is_active": true"#), "{head}");
    assert_eq!(bench.store.counts(), (1, 1, 3));

    *bench.me.lock() = (200, r#"{"id": "fb2"}"#.to_owned());
    let (head, _) = bench.session("social_auth", &["facebook", "good"]).await;
    assert!(!head.contains("uuid-0"), "{head}");
    assert_eq!(bench.store.counts(), (2, 2, 4));
}

#[tokio::test]
async fn refusals_of_social_login() {
    let bench = Bench::new().await;
    let check = async |args: &[&str], expected: &str| {
        assert_eq!(bench.call("social_auth", args).await, expected, "{args:?}");
    };
    let wrong_provider = r#"[false, {"13": "Wrong social provider"}]"#;
    check(&["mailru", "good"], wrong_provider).await;
    check(&["facebook", ""], wrong_provider).await;
    check(&["facebook"], wrong_provider).await;
    check(&[], wrong_provider).await;
    check(&["facebook", "bad"], r#"[false, {"11": "Wrong auth code"}]"#).await;
    for (status, body) in [(500, "{}"), (200, "no json"), (200, r#"{"id": 17}"#)] {
        *bench.me.lock() = (status, body.to_owned());
        check(&["facebook", "good"], r#"[false, {"15": "Error during getting user info"}]"#).await;
    }
    assert_eq!(bench.call("social_auth_url", &["mailru"]).await, wrong_provider);
    assert_eq!(bench.call("social_auth_url", &[]).await, wrong_provider);
    assert_eq!(bench.store.counts(), (0, 0, 0));
}

#[tokio::test]
async fn a_social_session_asks_the_provider_when_due() {
    let mut bench = Bench::new().await;
    let (_, session) = bench.session("social_auth", &["facebook", "good"]).await;
    let asked = bench.stub.lines().len();
    bench.now = START + 99;
    assert_eq!(bench.session("check_auth", &[&session]).await.1, session);
    assert_eq!(bench.stub.lines().len(), asked, "nothing was due");

    bench.now = START + 100;
    *bench.me.lock() = (200, r#"{"id": "fb1", "email": "New@x", "first_name": "C"}"#.to_owned());
    let (head, renewed) = bench.session("check_auth", &[&session]).await;
    assert!(
        head.contains(r#""email": "new@x", "is_active": true, "profile": {"first_name": "C"}"#)
    );
    assert_ne!(renewed, session);
    assert_eq!(bench.store.counts(), (1, 1, 2));
    assert_eq!(
        bench.stub.lines().last().unwrap(),
        "GET /me?access_token=tok&fields=email%2Cfirst_name%2Clast_name"
    );
    bench.now = START + 199;
    assert_eq!(bench.session("check_auth", &[&renewed]).await.1, renewed);

    for (status, body) in [(500, "{}"), (200, "{}"), (200, r#"{"id": "another"}"#)] {
        *bench.me.lock() = (status, body.to_owned());
        bench.check(&session, NOT_AUTHENTICATED).await;
    }
    bench.now = START + 1000;
    bench.check(&session, NOT_AUTHENTICATED).await;
}

#[tokio::test]
async fn what_happens_while_the_provider_is_asked_counts() {
    let cases: [(Meanwhile, &str); 3] = [
        (Rows::forget_sessions, WRONG_SIGN),
        (Rows::forget_users, NOT_FOUND),
        (Rows::forget_credentials, NOT_FOUND),
    ];
    for (meanwhile, expected) in cases {
        let mut bench = Bench::new().await;
        let (_, session) = bench.session("social_auth", &["facebook", "good"]).await;
        bench.now = START + 100;
        *bench.meanwhile.lock() = Some(meanwhile);
        bench.check(&session, expected).await;
        assert!(bench.meanwhile.lock().is_none(), "the provider was not asked");
        assert!(bench.store.counts().2 <= 1, "no new session may appear");
    }
}

#[tokio::test]
async fn a_session_whose_owner_is_gone() {
    let bench = Bench::new().await;
    let (_, session) = bench.session("social_auth", &["facebook", "good"]).await;
    bench.store.change(|rows| rows.change_user(|user| user.is_active = false));
    bench.check(&session, r#"[false, {"4": "User not activated"}]"#).await;
    bench.store.change(|rows| rows.change_user(|user| user.is_active = true));
    bench.store.change(Rows::forget_credentials);
    bench.check(&session, NOT_FOUND).await;
    bench.store.change(Rows::forget_users);
    bench.check(&session, NOT_FOUND).await;
}

#[tokio::test]
async fn a_common_session_is_renewed_near_its_end() {
    let mut bench = Bench::new().await;
    bench.session("social_auth", &["facebook", "good"]).await;
    let uuid = || "common".to_owned();
    let drawn = Drawn { now: START, uuid: &uuid, bytes: &|| [0; 32], address: HERE };
    let mut session = String::new();
    bench.store.change(|rows| {
        session = bench.authman.open_session(rows, "uuid-0", None, drawn).unwrap().expose().into();
    });
    bench.now = START + 699;
    let (head, same) = bench.session("check_auth", &[&session]).await;
    assert!(!head.contains("social"));
    assert_eq!(same, session);
    bench.now = START + 700;
    let (_, renewed) = bench.session("check_auth", &[&session]).await;
    assert_ne!(renewed, session);
    bench.now = START + 1000;
    bench.check(&session, NOT_AUTHENTICATED).await;
    assert_eq!(bench.session("check_auth", &[&renewed]).await.1, renewed);
}

#[tokio::test]
async fn sessions_that_are_none() {
    let bench = Bench::new().await;
    let (_, session) = bench.session("social_auth", &["facebook", "good"]).await;
    let (payload, signature) = session.split_once('.').unwrap();
    let other = session::sign("nobody", "c", &1.into(), None, &Secret::new("x"));
    for name in ["check_auth", "drop_session"] {
        for bad in ["", "x"] {
            let invalid = r#"[false, {"3": "Invalid params"}]"#;
            let expected = if bad.is_empty() { invalid } else { WRONG_SIGN };
            assert_eq!(bench.call(name, &[bad]).await, expected);
        }
        assert!(bench.call(name, &[]).await.contains("Invalid params"));
        for bad in [
            "thissession.iswrongsigned",
            payload,
            &format!("{payload}."),
            &format!("{payload}.{payload}"),
            &format!("{session}."),
            &format!(".{session}"),
            &format!("{payload}.{}", signature.to_lowercase()),
            other.expose(),
        ] {
            assert_eq!(bench.call(name, &[bad]).await, WRONG_SIGN, "{name} {bad}");
        }
    }
    assert_eq!(bench.store.counts(), (1, 1, 1));
}

#[test]
fn the_secret_is_never_shown() {
    let config = Config::default().roles_cfg.authman;
    let secret = || Secret::new("never-shown");
    let secrets = Secrets { activation: secret(), session: secret(), restore: secret() };
    let authman = Authman::new(&config, &Http::new().unwrap(), secrets);
    assert!(!format!("{authman:?}").contains("never-shown"));
    for reply in [Reply::Text(secret()), Reply::Value(b"never-shown".to_vec())] {
        assert!(!format!("{reply:?}").contains("never-shown"));
    }
}

#[test]
fn other_names_are_no_procedures() {
    fn check_send(_: &impl Send) {}
    let config = Config::default().roles_cfg.authman;
    let authman = Authman::new(&config, &Http::new().unwrap(), secrets());
    let drawn = Drawn { now: 0, uuid: &String::new, bytes: &|| [0; 32], address: HERE };
    let (args, store) = (texts(&[]), Memory::default());
    check_send(&authman.call(Procedure::CheckAuth, &args, &store, drawn));
    assert_eq!(Procedure::find("auth.drop_session"), Some(Procedure::DropSession));
    for name in ["auth.nothing", "auth", "drop_session", ""] {
        assert_eq!(Procedure::find(name), None, "{name}");
    }
}

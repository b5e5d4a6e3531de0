//! Login with a provider that the configuration describes: states, and asking again.

use serde_json::json;

use super::*;
use crate::procs::authman::provider::issuer::Issuer;

/// The application with one provider, `p`, and an issuer behind it.
struct Openid {
    authman: Arc<Authman>,
    store: Arc<Memory>,
    issuer: Issuer,
    now: u64,
}

/// Parameters of a query, decoded.
fn query(url: &str, name: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn args(value: &serde_json::Value) -> Args {
    Args::new(&rmp_serde::to_vec(value).unwrap())
}

const WRONG_CODE: &str = r#"[false, {"11": "Wrong auth code"}]"#;
const NO_PROFILE: &str = r#"[false, {"15": "Error during getting user info"}]"#;

impl Openid {
    async fn new(more: &str) -> Self {
        let issuer = Issuer::start(START).await;
        let yaml = format!(
            "roles_cfg: {{authman: {{session_lifetime: 1000, social_check_time: 100, {more} \
             facebook: {{check_state: true}}, \
             providers: {{p: {{issuer: '{}', client_id: C, client_secret: s, \
             redirect_uri: 'http://x/cb'}}}}}}}}",
            issuer.name(),
        );
        let config = Config::from_yaml(&yaml).unwrap().roles_cfg.authman;
        let authman = Arc::new(Authman::new(&config, &Http::new().unwrap(), secrets()));
        Self { authman, store: Arc::default(), issuer, now: START }
    }

    async fn call(&self, name: &str, arguments: serde_json::Value) -> String {
        let uuid = || uuid::Uuid::new_v4().to_string();
        let drawn = Drawn { now: self.now, uuid: &uuid, bytes: &|| [0; 32], address: HERE };
        let procedure = Procedure::find(&format!("auth.{name}")).unwrap();
        let answer = self.authman.call(procedure, &args(&arguments), &*self.store, drawn).await;
        shown(&answer::values(&answer.unwrap()))
    }

    /// Goes to the consent page; gives the state, and has the issuer know the nonce.
    async fn begin(&self, own_state: &str) -> String {
        let answer = self.call("social_auth_url", json!(["p", own_state])).await;
        let url = answer.trim_start_matches("[true, \"").trim_end_matches("\"]");
        let nonce = query(url, "nonce").expect("a nonce");
        self.issuer.says.lock().claims.insert("nonce".into(), json!(nonce));
        assert_eq!(query(url, "code_challenge").unwrap().len(), 43);
        query(url, "state").expect("a state")
    }

    async fn come_back(&self, state: &str) -> String {
        self.call("social_auth", json!(["p", "c", state])).await
    }

    /// Logs the person in, with a refresh token that is replaced from then on; gives the session, which is due.
    async fn due_session(&mut self) -> String {
        let state = self.begin("").await;
        let session = session_of(&self.come_back(&state).await);
        self.now += 100;
        self.issuer.says.lock().claims.clear();
        self.issuer.says.lock().token.insert("refresh_token".into(), json!("rt2"));
        session
    }

    /// The token that is kept of the only person.
    fn kept_token(&self) -> String {
        let mut token = String::new();
        self.store.change(|rows| {
            rows.change_credential(|found| token = found.kept.token.expose().to_owned());
        });
        token
    }
}

/// The session of an answer.
fn session_of(answer: &str) -> String {
    let (_, session) = answer.split_once("\"session\": \"").expect("a session");
    session.trim_end_matches("\"}]").to_owned()
}

#[tokio::test]
async fn a_state_counts_once() {
    let openid = Openid::new("").await;
    let state = openid.begin("").await;
    let first = openid.come_back(&state).await;
    assert!(first.contains(r#""social": {"provider": "p", "social_id": "s1"}"#), "{first}");
    assert_eq!(openid.come_back(&state).await, WRONG_CODE);
    assert_eq!(openid.store.counts(), (1, 1, 1));
    assert_eq!(openid.issuer.asked("/token"), 1, "a forged callback asks nobody");
}

#[tokio::test]
async fn callbacks_of_no_login_are_refused() {
    let mut openid = Openid::new("state_lifetime: 60,").await;
    for state in [json!("x"), json!(""), json!(null), json!(5), json!("a.b")] {
        let answer = openid.call("social_auth", json!(["p", "c", state])).await;
        assert_eq!(answer, WRONG_CODE, "{state}");
    }
    assert_eq!(openid.call("social_auth", json!(["p", "c"])).await, WRONG_CODE);

    let state = openid.begin("").await;
    let elsewhere = openid.call("social_auth", json!(["facebook", "c", state])).await;
    assert_eq!(elsewhere, WRONG_CODE, "the state of another provider");
    assert_eq!(openid.come_back(&state).await, WRONG_CODE, "and it is gone");

    let state = openid.begin("").await;
    openid.now += 60;
    assert_eq!(openid.come_back(&state).await, WRONG_CODE, "too late");
    assert_eq!(openid.store.counts(), (0, 0, 0));
}

#[tokio::test]
async fn the_applications_own_state_comes_back_and_is_compared() {
    let openid = Openid::new("").await;
    let state = openid.begin("a.b&c").await;
    assert_eq!(state.split_once('.').unwrap().1, "a.b&c");
    assert!(openid.come_back(&state).await.starts_with("[true"));

    let state = openid.begin("mine").await;
    let (random, _) = state.split_once('.').unwrap();
    assert_eq!(openid.come_back(&format!("{random}.yours")).await, WRONG_CODE);
    let state = openid.begin("mine").await;
    assert_eq!(openid.come_back(state.split_once('.').unwrap().0).await, WRONG_CODE);

    for (own, expected) in [("mine", "[true"), ("yours", "[false")] {
        let state = openid.begin("mine").await;
        let params = json!({"own_state": own});
        let answer = openid.call("social_auth", json!(["p", "c", state, params])).await;
        assert!(answer.starts_with(expected), "{own}: {answer}");
    }
    let long = "x".repeat(state::OWN_STATE_BYTES_MAX + 1);
    let refused = openid.call("social_auth_url", json!(["p", long])).await;
    assert_eq!(refused, r#"[false, {"3": "Invalid params"}]"#);
}

#[tokio::test]
async fn of_too_many_states_the_oldest_are_forgotten() {
    let openid = Openid::new("states_max: 2,").await;
    let (first, second, third) =
        (openid.begin("").await, openid.begin("").await, openid.begin("").await);
    assert_eq!(openid.come_back(&first).await, WRONG_CODE);
    assert!(openid.come_back(&third).await.starts_with("[true"));
    // The issuer knows the nonce of the third login only.
    assert_eq!(openid.come_back(&second).await, NO_PROFILE);
}

#[tokio::test]
async fn providers_of_the_lua_application_may_want_a_state_too() {
    let openid = Openid::new("").await;
    let url = openid.call("social_auth_url", json!(["facebook", "own"])).await;
    let state =
        query(url.trim_start_matches("[true, \"").trim_end_matches("\"]"), "state").unwrap();
    assert!(state.len() == 43 + 4 && state.ends_with(".own"), "{state}");
    assert_eq!(openid.call("social_auth", json!(["facebook", "c"])).await, WRONG_CODE);
}

#[tokio::test]
async fn a_wrong_id_token_makes_no_user() {
    let openid = Openid::new("").await;
    let state = openid.begin("").await;
    openid.issuer.says.lock().claims.insert("nonce".into(), json!("another"));
    assert_eq!(openid.come_back(&state).await, NO_PROFILE);
    let state = openid.begin("").await;
    openid.issuer.says.lock().knows_code = false;
    assert_eq!(openid.come_back(&state).await, WRONG_CODE);
    assert_eq!(openid.store.counts(), (0, 0, 0));
    let stat = openid.call("stat", json!([])).await;
    assert!(stat.contains(r#""errors": {"id_token": 1, "status": 1}"#), "{stat}");
}

#[tokio::test]
async fn an_issuer_that_is_not_there_has_no_consent_page() {
    let openid = Openid::new("").await;
    openid.issuer.says.lock().document.insert("issuer".into(), json!("https://elsewhere"));
    assert_eq!(openid.call("social_auth_url", json!(["p"])).await, NO_PROFILE);
}

/// Many sessions of one person are due: the refresh token, good for one use, is used once and replaced.
#[tokio::test]
async fn a_refresh_token_is_used_once_at_a_time() {
    let mut openid = Openid::new("").await;
    let session = openid.due_session().await;
    let checks: Vec<_> = (0..8).map(|_| openid.call("check_auth", json!([session]))).collect();
    for answer in futures_util::future::join_all(checks).await {
        assert!(answer.starts_with("[true"), "{answer}");
    }
    assert_eq!(openid.issuer.asked("/token"), 2, "one login, one refresh");
    assert!(openid.call("check_auth", json!([session])).await.starts_with("[true"));
    let asked = openid.issuer.stub.requests();
    let refreshes: Vec<_> =
        asked.iter().filter_map(|text| text.split("&refresh_token=").nth(1)).collect();
    assert_eq!(refreshes, ["rt", "rt2"]);

    openid.issuer.says.lock().info = json!({"sub": "another"});
    openid.issuer.says.lock().token.insert("id_token".into(), json!(null));
    openid.now += 100;
    assert_eq!(openid.call("check_auth", json!([session])).await, NOT_AUTHENTICATED);
}

/// Who has asked goes away while the provider is asked for the profile: the token is replaced there, and so it is here.
#[tokio::test]
async fn a_replaced_token_is_kept_though_nobody_waits() {
    let mut openid = Openid::new("request_timeout: 60,").await;
    let session = openid.due_session().await;
    openid.issuer.says.lock().silent = Some("/me");
    {
        let checking = openid.call("check_auth", json!([session]));
        let asked = async {
            while openid.issuer.asked("/token") < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = asked => {}
            answer = checking => panic!("{answer}"),
        }
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while openid.kept_token() != "rt2" {
        assert!(std::time::Instant::now() < deadline, "the token is lost");
        tokio::task::yield_now().await;
    }
    // The question goes on; who comes meanwhile waits for its answer.
    let another = openid.call("check_auth", json!([session]));
    let waited = tokio::time::timeout(Duration::from_millis(50), another).await;
    assert!(waited.is_err());
    assert_eq!(openid.issuer.asked("/token"), 2);
}

#[tokio::test]
async fn a_login_meanwhile_counts_for_more_than_a_refresh() {
    let mut openid = Openid::new("").await;
    let session = openid.due_session().await;
    let store = (*openid.store).clone();
    let log_in = move || {
        store.change(|rows| {
            rows.change_credential(|found| found.kept.token = Secret::new("of-the-login"));
        });
    };
    openid.issuer.says.lock().meanwhile = Some(Box::new(log_in));
    assert!(openid.call("check_auth", json!([session])).await.starts_with("[true"));
    assert_eq!(openid.kept_token(), "of-the-login");
}

#[tokio::test]
async fn a_callback_of_another_issuer_is_refused() {
    let openid = Openid::new("").await;
    let state = openid.begin("").await;
    let call =
        async |iss: &str| openid.call("social_auth", json!(["p", "c", state, {"iss": iss}])).await;
    assert_eq!(call("https://elsewhere").await, WRONG_CODE);
    assert_eq!(openid.issuer.asked("/token"), 0);
    assert!(call(&openid.issuer.name()).await.starts_with("[true"), "the state was not spent");
}

/// Whoever has a thousand logins begun does not make the states of others worthless.
#[tokio::test]
async fn states_count_for_their_address() {
    let openid = Openid::new("states_max: 6, attempts: {per_address_max: 5},").await;
    let state = openid.begin("").await;
    let mut begun = 0;
    for _ in 0..20 {
        let answer = openid.call("social_auth_url", json!(["p", null, "10.0.0.1"])).await;
        begun += usize::from(answer.starts_with("[true"));
    }
    assert_eq!(begun, 5);
    assert!(openid.come_back(&state).await.starts_with("[true"));
    // A login that ends well counts for nothing.
    for _ in 0..10 {
        let state = openid.begin("").await;
        assert!(openid.come_back(&state).await.starts_with("[true"));
    }
}

#[tokio::test]
async fn a_state_lives_for_a_second_at_least() {
    let openid = Openid::new("state_lifetime: 0.5,").await;
    let state = openid.begin("").await;
    assert!(openid.come_back(&state).await.starts_with("[true"));
}

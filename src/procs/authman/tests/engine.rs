//! The procedures on an instance with files, called through the registry.

mod oauth;
mod users;

use std::path::Path;

use lycosa_proto::msgpack::items;

use super::*;
use crate::db::access::ADMIN;
use crate::db::schema::space_id;
use crate::db::{Database, Txn};
use crate::instance::Instance;
use crate::procs::authman::model::{Field, Index, Record, Store as _};
use crate::procs::authman::provider::issuer::Issuer;
use crate::procs::authman::store::{Engine, Ids};
use crate::procs::authman::sweeper;
use crate::procs::{BeginOptions, Context, Registry, Session, StreamTransaction};
use crate::wal::disk::OsDisk;

/// An instance in a directory, with the application started.
struct Running {
    context: Context,
    registry: Registry,
}

/// MsgPack of a JSON text.
fn mp(json: &str) -> Vec<u8> {
    rmp_serde::to_vec(&serde_json::from_str::<serde_json::Value>(json).unwrap()).unwrap()
}

/// Settings of the application: the provider's addresses, and `more`.
fn settings(stub: &Stub, more: &str) -> String {
    let (token, me) = (stub.url("/token"), stub.url("/me"));
    format!(
        "{{facebook: {{client_id: FB, endpoints: {{token_url: '{token}', profile_url: '{me}'}}}}, {more}}}"
    )
}

/// A provider that knows one person for every code but `slow`, to which it says nothing.
async fn provider() -> Stub {
    Stub::start(|request| {
        if request.contains("code=slow") {
            return HttpAnswer::Silence;
        }
        let me = r#"{"id": "fb1", "email": "FB@x.com", "first_name": "A", "last_name": "B"}"#;
        let is_token = request.starts_with("GET /token");
        HttpAnswer::new(200, if is_token { r#"{"access_token": "tok"}"# } else { me })
    })
    .await
}

impl Running {
    fn open(dir: &Path, authman: &str) -> (Config, Arc<Instance>) {
        let dir = dir.display();
        let yaml = format!(
            "{{wal: {{dir: '{dir}'}}, snapshot: {{dir: '{dir}'}}, roles_cfg: {{authman: {authman}}}}}"
        );
        let config = Config::from_yaml(&yaml).unwrap();
        let instance = Instance::open(&config, Arc::new(OsDisk)).unwrap();
        (config, Arc::new(instance))
    }

    async fn start(config: &Config, instance: Arc<Instance>) -> Self {
        let mut registry = Registry::default();
        registry.add(Arc::new(AuthmanModule::new(&config.roles_cfg.authman).unwrap()));
        registry.start(&instance).await.unwrap();
        let session = Arc::new(Session::new(1, ([127, 0, 0, 1], 1).into(), [0; 32]));
        Self { context: Context { instance, session, stream: None }, registry }
    }

    async fn new(dir: &Path, authman: &str) -> Self {
        let (config, instance) = Self::open(dir, authman);
        Self::start(&config, instance).await
    }

    fn stop(self) {
        self.context.instance.close().unwrap();
    }

    async fn try_call(&self, name: &str, args: &[&str]) -> Result<String> {
        let running = self.registry.call(&self.context, &format!("auth.{name}"), texts(args));
        running.unwrap().await.map(|values| shown(&values))
    }

    async fn call(&self, name: &str, args: &[&str]) -> String {
        self.try_call(name, args).await.unwrap()
    }

    /// The same with arguments as a MsgPack array.
    async fn call_with(&self, name: &str, args: &[u8]) -> String {
        let running = self.registry.call(&self.context, &format!("auth.{name}"), Args::new(args));
        running.unwrap().await.map(|values| shown(&values)).unwrap()
    }

    /// Logs the person in; gives the session.
    async fn log_in(&self) -> String {
        let answer = self.call("social_auth", &["facebook", "good"]).await;
        let (_, session) = answer.split_once("\"session\": \"").expect("a session");
        session.trim_end_matches("\"}]").to_owned()
    }

    /// Begins the transaction of a stream, in which every call is done until it has ended.
    fn begin(&mut self) {
        let (instance, stream) = (&self.context.instance, Arc::new(StreamTransaction::default()));
        let options = BeginOptions::defaults(instance);
        stream.begin(instance, &mut instance.write(), options).unwrap();
        self.context.stream = Some(stream);
    }

    /// Ends it.
    async fn end(&mut self, is_commit: bool) {
        let (stream, instance) = (self.context.stream.take().unwrap(), &self.context.instance);
        if !is_commit {
            return stream.roll_back(&mut instance.write());
        }
        let ticket = stream.commit(&mut instance.write(), crate::instance::now(), false).unwrap();
        instance.journal().wait(ticket).await.unwrap();
    }

    async fn is_valid(&self, session: &str) -> bool {
        self.call("check_auth", &[session]).await.starts_with("[true, ")
    }

    async fn change<T: Send>(&self, body: impl FnOnce(&mut Txn<'_>) -> Result<T> + Send) -> T {
        self.context.transaction(body).await.unwrap()
    }

    fn space_id(&self, space: &str) -> u32 {
        self.context.read(|db| db.space_id(space)).unwrap()
    }

    /// The rows of a space as texts.
    fn rows(&self, space: &str) -> Vec<String> {
        self.context.read(|db| rows(db, space))
    }

    /// The only row of a space, field by field.
    fn only_row(&self, space: &str) -> Vec<String> {
        self.context.read(|db| {
            let space = db.space_by_name(space).unwrap();
            assert_eq!(space.len(), 1);
            let tuple = space.primary().unwrap().iter().next().unwrap();
            items(tuple.data()).map(|field| Text(field).to_string()).collect()
        })
    }

    fn vclock(&self) -> String {
        self.context.read(|db| format!("{:?}", db.vclock()))
    }
}

fn rows(db: &Database, space: &str) -> Vec<String> {
    let space = db.space_by_name(space).unwrap();
    space.primary().unwrap().iter().map(|tuple| Text(tuple.data()).to_string()).collect()
}

/// The id inside a quoted text.
fn uuid(field: &str) -> uuid::Uuid {
    field.trim_matches('"').parse().expect("a UUID")
}

#[tokio::test]
async fn rows_of_a_login_are_those_of_the_lua_application() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), provider().await);
    let running = Running::new(dir.path(), &settings(&stub, "session_secret: x")).await;
    let started = instance_now();
    let url = running.call("social_auth_url", &["facebook", "st"]).await;
    assert!(url.contains("client_id=FB") && url.contains("&state=st"), "{url}");
    let session = running.log_in().await;

    let user = running.only_row("auth_user");
    let id = &user[0];
    uuid(id);
    let time = user[5].parse::<u64>().unwrap();
    assert!((started..=instance_now()).contains(&time));
    let profile = r#"{"first_name": "A", "last_name": "B"}"#;
    assert_eq!(user[1..], ["\"fb@x.com\"", "2", "true", profile, &user[5], &user[5]]);

    let credential = running.only_row("auth_social_credential");
    uuid(&credential[0]);
    assert_eq!(credential[1..], [id, "\"facebook\"", "\"fb1\"", "\"tok\""]);

    let row = running.only_row("auth_sesssion");
    assert_ne!(uuid(&row[0]), uuid(&row[1]));
    assert_eq!(row[2..4], [id.clone(), credential[0].clone()]);
    assert!((started + 604_800..=instance_now() + 604_800).contains(&row[4].parse().unwrap()));

    assert!(running.is_valid(&session).await);
    assert_eq!(running.call("drop_session", &[&session]).await, "[true, true]");
    assert_eq!(running.rows("auth_sesssion").len(), 0);
    assert_eq!(running.call("drop_session", &[&session]).await, WRONG_SIGN);
    assert_eq!(running.call("check_auth", &[&session]).await, WRONG_SIGN);
}

fn instance_now() -> u64 {
    crate::instance::now() as u64
}

#[tokio::test]
async fn a_second_login_keeps_what_others_wrote_into_the_row() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), provider().await);
    let running = Running::new(dir.path(), &settings(&stub, "session_secret: x")).await;
    running.log_in().await;
    let before = running.only_row("auth_user");
    let space = running.space_id("auth_user");
    let foreign = mp(&format!(r#"[{}, "old", 2, false, null, 5, 6, "theirs", [8]]"#, before[0]));
    running.change(|txn| txn.replace(space, &foreign)).await;
    running.log_in().await;
    let after = running.only_row("auth_user");
    assert_eq!(after[..5], before[..5]);
    assert_eq!(after[5], "5");
    assert_eq!(after[7..], ["\"theirs\"", "[8]"]);
    assert_eq!(running.rows("auth_social_credential").len(), 1);
    assert_eq!(running.rows("auth_sesssion").len(), 2);
}

#[tokio::test]
async fn refusals() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), provider().await);
    let settings = settings(&stub, "session_secret: x, request_timeout: 0.05");
    let running = Running::new(dir.path(), &settings).await;
    let check = async |args: &[&str], expected: &str| {
        assert_eq!(running.call("social_auth", args).await, expected, "{args:?}");
    };
    check(&["mailru", "good"], r#"[false, {"13": "Wrong social provider"}]"#).await;
    check(&["facebook", "slow"], r#"[false, {"11": "Wrong auth code"}]"#).await;
    assert_eq!(running.rows("auth_user").len(), 0);
    let unknown = running.registry.call(&running.context, "auth.nothing", texts(&[]));
    assert!(unknown.is_none());
}

#[tokio::test]
async fn sessions_survive_a_restart() {
    for secret in ["session_secret: x", ""] {
        let (dir, stub) = (tempfile::tempdir().unwrap(), provider().await);
        let authman = settings(&stub, secret);
        let running = Running::new(dir.path(), &authman).await;
        let session = running.log_in().await;
        running.stop();

        let running = Running::new(dir.path(), &authman).await;
        assert!(running.is_valid(&session).await, "{secret}");
        let is_kept = running.rows("_schema").iter().any(|row| row.contains("session_secret"));
        assert_eq!(is_kept, secret.is_empty());
        running.stop();

        let running = Running::new(dir.path(), &settings(&stub, "session_secret: other")).await;
        assert!(!running.is_valid(&session).await, "{secret}");
    }
}

#[tokio::test]
async fn a_start_makes_what_is_missing_once() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), provider().await);
    let authman = settings(&stub, "session_secret: x, spaces: {user: {name: people}}");
    let running = Running::new(dir.path(), &authman).await;
    let has = |space: &str, row: &str| {
        let rows = running.rows(space);
        assert!(rows.iter().any(|other| other == row), "{row} in {rows:#?}");
    };
    has("_space", r#"[512, 1, "people", "memtx", 0, {}, []]"#);
    has("_index", r#"[512, 0, "primary", "hash", {"unique": true}, [[0, "string"]]]"#);
    has(
        "_index",
        r#"[512, 1, "email_index", "tree", {"unique": false}, [[1, "string"], [2, "unsigned"]]]"#,
    );
    has("_space", r#"[515, 1, "auth_social_credential", "memtx", 0, {}, []]"#);
    has(
        "_index",
        r#"[515, 2, "social", "hash", {"unique": true}, [[3, "string"], [2, "string"]]]"#,
    );
    has("_space", r#"[522, 1, "auth_oauth_redirect", "memtx", 0, {}, []]"#);
    has("_space", r#"[523, 1, "auth_social_state", "memtx", 0, {}, []]"#);
    has("_schema", r#"["max_id", 523]"#);
    has("_schema", r#"["once20170726_authman_add_registration_and_session_ts"]"#);
    has("_schema", r#"["once20180125_authman_oauth_add_app_is_trusted"]"#);
    has("_schema", r#"["once20180125_authman_oauth_add_code_and_token_resource_owner"]"#);
    running.log_in().await;
    let vclock = running.vclock();
    running.stop();
    let running = Running::new(dir.path(), &authman).await;
    assert_eq!(running.vclock(), vclock, "a second start writes nothing");
    assert_eq!(running.rows("people").len(), 1);
}

#[tokio::test]
async fn a_database_of_the_lua_application_goes_on() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), provider().await);
    let (config, instance) = Running::open(dir.path(), &settings(&stub, "session_secret: x"));
    let lua = |txn: &mut Txn<'_>| {
        txn.insert(space_id::SPACE, &mp(r#"[700, 1, "auth_user", "memtx", 0, {}, []]"#))?;
        let index = r#"[700, 0, "primary", "hash", {"unique": true}, [[0, "string"]]]"#;
        txn.insert(space_id::INDEX, &mp(index))?;
        txn.insert(700, &mp(r#"["u1", "a@b", 1, true, null]"#))
    };
    instance.transaction(ADMIN, lua).await.unwrap();
    let running = Running::start(&config, instance).await;
    assert_eq!(running.space_id("auth_user"), 700);
    assert_eq!(running.space_id("auth_password_credential"), 701);
    let indexes = running.rows("_index");
    let has_added = indexes.iter().any(|row| row.starts_with(r#"[700, 1, "email_index", "#));
    assert!(has_added, "a missing index is added");
    let marks: Vec<_> =
        running.rows("_schema").into_iter().filter(|row| row.contains("once")).collect();
    assert_eq!(marks.len(), 2, "rows that were never migrated stay Lua's to migrate: {marks:?}");
    running.log_in().await;
    assert_eq!(running.rows("auth_user").len(), 2);
    assert!(running.rows("auth_user").contains(&r#"["u1", "a@b", 1, true, null]"#.to_owned()));
}

#[tokio::test]
async fn what_the_database_refuses_is_an_error() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), provider().await);
    let running = Running::new(dir.path(), &settings(&stub, "session_secret: x")).await;
    let session = running.log_in().await;
    let space = running.space_id("auth_sesssion");
    let row = running.only_row("auth_sesssion");
    let foreign = mp(&format!("[{}, 5, {}]", row[0], row[2]));
    running.change(|txn| txn.replace(space, &foreign)).await;
    let check = async |expected: &str| {
        for name in ["check_auth", "drop_session"] {
            let error = running.try_call(name, &[&session]).await.unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    };
    check("authman: space 'auth_sesssion' holds a row of another layout").await;
    assert_eq!(running.rows("auth_sesssion").len(), 1);

    let drop_it = |txn: &mut Txn<'_>| {
        txn.delete(space_id::INDEX, 0, &mp(&format!("[{space}, 1]")))?;
        txn.delete(space_id::INDEX, 0, &mp(&format!("[{space}, 0]")))?;
        txn.delete(space_id::SPACE, 0, &mp(&format!("[{space}]")))
    };
    running.change(drop_it).await;
    check(&format!("Space '{space}' does not exist")).await;
    let failed = running.try_call("social_auth", &["facebook", "good"]).await;
    assert_eq!(failed.unwrap_err().to_string(), format!("Space '{space}' does not exist"));
}

/// The application with an issuer behind the provider `p`, whose sessions are due at once.
async fn with_issuer(dir: &Path, more: &str) -> (Running, Issuer) {
    let issuer = Issuer::start(instance_now()).await;
    let settings = format!(
        "{{social_check_time: 0, providers: {{p: {{issuer: '{}', client_id: C, client_secret: s, \
         redirect_uri: 'http://x/cb', {more}}}}}}}",
        issuer.name(),
    );
    (Running::new(dir, &settings).await, issuer)
}

/// What the provider has replaced stays replaced, however the transaction ends in which it was asked, and that ends well.
#[tokio::test]
async fn no_rollback_takes_a_replaced_token_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut running, issuer) = with_issuer(dir.path(), "check_state: false").await;
    let answer = running.call("social_auth", &["p", "c"]).await;
    let (_, session) = answer.split_once("\"session\": \"").expect("a session");
    let session = session.trim_end_matches("\"}]");
    for (newer, is_commit) in [("rt2", false), ("rt3", true)] {
        issuer.says.lock().token.insert("refresh_token".into(), newer.into());
        running.begin();
        assert!(running.is_valid(session).await);
        let sessions = running.rows("auth_sesssion").len();
        running.end(is_commit).await;
        let kept = running.only_row("auth_social_credential");
        assert_eq!(kept[4], format!("\"{newer}\""));
        let lost = usize::from(!is_commit);
        assert_eq!(running.rows("auth_sesssion").len(), sessions - lost);
    }
    // Nobody outside knows this one's credential: it is asked about all the same.
    issuer.says.lock().claims.insert("sub".into(), "s2".into());
    issuer.says.lock().info = serde_json::json!({"sub": "s2"});
    running.begin();
    let answer = running.call("social_auth", &["p", "c"]).await;
    let (_, session) = answer.split_once("\"session\": \"").expect("a session");
    assert!(running.is_valid(session.trim_end_matches("\"}]")).await);
    running.end(true).await;
    assert_eq!(running.rows("auth_social_credential").len(), 2);
    assert!(running.call("stat", &[]).await.contains(r#""stateless_logins": 2"#));
}

#[tokio::test]
async fn no_rollback_brings_a_state_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut running, issuer) = with_issuer(dir.path(), "").await;
    running.begin();
    let url = running.call("social_auth_url", &["p"]).await;
    running.end(false).await;
    let part = |name: &str| {
        let (_, rest) = url.split_once(&format!("&{name}=")).expect("a parameter");
        rest.split(['&', '"']).next().unwrap().to_owned()
    };
    issuer.says.lock().claims.insert("nonce".into(), part("nonce").into());
    running.begin();
    let answer = running.call("social_auth", &["p", "c", &part("state")]).await;
    assert!(answer.starts_with("[true"), "{answer}");
    running.end(false).await;
    let again = running.call("social_auth", &["p", "c", &part("state")]).await;
    assert_eq!(again, r#"[false, {"11": "Wrong auth code"}]"#);
    assert!(running.call("stat", &[]).await.contains(r#""stateless_logins": 0"#));
}

#[tokio::test]
async fn a_space_that_is_gone_does_not_keep_others_from_being_swept() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path(), "{session_secret: x}").await;
    let config = Config::default().roles_cfg.authman;
    let ids = running.context.read(|db| Ids::find(db, &config.spaces)).unwrap();
    let store = Engine { context: running.context.clone(), ids };
    let (text, nought) = (Field::Text("x"), Field::Uint(0));
    let code = [text, text, text, text, text, nought, nought, text, text, text];
    store.write(|rows| rows.insert_record(Index::Code, &Record::of(&code))).await.unwrap();
    let space = running.space_id("auth_sesssion");
    let drop_it = |txn: &mut Txn<'_>| {
        txn.delete(space_id::INDEX, 0, &mp(&format!("[{space}, 1]")))?;
        txn.delete(space_id::INDEX, 0, &mp(&format!("[{space}, 0]")))?;
        txn.delete(space_id::SPACE, 0, &mp(&format!("[{space}]")))
    };
    running.change(drop_it).await;
    let (settings, metrics) = (sweeper::Settings::new(&config), metrics::Metrics::default());
    let failed = sweeper::pass(&store, &settings, crate::instance::now(), &metrics).await;
    assert_eq!(failed.unwrap_err().to_string(), format!("Space '{space}' does not exist"));
    assert_eq!(running.rows("auth_oauth_code").len(), 0);
}

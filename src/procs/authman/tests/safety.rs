//! What the Lua application does not do: slow hashes, codes that expire, limited attempts, removal of what has expired.

use super::super::model::{Accounts, Field, Index, LoginSession, Password, Record};
use super::super::password::PasswordHash;
use super::super::sweeper::{Settings, pass, stamp};
use super::users::{INVALID, PASSWORD, WRONG_PASSWORD, WRONG_TOKEN, json, u1};
use super::*;

const TOO_MANY: &str = r#"[false, {"22": "Too many attempts"}]"#;
const TOO_LONG: &str = r#"[false, {"23": "Password too long"}]"#;
const WRONG_CODE: &str = r#"[false, {"6": "Wrong activation code"}]"#;

impl Bench {
    /// The kept hash of `u1`.
    fn hash(&self) -> PasswordHash {
        let mut hash = None;
        self.store.change(|rows| hash = rows.password("u1").unwrap().map(|kept| kept.hash));
        hash.expect("a password")
    }

    /// Keeps another hash for `u1`.
    fn set_hash(&self, hash: PasswordHash) {
        self.store.change(|rows| {
            let kept = rows.password("u1").unwrap().expect("a password");
            rows.put_password(&Password { hash, ..kept }).unwrap();
        });
    }

    /// How many of so many wrong passwords are looked at.
    async fn guesses(&self, count: usize, email: &str, address: &str) -> usize {
        let mut looked_at = 0;
        for _ in 0..count {
            let answer = self.call("auth", &[email, "Wr0ng-one", address]).await;
            looked_at += usize::from(answer != TOO_MANY);
        }
        looked_at
    }
}

#[tokio::test]
async fn an_old_hash_becomes_a_slow_one_at_login() {
    let bench = Bench::with_user().await;
    assert!(!bench.hash().is_legacy());
    let old = PasswordHash::legacy("u1", PASSWORD.as_bytes());
    bench.set_hash(old.clone());
    bench.expect("auth", &["a@b", "Wr0ng-one"], WRONG_PASSWORD).await;
    assert_eq!(bench.hash(), old);
    bench.session("auth", &["a@b", PASSWORD]).await;
    let newer = bench.hash();
    assert!(!newer.is_legacy());
    bench.session("auth", &["a@b", PASSWORD]).await;
    assert_eq!(bench.hash(), newer);
    assert!(bench.call("stat", &[]).await.contains(r#""replaced_hashes": 1"#));
}

#[tokio::test]
async fn hashes_stay_old_where_that_is_asked_for() {
    let bench = Bench::with("legacy: true", "").await;
    bench.complete().await;
    let old = PasswordHash::legacy("u1", PASSWORD.as_bytes());
    assert_eq!(bench.hash(), old);
    bench.session("auth", &["a@b", PASSWORD]).await;
    bench.expect("auth", &["a@b", "Wr0ng-one"], WRONG_PASSWORD).await;
    assert_eq!(bench.hash(), old);
}

/// Two logins at once with an old hash: the second finds another than it has verified, and verifies again.
#[tokio::test]
async fn logins_at_once_all_succeed() {
    let bench = Bench::with_user().await;
    bench.set_hash(PasswordHash::legacy("u1", PASSWORD.as_bytes()));
    let log_in = async || bench.session("auth", &["a@b", PASSWORD]).await.1;
    let (first, second) = tokio::join!(log_in(), log_in());
    assert_ne!(first, second);
    assert!(!bench.hash().is_legacy());
}

#[tokio::test]
async fn a_password_has_a_greatest_length() {
    let bench = Bench::new().await;
    let code = bench.register(&["a@b", "u1"]).await;
    let longest = "aB1".repeat(342)[..1024].to_owned();
    let longer = longest.clone() + "x";
    bench.expect("complete_registration", &["a@b", &code, &longer], TOO_LONG).await;
    bench.expect("complete_registration", &["a@b", &code, &longest], &u1(true, "null", "")).await;
    bench.expect("auth", &["a@b", &longer], TOO_LONG).await;
    bench.expect("auth", &["no@b", &longer], NOT_FOUND).await;
    bench.session("auth", &["a@b", &longest]).await;
    let token = bench.token("a@b").await;
    bench.expect("complete_restore_password", &["a@b", &token, &longer], TOO_LONG).await;
}

#[tokio::test]
async fn codes_expire_and_are_good_for_once() {
    let mut bench = Bench::new().await;
    let code = bench.register(&["a@b", "u1"]).await;
    bench.now = START + 86_400;
    bench.expect("complete_registration", &["a@b", &code, PASSWORD], WRONG_CODE).await;
    let newer = bench.register(&["a@b"]).await;
    assert_ne!(newer, code);
    let code = newer;
    bench.now += 86_399;
    bench.expect("complete_registration", &["a@b", &code, PASSWORD], &u1(true, "null", "")).await;

    let complete = "complete_restore_password";
    bench.expect(complete, &["a@b", &code, PASSWORD], WRONG_TOKEN).await;
    let token = bench.token("a@b").await;
    bench.now += 3600;
    bench.expect(complete, &["a@b", &token, PASSWORD], WRONG_TOKEN).await;
    let token = bench.token("a@b").await;
    bench.now += 3599;
    bench.expect(complete, &["a@b", &token, PASSWORD], &u1(true, "null", "")).await;
    bench.expect(complete, &["a@b", &token, PASSWORD], WRONG_TOKEN).await;
}

#[tokio::test]
async fn codes_stay_those_of_the_lua_application_where_that_is_asked_for() {
    let bench = Bench::with(CHEAP, "codes: {legacy: true},").await;
    let code = bench.register(&["a@b", "u1"]).await;
    assert_eq!(bench.register(&["a@b"]).await, code);
    assert_eq!(code, md5("xu1"));
    bench.expect("complete_registration", &["a@b", &code, PASSWORD], &u1(true, "null", "")).await;
    let token = bench.token("a@b").await;
    assert_eq!(token, md5(&format!("u1{START}x")));
    let args = ["a@b", &token, PASSWORD];
    bench.expect("complete_restore_password", &args, &u1(true, "null", "")).await;
}

fn md5(text: &str) -> String {
    use md5::Digest;
    codes::hex(&md5::Md5::digest(text))
}

#[tokio::test]
async fn wrong_passwords_are_limited() {
    let mut bench = Bench::with_user().await;
    assert_eq!(bench.guesses(15, "a@b", "10.0.0.1").await, 10);
    bench.expect("auth", &["a@b", PASSWORD, "10.0.0.1"], TOO_MANY).await;
    bench.session("auth", &["a@b", PASSWORD, "10.0.0.2"]).await;
    assert!(bench.call("stat", &[]).await.contains(r#""refused_attempts": 6"#));
    // One more every minute.
    bench.now += 60;
    assert_eq!(bench.guesses(5, "a@b", "10.0.0.1").await, 1);
    bench.now += 60;
    bench.session("auth", &["a@b", PASSWORD, "10.0.0.1"]).await;
    assert_eq!(bench.guesses(15, "a@b", "10.0.0.1").await, 10);
    // Who proves to have the email may go on.
    let token = bench.token("a@b").await;
    let args = ["a@b", &token, PASSWORD, "10.0.0.1"];
    bench.expect("complete_restore_password", &args, &u1(true, "null", "")).await;
    bench.session("auth", &["a@b", PASSWORD, "10.0.0.1"]).await;
}

#[tokio::test]
async fn without_a_named_address_it_is_that_of_the_connection() {
    let bench = Bench::with_user().await;
    for _ in 0..10 {
        bench.expect("auth", &["a@b", "Wr0ng-one"], WRONG_PASSWORD).await;
    }
    bench.expect("auth", &["a@b", PASSWORD], TOO_MANY).await;
    bench.expect("auth", &["a@b", PASSWORD, "127.0.0.1"], TOO_MANY).await;
    bench.session("auth", &["a@b", PASSWORD, "10.0.0.1"]).await;
}

#[tokio::test]
async fn guessers_do_not_shut_a_person_out() {
    let bench = Bench::with_user().await;
    bench.session("auth", &["a@b", PASSWORD, "192.168.0.1"]).await;
    let mut looked_at = 0;
    for n in 0..20 {
        looked_at += bench.guesses(10, "a@b", &format!("10.0.0.{n}")).await;
    }
    assert_eq!(looked_at, 100);
    bench.expect("auth", &["a@b", PASSWORD, "10.0.1.1"], TOO_MANY).await;
    bench.session("auth", &["a@b", PASSWORD, "192.168.0.1"]).await;
}

#[tokio::test]
async fn names_that_are_nobodys_are_limited_by_address() {
    let bench = Bench::with(CHEAP, "attempts: {per_address_max: 5},").await;
    bench.complete().await;
    assert_eq!(bench.guesses(10, "no@b", "10.0.0.1").await, 5);
    bench.expect("auth", &["a@b", PASSWORD, "10.0.0.1"], TOO_MANY).await;
}

/// Whatever is asked of whom, right or wrong: what comes from one address has a limit.
#[tokio::test]
async fn every_entrance_counts_for_its_address() {
    let bench = Bench::with(CHEAP, "attempts: {per_address_max: 3},").await;
    let long = "x".repeat(1025);
    let check = async |name: &str, args: &dyn Fn(usize) -> String| {
        let mut looked_at = 0;
        for n in 0..10 {
            let args = json(&args(n).replace("HERE", &format!("192.0.2.1/{name}")));
            looked_at += usize::from(bench.try_call(name, &args).await.unwrap() != TOO_MANY);
        }
        assert_eq!(looked_at, 3, "{name}");
    };
    check("registration", &|n| format!(r#"["n{n}@b", "id{n}", "HERE"]"#)).await;
    check("complete_registration", &|_| r#"["no@b", "x", "Passw0rd", "HERE"]"#.into()).await;
    check("auth", &|_| format!(r#"["no@b", "{long}", "HERE"]"#)).await;
    check("restore_password", &|_| r#"["no@b", "HERE"]"#.into()).await;
    check("complete_restore_password", &|_| r#"["no@b", "x", "Passw0rd", "HERE"]"#.into()).await;
    check("social_auth", &|_| r#"["facebook", "bad", null, {"address": "HERE"}]"#.into()).await;
    check("social_auth_url", &|_| r#"["facebook", "own", "HERE"]"#.into()).await;
    // Without a state nothing is kept and nobody asked; and logins that end well count for nothing.
    for _ in 0..5 {
        assert!(bench.call("social_auth_url", &["facebook"]).await.starts_with("[true"));
        bench.session("social_auth", &["facebook", "good"]).await;
    }
}

/// A queue that is full refuses before anything is counted, so that nobody is shut out by it.
#[tokio::test]
async fn too_many_hashes_are_refused() {
    let bench = Bench::with_user().await;
    let places: Vec<_> = (0..1000).map_while(|_| bench.authman.hasher.place().ok()).collect();
    for _ in 0..20 {
        bench.expect("auth", &["a@b", PASSWORD], TOO_MANY).await;
    }
    drop(places);
    assert!(bench.call("stat", &[]).await.contains(r#""refused_hashes": 21"#));
    assert_eq!(bench.guesses(15, "a@b", "127.0.0.1").await, 10);
}

#[tokio::test]
async fn asking_for_a_token_makes_no_other_worthless() {
    let mut bench = Bench::with_user().await;
    let token = bench.token("a@b").await;
    bench.now += 1800;
    assert_eq!(bench.token("a@b").await, token);
    bench.now += 1799;
    let args = ["a@b", &token, PASSWORD];
    bench.expect("complete_restore_password", &args, &u1(true, "null", "")).await;
    assert_ne!(bench.token("a@b").await, token);
}

#[tokio::test]
async fn a_user_has_so_many_sessions() {
    let mut bench = Bench::with(CHEAP, "sessions_max: 2,").await;
    bench.complete().await;
    let (_, first) = bench.session("auth", &["a@b", PASSWORD]).await;
    bench.now += 700;
    let (_, second) = bench.session("auth", &["a@b", PASSWORD]).await;
    // A session that is due is renewed as often as it comes, and what it was renewed to goes last.
    let (_, third) = bench.session("check_auth", &[&first]).await;
    bench.check(&first, WRONG_SIGN).await;
    for session in [&second, &third] {
        assert_eq!(bench.session("check_auth", &[session]).await.1, *session);
    }
    assert_eq!(bench.store.counts().2, 2);
}

/// The application's own state goes to the provider as it is; given back, it counts once.
#[tokio::test]
async fn an_own_state_is_checked_if_it_is_given() {
    let mut bench = Bench::new().await;
    const WRONG: &str = r#"[false, {"11": "Wrong auth code"}]"#;
    let begin = async |bench: &Bench| {
        let url = bench.call("social_auth_url", &["facebook", "st&x"]).await;
        assert!(url.ends_with(r#"&scope=email&state=st%26x"]"#), "{url}");
    };
    begin(&bench).await;
    bench.expect("social_auth", &["facebook", "good", "another"], WRONG).await;
    bench.expect("social_auth", &["facebook", "good", "st"], WRONG).await;
    bench.session("social_auth", &["facebook", "good", "st&x"]).await;
    bench.expect("social_auth", &["facebook", "good", "st&x"], WRONG).await;
    begin(&bench).await;
    bench.expect("social_auth", &["vk", "good", "st&x"], WRONG).await;
    for (own, is_in) in [("st&x", true), ("yours", false)] {
        begin(&bench).await;
        let args = json(&format!(r#"["facebook", "good", "st&x", {{"own_state": "{own}"}}]"#));
        let answer = bench.try_call("social_auth", &args).await.unwrap();
        assert_eq!(answer.starts_with("[true"), is_in, "{answer}");
    }
    begin(&bench).await;
    bench.now += 600;
    bench.expect("social_auth", &["facebook", "good", "st&x"], WRONG).await;
    // Who gives none looks for themselves, as with the Lua application.
    begin(&bench).await;
    bench.session("social_auth", &["facebook", "good"]).await;
}

#[tokio::test]
async fn codes_and_tokens_are_limited() {
    let bench = Bench::new().await;
    let code = bench.register(&["a@b", "u1"]).await;
    let complete = "complete_registration";
    for _ in 0..10 {
        bench.expect(complete, &["a@b", "bad", PASSWORD], WRONG_CODE).await;
    }
    bench.expect(complete, &["a@b", &code, PASSWORD], TOO_MANY).await;
    bench.expect(complete, &["a@b", &code, PASSWORD, "10.0.0.1"], &u1(true, "null", "")).await;
    let complete = "complete_restore_password";
    for _ in 0..10 {
        bench.expect(complete, &["a@b", "bad", PASSWORD], WRONG_TOKEN).await;
    }
    bench.expect(complete, &["a@b", "bad", PASSWORD], TOO_MANY).await;
    bench.expect(complete, &["a@b", "", PASSWORD], INVALID).await;
    for _ in 0..10 {
        bench.token("a@b").await;
    }
    bench.expect("restore_password", &["a@b"], TOO_MANY).await;
    // The newest token went to the person, whoever has asked for it.
    bench.register(&["c@d", "u2"]).await;
    for _ in 0..9 {
        bench.register(&["c@d"]).await;
    }
}

#[tokio::test]
async fn what_has_expired_is_removed() {
    let mut bench = Bench::with_user().await;
    bench.session("auth", &["a@b", PASSWORD]).await;
    bench.token("a@b").await;
    bench.now += 999;
    let (_, second) = bench.session("auth", &["a@b", PASSWORD]).await;
    let old = LoginSession {
        sid: "lua".into(),
        code: Secret::new("c"),
        user_id: "u1".into(),
        credential_id: None,
        expires_at: None,
    };
    bench.store.change(|rows| rows.put_session(&old).unwrap());
    let grant = |name: &str, end: u64| {
        let (text, life, made) = (Field::Text("x"), Field::Uint(10), Field::Uint(end - 10));
        Record::of(&[Field::Text(name), text, Field::Text(name), text, text, life, made, text])
    };
    bench.store.change(|rows| {
        rows.insert_record(Index::Code, &grant("c", START)).unwrap();
        rows.insert_record(Index::Token, &grant("t", START)).unwrap();
    });
    let settings = Settings {
        interval: Duration::from_secs(1),
        session_lifetime: Duration::from_secs(1000),
        oauth_codes_kept: Duration::from_secs(2000),
        oauth_tokens_kept: Duration::from_secs(9000),
    };
    let now = START as f64;
    let left = async |at: f64| {
        pass(&*bench.store, &settings, at, &bench.authman.metrics).await.unwrap();
        let mut left = Vec::new();
        bench.store.change(|rows| {
            let indexes = [Index::Session, Index::PasswordToken, Index::Code, Index::Token];
            left = indexes.map(|index| rows.count(index).unwrap()).to_vec();
        });
        left
    };
    assert_eq!(left(now + 999.0).await, [3, 1, 1, 1]);
    assert_eq!(left(now + 1000.0).await, [2, 1, 1, 1]);
    assert_eq!(bench.session("check_auth", &[&second]).await.1, second);
    assert_eq!(stamp(&*bench.store, &settings, now + 1500.0).await.unwrap(), 1);
    assert_eq!(stamp(&*bench.store, &settings, now + 1600.0).await.unwrap(), 0);
    assert_eq!(left(now + 2000.0).await, [1, 1, 0, 1]);
    assert_eq!(left(now + 2500.0).await, [0, 1, 0, 1]);
    assert_eq!(left(now + 3600.0).await, [0, 0, 0, 1]);
    assert_eq!(left(now + 9000.0).await, [0, 0, 0, 0]);
}

#[test]
fn nothing_shows_what_is_secret() {
    let codes = codes::Codes::new(&Config::default().roles_cfg.authman.codes, &secrets());
    assert!(!format!("{codes:?}").contains("\"x\""));
}

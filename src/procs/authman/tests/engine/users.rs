//! The user procedures' rows, and what is left of a user who is deleted.

use lycosa_proto::msgpack::read_str;

use super::*;
use crate::procs::authman::password::PasswordHash;

impl Running {
    pub(super) async fn insert(&self, space: &str, rows: &[&str]) {
        let id = self.space_id(space);
        for row in rows {
            let row = mp(row);
            self.change(|txn| txn.insert(id, &row)).await;
        }
    }

    /// Registers `u1` with email `a@b`; gives the activation code.
    async fn register(&self) -> String {
        let answer = self.call("registration", &["a@b", "u1"]).await;
        let (_, code) = answer.split_once(r#""code": ""#).expect("a code");
        code.trim_end_matches("\"}]").to_owned()
    }
}

/// The text of an answer that is one.
fn text_of(answer: &str) -> &str {
    answer.strip_prefix("[true, \"").and_then(|rest| rest.strip_suffix("\"]")).expect("a text")
}

#[tokio::test]
async fn rows_of_a_registration_are_those_of_the_lua_application() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path(), "{session_secret: x}").await;
    let code = running.register().await;
    let user = running.only_row("auth_user");
    assert_eq!(user[..5], ["\"u1\"", "\"a@b\"", "1", "false", "null"]);
    assert!(user[5].parse::<u64>().unwrap() <= instance_now());
    assert_eq!(user.len(), 6);
    assert_eq!(running.rows("auth_password_credential").len(), 0);

    running.call("complete_registration", &["a@b", &code, "Passw0rd"]).await;
    assert_eq!(running.only_row("auth_user")[3], "true");
    running.call("auth", &["a@b", "Passw0rd"]).await;
    assert_eq!(running.only_row("auth_user").len(), 7);
    let session = running.only_row("auth_sesssion");
    assert_eq!((session.len(), session[3].as_str()), (5, "null"));
    assert!(session[4].parse::<u64>().unwrap() > instance_now());
    let kept = |password: &[u8]| {
        running.context.read(|db| {
            let space = db.space_by_name("auth_password_credential").unwrap();
            let row = space.primary().unwrap().iter().next().unwrap().clone();
            assert_eq!((space.len(), row.field_count()), (1, 3));
            assert_eq!(row.field(1), Some(&b"\xa2u1"[..]));
            let hash = read_str(&mut row.field(2).unwrap()).unwrap();
            assert!(hash.starts_with(b"$argon2id$v=19$m=19456,t=2,p=1$"));
            assert!(PasswordHash::stored(hash.to_vec()).is_of("u1", password));
            Text(row.field(0).unwrap()).to_string()
        })
    };
    let id = kept(b"Passw0rd");
    uuid(&id);

    let answer = running.call("restore_password", &["a@b"]).await;
    let token = text_of(&answer);
    let kept_token = running.only_row("auth_password_token");
    assert_eq!((kept_token.len(), kept_token[0].as_str()), (3, "\"u1\""));
    let seed = kept_token[1].trim_matches('"');
    assert!(seed.len() == 32 && seed != token);
    let lifetime = kept_token[2].parse::<u64>().unwrap() - instance_now();
    assert!((3500..=3600).contains(&lifetime), "{lifetime}");
    running.call("complete_restore_password", &["a@b", token, "N3w-one!"]).await;
    assert_eq!(kept(b"N3w-one!"), id, "the row of the older password");
    assert_eq!(running.rows("auth_password_token").len(), 0);
    assert_eq!(running.rows("auth_sesssion").len(), 0);
    let error = running.try_call("registration", &["c@d", "u1"]).await.unwrap_err();
    assert_eq!(error.code(), 3);
}

#[tokio::test]
async fn codes_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path(), "{}").await;
    let code = running.register().await;
    running.stop();
    let running = Running::new(dir.path(), "{}").await;
    let answer = running.call("complete_registration", &["a@b", &code, "Passw0rd"]).await;
    assert!(answer.starts_with("[true, "), "{answer}");
    let token = running.call("restore_password", &["a@b"]).await;
    running.stop();
    let running = Running::new(dir.path(), "{}").await;
    let args = ["a@b", text_of(&token), "N3w-one!"];
    let answer = running.call("complete_restore_password", &args).await;
    assert!(answer.starts_with("[true, "), "{answer}");
}

#[tokio::test]
async fn legacy_codes_survive_a_restart() {
    for secrets in ["activation_secret: a, restore_secret: r", ""] {
        let settings = format!("{{codes: {{legacy: true}}, {secrets}}}");
        let dir = tempfile::tempdir().unwrap();
        let running = Running::new(dir.path(), &settings).await;
        let code = running.register().await;
        running.stop();
        let running = Running::new(dir.path(), &settings).await;
        assert_eq!(running.register().await, code, "{secrets}");
        let rows = running.rows("_schema");
        for option in ["activation_secret", "restore_secret"] {
            let is_kept = rows.iter().any(|row| row.starts_with(&format!("[\"authman_{option}\"")));
            assert_eq!(is_kept, secrets.is_empty(), "{option}");
        }
        running.stop();
        let other = "{codes: {legacy: true}, activation_secret: other}";
        let running = Running::new(dir.path(), other).await;
        assert_ne!(running.register().await, code, "{secrets}");
    }
}

/// Rows of the Lua application's OAuth2 provider: u1 owns app `a1`; somebody else owns `a2`.
#[tokio::test]
async fn what_is_left_of_a_deleted_user() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), provider().await);
    let running = Running::new(dir.path(), &settings(&stub, "")).await;
    running.log_in().await;
    let code = running.register().await;
    running.call("complete_registration", &["a@b", &code, "Passw0rd"]).await;
    running.call("auth", &["a@b", "Passw0rd"]).await;
    running.call("auth", &["a@b", "Passw0rd"]).await;
    running.call("restore_password", &["a@b"]).await;
    let social = r#"["s1", "u1", "vk", "17", "tok"]"#;
    running.insert("auth_social_credential", &[social]).await;
    let (mine, theirs) = (
        r#"["a1", "u1", "mine", "browser", true, 1, false]"#,
        r#"["a2", "u2", "theirs", "browser", true, 1, false]"#,
    );
    running.insert("auth_oauth_app", &[mine, theirs]).await;
    let consumers = [r#"["k1", "h", "a1", "x"]"#, r#"["k2", "h", "a2", "x"]"#];
    running.insert("auth_oauth_consumer", &consumers).await;
    let code = |name: &str, key: &str, owner: &str| {
        format!(r#"["{name}", "{key}", "x", "s", "st", 1, 2, "", "", "{owner}"]"#)
    };
    let token = |name: &str, key: &str, owner: &str| {
        format!(r#"["{name}", "{key}", "r-{name}", "x", "s", 1, 2, "{owner}"]"#)
    };
    for (name, key, owner) in [("1", "k1", "u2"), ("2", "k2", "u1"), ("3", "k2", "u2")] {
        running.insert("auth_oauth_code", &[&code(name, key, owner)]).await;
        running.insert("auth_oauth_token", &[&token(name, key, owner)]).await;
    }
    let by_pair = [("k1", "u2"), ("k2", "u1"), ("k2", "u2")];
    for (key, user) in by_pair {
        let row = format!(r#"["{key}", "{user}", "x"]"#);
        running.insert("auth_oauth_scope", &[&row]).await;
        running.insert("auth_oauth_redirect", &[&row]).await;
    }

    let answer = running.call("delete_user", &["u1"]).await;
    assert!(answer.starts_with(r#"[true, {"id": "u1", "email": "a@b""#), "{answer}");
    for (space, left) in [
        ("auth_user", 1),
        ("auth_password_credential", 0),
        ("auth_password_token", 0),
        ("auth_social_credential", 1),
        ("auth_sesssion", 1),
    ] {
        assert_eq!(running.rows(space).len(), left, "{space}");
    }
    assert_eq!(running.rows("auth_oauth_app"), [theirs]);
    assert_eq!(running.rows("auth_oauth_consumer"), [consumers[1]]);
    assert_eq!(running.rows("auth_oauth_code"), [code("3", "k2", "u2")]);
    assert_eq!(running.rows("auth_oauth_token"), [token("3", "k2", "u2")]);
    assert_eq!(running.rows("auth_oauth_scope"), [r#"["k2", "u2", "x"]"#]);
    assert_eq!(running.rows("auth_oauth_redirect"), [r#"["k2", "u2", "x"]"#]);
}

#[tokio::test]
async fn what_fails_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path(), "{}").await;
    let code = running.register().await;
    let space = running.space_id("auth_password_credential");
    let foreign = mp(r#"["p", "u1", 5]"#);
    running.change(|txn| txn.insert(space, &foreign)).await;
    let failed = running.try_call("complete_registration", &["a@b", &code, "Passw0rd"]).await;
    let text = "authman: space 'auth_password_credential' holds a row of another layout";
    assert_eq!(failed.unwrap_err().to_string(), text);
    assert_eq!(running.only_row("auth_user")[3], "false");
    running.call("delete_user", &["u1"]).await;
    assert_eq!(running.rows("auth_password_credential").len(), 0);
}

//! The OAuth2 procedures' rows, and those that expire.

use super::*;

#[tokio::test]
async fn expired_rows_of_a_large_space_are_all_found() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path(), "{}").await;
    let (codes, tokens) =
        (running.space_id("auth_oauth_code"), running.space_id("auth_oauth_token"));
    let fill = |txn: &mut Txn<'_>| {
        for n in 0..2000 {
            let made = if n % 4 == 0 { 5000 } else { 1000 };
            let code = format!(r#"["c{n}", "k", "x", "s", "st", 1, {made}, "", "", ""]"#);
            txn.insert(codes, &mp(&code))?;
            let token = format!(r#"["a{n}", "k", "r{n}", "x", "s", 0.5, {made}.5, ""]"#);
            txn.insert(tokens, &mp(&token))?;
        }
        Ok(())
    };
    running.change(fill).await;
    for (name, left) in [("codes", 500), ("tokens", 500)] {
        let name = format!("oauth.delete_expired_{name}");
        let check = async |args: &str, expected: &str| {
            assert_eq!(running.call_with(&name, &mp(args)).await, expected, "{name} {args}");
        };
        check("[1000.9]", "[true, 0]").await;
        check("[1001]", "[true, 1500]").await;
        check("[1001]", "[true, 0]").await;
        check("[5001]", &format!("[true, {left}]")).await;
        check("[]", r#"[false, {"3": "Invalid params"}]"#).await;
    }
    assert_eq!(running.rows("auth_oauth_code").len(), 0);
    assert_eq!(running.rows("auth_oauth_token").len(), 0);
}

#[tokio::test]
async fn rows_of_the_oauth2_server_are_those_of_the_lua_application() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path(), "{}").await;
    running.insert("auth_user", &[r#"["u1", "a@b", 1, true, null, 1]"#]).await;
    running.call("oauth.add_app", &["u1", "app", "server", "http://x"]).await;
    let app = running.only_row("auth_oauth_app");
    uuid(&app[0]);
    assert!(app[5].parse::<u64>().unwrap() <= instance_now());
    assert_eq!(app[1..5], ["\"u1\"", "\"app\"", "\"server\"", "true"]);
    assert_eq!(app[6..], ["false"]);
    let consumer = running.only_row("auth_oauth_consumer");
    assert_eq!(consumer[0].trim_matches('"').len(), 32);
    assert_eq!(consumer[2..], [app[0].clone(), "\"http://x\"".to_owned()]);

    // What others keep in a row beyond the fields that are known stays.
    let redirect = r#"["k", "u1", "old", "theirs"]"#;
    running.insert("auth_oauth_redirect", &[redirect]).await;
    running.call("oauth.save_redirect", &["k", "u1", "new"]).await;
    assert_eq!(running.rows("auth_oauth_redirect"), [redirect.replace("old", "new")]);
    running.call("oauth.disable_app", &[app[0].trim_matches('"')]).await;
    assert_eq!(running.only_row("auth_oauth_app")[4], "false");
}

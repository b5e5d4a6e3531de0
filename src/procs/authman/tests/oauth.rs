//! The procedures of an OAuth2 server; what each answers is a table over the wire, tests/test_authman_transcript.py.

use super::super::expiry::{CODES, Removed, remove};
use super::super::model::{Field, Index, Record};
use super::users::json;
use super::*;

/// A code that expires at a time.
fn code(name: &str, expires_at: u64) -> Record {
    let text = Field::Text("x");
    let (made, life) = (Field::Uint(expires_at - 10), Field::Uint(10));
    Record::of(&[Field::Text(name), text, text, text, text, life, made, text, text, text])
}

#[test]
fn every_name_is_found() {
    let names: Vec<_> = crate::procs::authman::oauth::Procedure::names().collect();
    assert_eq!(names.len(), 28);
    for name in &names {
        assert!(matches!(Procedure::find(name), Some(Procedure::Oauth(_))), "{name}");
    }
    for name in ["auth.oauth", "auth.oauth.", "auth.oauth.nothing", "auth.add_app", "oauth.add_app"]
    {
        assert_eq!(Procedure::find(name), None, "{name}");
    }
}

#[tokio::test]
async fn what_has_expired_goes_in_portions() {
    let store = Memory::default();
    let keep = |rows: &mut Rows, name: &str, time| {
        rows.insert_record(Index::Code, &code(name, time)).unwrap();
    };
    store.change(|rows| {
        for n in 0..600 {
            keep(rows, &format!("{n:04}"), if n % 3 == 0 { 2000 } else { 1000 });
        }
    });
    let check = async |now: f64, rows: u64, portions: u64| {
        let removed = remove(&store, &CODES, now).await.unwrap();
        assert_eq!(removed, Removed { rows, portions });
    };
    check(999.9, 0, 3).await;
    check(1000.0, 400, 3).await;
    check(1000.0, 0, 1).await;
    check(2000.0, 200, 1).await;
    check(2000.0, 0, 1).await;
    // Times that are none never pass.
    store.change(|rows| {
        let nil = Field::Raw(None);
        let row = Record::of(&[Field::Text("c"), nil, nil, nil, nil, nil, nil]);
        rows.insert_record(Index::Code, &row).unwrap();
    });
    check(f64::INFINITY, 0, 1).await;
}

#[tokio::test]
async fn an_application_counts_among_those_of_its_user() {
    let bench = Bench::with_user().await;
    let add =
        async |name: &str| bench.call("oauth.add_app", &["u1", name, "server", "http://x"]).await;
    for n in 0..10 {
        assert!(add(&format!("app{n}")).await.starts_with("[true, {\"id\": "));
    }
    assert_eq!(add("more").await, r#"[false, {"19": "Max oauth apps limit reached"}]"#);
    let apps = bench.call("oauth.get_user_apps", &["u1"]).await;
    assert_eq!(apps.matches("consumer_secret_hash").count(), 10);
}

/// The user of an application, or its consumer, may be gone: rows of the Lua application are taken as they are.
#[tokio::test]
async fn what_an_application_lacks_is_left_out() {
    let bench = Bench::with_user().await;
    let text = Field::Text("x");
    let app = Record::of(&[Field::Text("a1"), Field::Text("gone"), text, text, Field::Bool(true)]);
    bench.store.change(|rows| rows.insert_record(Index::App, &app).unwrap());
    let shown = r#"{"id": "a1", "user_id": "gone", "name": "x", "type": "x", "is_active": true"#;
    bench.expect("oauth.get_user_apps", &["gone"], &format!("[true, [{shown}}}]]")).await;
    bench.expect("oauth.get_app", &["a1"], r#"[false, {"18": "OAUTH consumer not found"}]"#).await;
    let pager = r#""pager": {"total": 1, "offset": 0, "limit": 10}"#;
    let page = format!(r#"[true, {{"data": [{shown}}}], {pager}}}]"#);
    bench.expect("oauth.list_apps", &[], &page).await;
    for (limit, shown) in [("1000", "1000"), ("1001", "1000"), ("1e300", "1000"), ("7", "7")] {
        let found = bench.try_call("oauth.list_apps", &json(&format!("[0, {limit}]"))).await;
        assert_eq!(found.unwrap(), page.replace(r#""limit": 10"#, &format!(r#""limit": {shown}"#)));
    }

    let consumer = Record::of(&[Field::Text("k1"), text, Field::Text("a1"), text]);
    bench.store.change(|rows| rows.insert_record(Index::Consumer, &consumer).unwrap());
    let both = format!(
        r#"{shown}, "consumer_key": "k1", "consumer_secret_hash": "x", "app_id": "a1", "redirect_urls": "x"}}"#
    );
    bench.expect("oauth.get_consumer", &["k1"], &format!("[true, {both}]")).await;
    let keys = json(r#"[["k1", "k1", "k2"]]"#);
    let loaded = bench.try_call("oauth.load_consumers", &keys).await.unwrap();
    assert_eq!(loaded, format!(r#"[true, {{"k1": {both}}}]"#));
    bench.store.change(|rows| drop(rows.delete_records(Index::App, &["a1"])));
    bench.expect("oauth.get_consumer", &["k1"], r#"[false, {"17": "oauth app not found"}]"#).await;
    let none = bench.try_call("oauth.load_consumers", &keys).await.unwrap();
    assert_eq!(none, "[true, []]");
}

#[tokio::test]
async fn secrets_are_new_each_time() {
    let bench = Bench::with_user().await;
    let made = bench.call("oauth.add_app", &["u1", "app", "server", "http://x"]).await;
    let part = |text: &str, key: &str| {
        let (_, rest) = text.split_once(&format!(r#""{key}": ""#)).expect("a text");
        rest.split_once('"').expect("its end").0.to_owned()
    };
    let (key, secret) = (part(&made, "consumer_key"), part(&made, "consumer_secret"));
    assert_eq!(secret.len(), 64);
    let again = bench.call("oauth.reset_consumer_secret", &[&key]).await;
    assert!(again.starts_with("[true, \"") && !again.contains(&secret), "{again}");
}

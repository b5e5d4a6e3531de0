//! Registration, login with a password, profiles: every refusal in its order.

use super::*;

pub(super) const INVALID: &str = r#"[false, {"3": "Invalid params"}]"#;
pub(super) const NOT_ACTIVE: &str = r#"[false, {"4": "User not activated"}]"#;
pub(super) const WRONG_PASSWORD: &str = r#"[false, {"5": "Wrong password"}]"#;
pub(super) const WEAK: &str = r#"[false, {"14": "Password to weak"}]"#;
pub(super) const WRONG_TOKEN: &str = r#"[false, {"9": "Wrong restore token"}]"#;
pub(super) const PASSWORD: &str = "Passw0rd";

/// Arguments from a JSON text.
pub(super) fn json(text: &str) -> Args {
    Args::new(
        &rmp_serde::to_vec(&serde_json::from_str::<serde_json::Value>(text).unwrap()).unwrap(),
    )
}

/// The answer for a user of the bench whose id is `u1` and email `a@b`.
pub(super) fn u1(is_active: bool, profile: &str, more: &str) -> String {
    format!(
        r#"[true, {{"id": "u1", "email": "a@b", "is_active": {is_active}, "profile": {profile}{more}}}]"#
    )
}

impl Bench {
    pub(super) async fn expect(&self, name: &str, args: &[&str], expected: &str) {
        assert_eq!(self.call(name, args).await, expected, "{name} {args:?}");
    }

    /// Registers a person; gives the activation code.
    pub(super) async fn register(&self, args: &[&str]) -> String {
        let answer = self.call("registration", args).await;
        let (_, code) = answer.split_once(r#""code": ""#).expect("a code");
        code.trim_end_matches("\"}]").to_owned()
    }

    /// The token for a new password.
    pub(super) async fn token(&self, email: &str) -> String {
        let answer = self.call("restore_password", &[email]).await;
        let token = answer.strip_prefix("[true, \"").and_then(|rest| rest.strip_suffix("\"]"));
        token.expect("a token").to_owned()
    }

    /// Makes an active user `u1` with email `a@b`.
    pub(super) async fn complete(&self) {
        let code = self.register(&["a@b", "u1"]).await;
        let args = ["a@b", &code, PASSWORD];
        self.expect("complete_registration", &args, &u1(true, "null", "")).await;
    }

    /// A bench with that user.
    pub(super) async fn with_user() -> Self {
        let bench = Self::new().await;
        bench.complete().await;
        bench
    }
}

#[tokio::test]
async fn a_registration_from_the_email_to_the_password() {
    let bench = Bench::new().await;
    for bad in [&["not_email"][..], &[""], &[]] {
        bench.expect("registration", bad, INVALID).await;
    }
    let older = bench.register(&["A@B", "u1"]).await;
    let right = bench.register(&["a@b", "another"]).await;
    assert_eq!(older, right);
    bench.expect("auth", &["a@b", PASSWORD], NOT_ACTIVE).await;
    bench.expect("restore_password", &["a@b"], NOT_ACTIVE).await;
    bench.expect("complete_restore_password", &["a@b", "t", "weak"], NOT_ACTIVE).await;
    bench.expect("set_profile", &["u1"], NOT_ACTIVE).await;
    bench.expect("get_profile", &["u1"], &u1(false, "null", "")).await;

    let complete = "complete_registration";
    bench.expect(complete, &["no", &right, PASSWORD], INVALID).await;
    bench.expect(complete, &["a@b", "", PASSWORD], INVALID).await;
    bench.expect(complete, &["no@b", "bad", "weak"], WEAK).await;
    bench.expect(complete, &["a@b", &right], WEAK).await;
    bench.expect(complete, &["no@b", "bad", PASSWORD], NOT_FOUND).await;
    let wrong_code = r#"[false, {"6": "Wrong activation code"}]"#;
    bench.expect(complete, &["a@b", "bad", PASSWORD], wrong_code).await;
    bench.expect(complete, &["a@b", &right.to_uppercase(), PASSWORD], wrong_code).await;
    bench.expect(complete, &["A@b", &right, PASSWORD], &u1(true, "null", "")).await;
    let again = r#"[false, {"10": "User already active"}]"#;
    bench.expect(complete, &["a@b", "bad", PASSWORD], again).await;
    bench.expect("registration", &["a@b"], r#"[false, {"2": "User already exists"}]"#).await;
    assert_eq!(bench.store.counts(), (1, 0, 0));
}

#[tokio::test]
async fn a_registration_with_a_taken_id() {
    let bench = Bench::with_user().await;
    let error = bench.try_call("registration", &texts(&["c@d", "u1"])).await.unwrap_err();
    assert_eq!(error.code(), 3);
    let other = bench.call("registration", &["c@d", ""]).await;
    assert!(!other.contains("u1") && other.contains(r#""email": "c@d""#), "{other}");
}

#[tokio::test]
async fn a_login_with_a_password() {
    let bench = Bench::with_user().await;
    for bad in [&["no@b", PASSWORD][..], &["", PASSWORD], &[]] {
        bench.expect("auth", bad, NOT_FOUND).await;
    }
    for bad in [&["a@b", "passw0rd"][..], &["a@b", ""], &["a@b"]] {
        bench.expect("auth", bad, WRONG_PASSWORD).await;
    }
    let (head, session) = bench.session("auth", &["A@B", PASSWORD]).await;
    assert!(head.starts_with(r#"[true, {"id": "u1", "email": "a@b", "is_active": true"#));
    assert_eq!(bench.session("check_auth", &[&session]).await, (head, session));
    bench.store.change(|rows| rows.change_user(|user| assert!(user.session_update_ts.is_some())));
    assert_eq!(bench.store.counts(), (1, 0, 1));
}

#[tokio::test]
async fn people_who_came_from_a_provider_have_no_password() {
    let bench = Bench::new().await;
    bench.session("social_auth", &["facebook", "good"]).await;
    bench.expect("auth", &["fb@x.com", PASSWORD], NOT_FOUND).await;
    bench.expect("restore_password", &["fb@x.com"], NOT_FOUND).await;
    bench.call("registration", &["fb@x.com", "u1"]).await;
    assert_eq!(bench.store.counts().0, 2, "the same email, registered: another user");
}

#[tokio::test]
async fn a_forgotten_password() {
    let mut bench = Bench::with_user().await;
    let (_, session) = bench.session("auth", &["a@b", PASSWORD]).await;
    bench.session("auth", &["a@b", PASSWORD]).await;
    let complete = "complete_restore_password";
    bench.expect(complete, &["a@b", "guess", "N3w-one!"], WRONG_TOKEN).await;
    for bad in [&["no@b"][..], &[""], &[]] {
        bench.expect("restore_password", bad, NOT_FOUND).await;
    }
    let token = bench.token("A@B").await;
    assert_eq!(bench.token("a@b").await, token);
    bench.now += 1801;
    let newer = bench.token("a@b").await;
    assert_ne!(token, newer);

    bench.expect(complete, &["a@b", "", "N3w-one!"], INVALID).await;
    bench.expect(complete, &["no@b", &newer, "weak"], NOT_FOUND).await;
    bench.expect(complete, &["a@b", "bad", "weak"], WEAK).await;
    bench.expect(complete, &["a@b", "bad"], WEAK).await;
    bench.expect(complete, &["a@b", &token, "N3w-one!"], WRONG_TOKEN).await;
    assert_eq!(bench.store.counts(), (1, 0, 2));
    bench.expect(complete, &["a@B", &newer, "N3w-one!"], &u1(true, "null", "")).await;
    assert_eq!(bench.store.counts(), (1, 0, 0));
    bench.check(&session, WRONG_SIGN).await;
    bench.expect(complete, &["a@b", &newer, "N3w-one!"], WRONG_TOKEN).await;
    bench.expect("auth", &["a@b", PASSWORD], WRONG_PASSWORD).await;
    bench.session("auth", &["a@b", "N3w-one!"]).await;
}

#[tokio::test]
async fn a_profile_has_two_names() {
    let bench = Bench::with_user().await;
    let check = async |args: &str, expected: &str| {
        assert_eq!(bench.try_call("set_profile", &json(args)).await.unwrap(), expected, "{args}");
    };
    let set = async |profile: &str, expected: &str| {
        let answer = u1(true, expected, "");
        check(&format!(r#"["u1", {profile}]"#), &answer).await;
        bench.expect("get_profile", &["u1"], &answer).await;
    };
    let both = r#"{"first_name": "F", "last_name": "L"}"#;
    set(r#"{"last_name": "L", "other": 1, "first_name": "F"}"#, both).await;
    set(r#"{"last_name": null}"#, r#"{"last_name": null}"#).await;
    set(r#"{"first_name": ["x"]}"#, r#"{"first_name": ["x"]}"#).await;
    set(r#"{"other": 1}"#, "[]").await;
    set("[]", "[]").await;
    check(r#"["u1"]"#, INVALID).await;
    check(r#"["u1", "F"]"#, INVALID).await;
    check(r#"["", {}]"#, INVALID).await;
    check(r#"[null, {}]"#, INVALID).await;
    check(r#"["nobody", null]"#, NOT_FOUND).await;
    bench.expect("get_profile", &["u1"], &u1(true, "[]", "")).await;
    bench.expect("get_profile", &["nobody"], NOT_FOUND).await;
    bench.expect("get_profile", &[], INVALID).await;
}

#[tokio::test]
async fn a_user_who_is_deleted() {
    let bench = Bench::with_user().await;
    let (_, session) = bench.session("auth", &["a@b", PASSWORD]).await;
    let token = bench.call("restore_password", &["a@b"]).await;
    bench.expect("delete_user", &[""], INVALID).await;
    bench.expect("delete_user", &["nobody"], NOT_FOUND).await;
    bench.expect("delete_user", &["u1"], &u1(true, "null", "")).await;
    bench.expect("delete_user", &["u1"], NOT_FOUND).await;
    bench.expect("auth", &["a@b", PASSWORD], NOT_FOUND).await;
    bench.check(&session, WRONG_SIGN).await;
    assert_eq!(bench.store.counts(), (0, 0, 0));

    let code = bench.register(&["a@b", "u1"]).await;
    let args = ["a@b", &code, "0ther-one"];
    bench.expect("complete_registration", &args, &u1(true, "null", "")).await;
    bench.expect("auth", &["a@b", PASSWORD], WRONG_PASSWORD).await;
    let token = token.trim_start_matches("[true, \"").trim_end_matches("\"]");
    bench.expect("complete_restore_password", &["a@b", token, "N3w-one!"], WRONG_TOKEN).await;
}

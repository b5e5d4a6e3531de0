use lycosa_proto::msgpack::Text;
use serde_json::json;

use super::*;
use crate::config::Secret;
use crate::procs::authman::password::PasswordHash;

fn check<R: Row + PartialEq + std::fmt::Debug>(row: &R, text: &str) {
    let mut tuple = Vec::new();
    row.write(&mut tuple);
    assert_eq!(Text(&tuple).to_string(), text);
    assert_eq!(R::read(&tuple).as_ref(), Some(row));
    for len in 0..tuple.len() {
        R::read(&tuple[..len]);
    }
}

#[test]
fn rows_are_tuples_of_the_lua_application() {
    let mut user = User {
        id: "u".into(),
        email: String::new(),
        user_type: user_type::COMMON,
        is_active: true,
        profile: Profile::unset(),
        registration_ts: Some(1_795_450_825),
        session_update_ts: None,
    };
    check(&user, r#"["u", "", 1, true, null, 1795450825]"#);
    user.registration_ts = None;
    user.session_update_ts = Some(7);
    user.profile = Profile::new(&[("first_name", &json!("F")), ("last_name", &json!(null))]);
    check(&user, r#"["u", "", 1, true, {"first_name": "F", "last_name": null}, null, 7]"#);
    user.profile = Profile::new(&[]);
    check(&user, r#"["u", "", 1, true, [], null, 7]"#);

    let mut session = LoginSession {
        sid: "s".into(),
        code: Secret::new("c"),
        user_id: "u".into(),
        credential_id: None,
        expires_at: None,
    };
    check(&session, r#"["s", "c", "u"]"#);
    session.credential_id = Some("k".into());
    check(&session, r#"["s", "c", "u", "k"]"#);
    session.expires_at = Some(7);
    check(&session, r#"["s", "c", "u", "k", 7]"#);
    session.credential_id = None;
    check(&session, r#"["s", "c", "u", null, 7]"#);

    let credential = Credential {
        id: "k".into(),
        user_id: "u".into(),
        provider: "facebook".into(),
        social_id: "1".into(),
        kept: Kept { token: Secret::new("t"), token_use: None, device_id: None },
    };
    check(&credential, r#"["k", "u", "facebook", "1", "t"]"#);

    let kept = Kept {
        token: Secret::new("t"),
        token_use: Some(TokenUse::Refresh),
        device_id: Some("d".into()),
    };
    let credential = Credential { kept, ..credential };
    check(&credential, r#"["k", "u", "facebook", "1", "t", "refresh_token", "d"]"#);
    let kept = Kept { device_id: None, ..credential.kept.clone() };
    let credential = Credential { kept, ..credential };
    check(&credential, r#"["k", "u", "facebook", "1", "t", "refresh_token"]"#);

    let state = SocialState {
        key: "k".into(),
        provider: "p".into(),
        verifier: Secret::new("v"),
        nonce: "n".into(),
        own_state: String::new(),
        expires_at: 9,
    };
    check(&state, r#"["k", "p", "v", "n", "", 9]"#);

    let user_id = "u".to_owned();
    let mut token = PasswordToken { user_id, token: Secret::new("t"), expires_at: None };
    check(&token, r#"["u", "t"]"#);
    token.expires_at = Some(7);
    check(&token, r#"["u", "t", 7]"#);
    let hash = PasswordHash::stored(b"h".to_vec());
    let password = Password { id: "p".into(), user_id: "u".into(), hash };
    check(&password, r#"["p", "u", "h"]"#);
}

#[test]
fn a_hash_need_not_be_utf_8() {
    let hash = PasswordHash::stored(vec![0xff; 32]);
    let password = Password { id: "p".into(), user_id: "u".into(), hash };
    let mut tuple = Vec::new();
    password.write(&mut tuple);
    assert_eq!(tuple[..5], [0x93, 0xa1, b'p', 0xa1, b'u']);
    assert_eq!(tuple[5..7], [0xd9, 32]);
    assert_eq!(Password::read(&tuple), Some(password));
}

#[test]
fn the_rest_of_a_row_stays() {
    let check = |new: &[u8], old: &[u8], expected: &[u8]| {
        assert_eq!(with_rest(new, old, 3), expected, "{new:?} {old:?}");
    };
    check(&[0x92, 1, 2], &[0x90], &[0x92, 1, 2]);
    check(&[0x92, 1, 2], &[0x93, 7, 8, 9], &[0x92, 1, 2]);
    check(&[0x93, 1, 2, 3], &[0x95, 7, 8, 9, 4, 5], &[0x95, 1, 2, 3, 4, 5]);
    check(&[0x92, 1, 2], &[0x94, 7, 8, 9, 4], &[0x94, 1, 2, 0xc0, 4]);
}

#[test]
fn known_fields_are_those_of_the_space() {
    fn check<R: Row>() {
        let space = crate::procs::authman::spaces::SpaceDef::find(R::SPACE).unwrap();
        assert_eq!(space.fields.len(), R::FIELDS, "{}", R::SPACE);
    }
    check::<User>();
    check::<Credential>();
    check::<LoginSession>();
    check::<Password>();
    check::<PasswordToken>();
    check::<SocialState>();
}

#[test]
fn rows_of_others_are_none() {
    assert_eq!(LoginSession::read(&[0x90]), None);
    assert_eq!(Credential::read(&[0xc0]), None);
    assert_eq!(Password::read(&[0x93, 0xa1, b'p', 0xa1, b'u', 1]), None);
    assert_eq!(PasswordToken::read(&[0x91, 0xa1, b'u']), None);
    assert_eq!(User::read(&[0x93, 0x01, 0x02, 0x03]), None);
}

//! Random requests to accounts.

use rand::Rng;
use rand::rngs::StdRng;

use super::request::{Request, call};

/// What a client was told of an account: its email, what it is, the value.
pub(super) type Told = (String, &'static str, String);

/// What replies tell.
const FIELDS: [&str; 3] = ["code", "session", "id"];

/// A request; `told` is what the client knows.
pub(super) fn request(dice: &mut StdRng, told: &[Told]) -> Request {
    let email = format!("p{}@example.com", dice.random_range(0..4));
    let know = |what: &str| told.iter().rev().find(|(_, field, _)| *field == what);
    let (known, code) = know("code").map_or((&email, ""), |(email, _, code)| (email, code));
    let value = |what: &str| know(what).map_or("", |(_, _, value)| value);
    match dice.random_range(0..10) {
        0..3 => call("auth.registration", &format!(r#"["{email}"]"#)),
        3..5 => {
            call("auth.complete_registration", &format!(r#"["{known}", "{code}", "Pa55word!x"]"#))
        }
        5 => call("auth.auth", &format!(r#"["{known}", "Pa55word!x"]"#)),
        6 => call("auth.check_auth", &format!(r#"["{}"]"#, value("session"))),
        7 => call("auth.drop_session", &format!(r#"["{}"]"#, value("session"))),
        8 => call("auth.set_profile", &format!(r#"["{}", {{"first_name": "N"}}]"#, value("id"))),
        _ => call("auth.delete_user", &format!(r#"["{}"]"#, value("id"))),
    }
}

/// What an answer tells.
pub(super) fn told(request: &str, reply: &str) -> Vec<Told> {
    let email = request.strip_prefix("auth.").and_then(|rest| rest.split('"').nth(1));
    let Some(email) = email else { return Vec::new() };
    let field = |name: &'static str| {
        let (_, rest) = reply.split_once(&format!("\"{name}\": \""))?;
        Some((email.to_owned(), name, rest.split('"').next()?.to_owned()))
    };
    FIELDS.into_iter().filter_map(field).collect()
}

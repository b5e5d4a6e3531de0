//! An issuer of OpenID Connect for tests: it answers as it is told and signs whatever it is told to.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Map, Value, json};

use crate::http::stub::{Answer, Stub};

/// What the issuer says.
pub(in crate::procs::authman) struct Says {
    /// Signs ID tokens, PKCS#8.
    key: Vec<u8>,
    /// The key's id.
    pub(in crate::procs::authman) kid: String,
    /// The keys that are published.
    pub(in crate::procs::authman) jwks: Value,
    /// Claims of ID tokens over the usual ones; null takes one out.
    pub(in crate::procs::authman) claims: Map<String, Value>,
    /// Fields of the discovery document over the usual ones.
    pub(in crate::procs::authman) document: Map<String, Value>,
    /// The profile.
    pub(in crate::procs::authman) info: Value,
    /// Fields of the token's answer over the usual ones; null takes one out.
    pub(in crate::procs::authman) token: Map<String, Value>,
    /// Whether codes are good.
    pub(in crate::procs::authman) knows_code: bool,
    /// The path that is never answered.
    pub(in crate::procs::authman) silent: Option<&'static str>,
    /// What else happens, once, while a token is asked for.
    pub(in crate::procs::authman) meanwhile: Option<Box<dyn FnOnce() + Send>>,
    /// Changes the ID token after it is signed.
    pub(in crate::procs::authman) spoil: fn(String) -> String,
}

/// A running issuer.
pub(in crate::procs::authman) struct Issuer {
    pub(in crate::procs::authman) stub: Stub,
    pub(in crate::procs::authman) says: Arc<Mutex<Says>>,
}

impl Says {
    /// A new key takes the place of the published ones.
    pub(in crate::procs::authman) fn rotate(&mut self, kid: &str) {
        let random = SystemRandom::new();
        let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
        self.key = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap().as_ref().to_vec();
        let pair = EcdsaKeyPair::from_pkcs8(kind, &self.key, &random).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
        let key = json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": kid, "x": x, "y": y});
        // What nobody here understands stands beside it.
        self.jwks = json!({"keys": [{"kty": "XYZ", "kid": "odd"}, {"kid": "none"}, key]});
        self.kid = kid.to_owned();
    }

    fn id_token(&self, issuer: &str, now: u64) -> String {
        let usual = json!({
            "iss": issuer, "aud": "C", "sub": "s1", "exp": now + 3600, "iat": now, "email": "A@x",
        });
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.clone());
        let key = EncodingKey::from_ec_der(&self.key);
        let claims = laid_over(usual, &self.claims);
        (self.spoil)(jsonwebtoken::encode(&header, &claims, &key).unwrap())
    }
}

/// `over` laid over the fields of `base`.
fn laid_over(base: Value, over: &Map<String, Value>) -> Value {
    let Value::Object(mut base) = base else { return base };
    for (key, value) in over {
        match value {
            Value::Null => drop(base.remove(key)),
            value => drop(base.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(base)
}

impl Issuer {
    /// Starts an issuer whose clock stands at `now`. It knows the person `s1` and the application `C`.
    pub(in crate::procs::authman) async fn start(now: u64) -> Self {
        super::jose::install();
        let mut says = Says {
            key: Vec::new(),
            kid: String::new(),
            jwks: Value::Null,
            claims: Map::new(),
            document: Map::new(),
            info: json!({
                "sub": "s1", "email": "A@x", "email_verified": true,
                "given_name": "A", "family_name": "B",
            }),
            token: Map::new(),
            knows_code: true,
            silent: None,
            meanwhile: None,
            spoil: |token| token,
        };
        says.rotate("k1");
        let says = Arc::new(Mutex::new(says));
        let said = says.clone();
        let stub = Stub::start(move |request| answer(request, &mut said.lock(), now)).await;
        Self { stub, says }
    }

    /// The issuer's name, which is its address.
    pub(in crate::procs::authman) fn name(&self) -> String {
        self.stub.url("")
    }

    /// The request lines so far whose path begins so.
    pub(in crate::procs::authman) fn asked(&self, path: &str) -> usize {
        self.stub
            .lines()
            .iter()
            .filter(|line| line.split(' ').nth(1).unwrap().starts_with(path))
            .count()
    }
}

fn answer(request: &str, says: &mut Says, now: u64) -> Answer {
    let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let name = format!("http://{host}");
    let path = request.split([' ', '?']).nth(1).unwrap_or_default();
    if says.silent == Some(path) {
        return Answer::Silence;
    }
    if path == "/token"
        && let Some(event) = says.meanwhile.take()
    {
        event();
    }
    let body = match path {
        "/.well-known/openid-configuration" => {
            let document = json!({
                "issuer": name,
                "authorization_endpoint": format!("{name}/consent"),
                "token_endpoint": format!("{name}/token"),
                "userinfo_endpoint": format!("{name}/me"),
                "jwks_uri": format!("{name}/jwks"),
            });
            laid_over(document, &says.document)
        }
        "/jwks" => says.jwks.clone(),
        "/me" => says.info.clone(),
        "/token" if !says.knows_code => return Answer::new(400, r#"{"error": "invalid_grant"}"#),
        "/token" => {
            let id_token = says.id_token(&name, now);
            let token = json!({
                "access_token": "at", "refresh_token": "rt", "id_token": id_token,
                "token_type": "Bearer", "expires_in": 60,
            });
            laid_over(token, &says.token)
        }
        _ => return Answer::new(404, "{}"),
    };
    Answer::new(200, &body.to_string())
}

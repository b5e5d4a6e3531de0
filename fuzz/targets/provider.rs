//! What OAuth and OpenID providers answer and publish: any body gives a person, or says what is missing; no body gives a
//! signed ID token.
//!
//! Input: a byte that chooses the provider; the body.

#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use lycosa::config::Config;
use lycosa::http::Http;
use lycosa::procs::authman::provider::{Provider, read_published};
use lycosa_proto::msgpack;

/// A provider of each kind beside those that are there without a configuration.
const YAML: &str = "roles_cfg: {authman: {providers: {
    openid: {issuer: 'https://i', client_id: C, redirect_uri: 'https://x'},
    github: {client_id: C, redirect_uri: 'https://x'},
    vkid: {client_id: C, redirect_uri: 'https://x'}}}}";

/// Keys whose private halves nobody has.
const KEYS: &[u8] = br#"{"keys": [
    {"kty": "EC", "crv": "P-256", "kid": "e",
     "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    {"kty": "OKP", "crv": "Ed25519", "kid": "o", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    {"kty": "oct", "kid": "s", "k": "AAECAwQFBgcICQoLDA0ODw"}]}"#;

thread_local! {
    static PROVIDERS: OnceCell<Vec<Provider>> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else { return };
    PROVIDERS.with(|providers| {
        let providers = providers.get_or_init(|| {
            let http = Http::new().expect("what makes requests");
            let config = Config::from_yaml(YAML).expect("a configuration");
            Provider::all(&config.roles_cfg.authman, &http)
        });
        let provider = &providers[usize::from(choice) % providers.len()];
        match provider.read_exchanged(body) {
            Ok(exchanged) => assert!(!exchanged.kept.token.expose().is_empty()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        match provider.read_person(body) {
            Ok(person) => {
                assert!(!person.id.is_empty());
                assert!(msgpack::check_all(person.profile.as_msgpack()).is_ok());
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
    let token = String::from_utf8_lossy(body);
    let [_, _, verified] = read_published(body, &token, KEYS);
    assert!(verified.is_err(), "nobody can have signed this");
});

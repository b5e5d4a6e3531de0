//! Answers of OAuth providers: any body gives a person, or says what is missing.
//!
//! Input: a byte that chooses the provider; the body.

#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use lycosa::config::Config;
use lycosa::http::Http;
use lycosa::procs::authman::provider::Provider;
use lycosa_proto::msgpack;

thread_local! {
    static PROVIDERS: OnceCell<Vec<Provider>> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else { return };
    PROVIDERS.with(|providers| {
        let providers = providers.get_or_init(|| {
            let http = Http::new().expect("what makes requests");
            Provider::all(&Config::default().roles_cfg.authman, &http)
        });
        let provider = &providers[usize::from(choice) % providers.len()];
        match provider.read_exchanged(body) {
            Ok(exchanged) => assert!(!exchanged.token.expose().is_empty()),
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
});

//! Must crash, within seconds: shows that inputs are made, that coverage leads them, and that a crash is noticed.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if data.first() == Some(&b'w') && data.get(1) == Some(&b'o') && data.get(2) == Some(&b'l') {
        assert!(data.get(3) != Some(&b'f'), "the canary sings");
    }
});

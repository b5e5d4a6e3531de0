//! The configuration file: any text gives a configuration or one line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lycosa::config::Config;

fuzz_target!(|text: &str| {
    // Names of hosts would be looked up.
    if text.contains("listen") {
        return;
    }
    if let Err(error) = Config::from_yaml(text) {
        let line = error.to_string();
        assert!(!line.is_empty() && !line.contains('\n'), "not one line: {line:?}");
    }
});

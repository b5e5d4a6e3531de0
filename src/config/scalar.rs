//! Options that are one value: numbers, times, texts, paths, secrets.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_norway::Value;
use uuid::Uuid;

use super::options::Limits;
use super::value::{HIDDEN, OptionType, Refused};

impl<T: OptionType> OptionType for Option<T> {
    const SECRET: bool = T::SECRET;

    fn allowed(limits: &Limits) -> String {
        T::allowed(limits)
    }

    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        if value.is_null() { Ok(None) } else { T::read(value, limits).map(Some) }
    }

    fn from_text(text: &str) -> Value {
        if text.is_empty() { Value::Null } else { T::from_text(text) }
    }
}

impl OptionType for u64 {
    fn allowed(limits: &Limits) -> String {
        format!("an integer from {} to {}", limits.min, limits.max)
    }

    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        let whole = |number: f64| number.fract() == 0.0 && (0.0..9.3e18).contains(&number);
        let number =
            value.as_u64().or_else(|| value.as_f64().filter(|n| whole(*n)).map(|n| n as u64));
        let within = number.filter(|number| (limits.min..=limits.max).contains(number));
        within.ok_or_else(|| Refused::new(value, Self::allowed(limits)))
    }
}

impl OptionType for f64 {
    fn allowed(limits: &Limits) -> String {
        format!("a number from {} to {}", limits.min, limits.max)
    }

    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        let bounds = limits.min as Self..=limits.max as Self;
        let number = value.as_f64().filter(|number| bounds.contains(number));
        number.ok_or_else(|| Refused::new(value, Self::allowed(limits)))
    }
}

impl OptionType for Duration {
    fn allowed(limits: &Limits) -> String {
        format!("a number from {} to {}", limits.min, limits.max)
    }

    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        let bounds = limits.min as f64..=limits.max as f64;
        let seconds = value.as_f64().filter(|seconds| bounds.contains(seconds));
        let duration = seconds.and_then(|seconds| Self::try_from_secs_f64(seconds).ok());
        duration.ok_or_else(|| Refused::new(value, Self::allowed(limits)))
    }
}

impl OptionType for bool {
    fn allowed(_: &Limits) -> String {
        "true or false".to_owned()
    }

    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        value.as_bool().ok_or_else(|| Refused::new(value, Self::allowed(limits)))
    }
}

/// What other servers can turn off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlwaysOn;

impl OptionType for AlwaysOn {
    fn allowed(_: &Limits) -> String {
        "true (it is always on)".to_owned()
    }

    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        match value.as_bool() {
            Some(true) => Ok(Self),
            _ => Err(Refused::new(value, Self::allowed(limits))),
        }
    }
}

impl OptionType for String {
    fn allowed(_: &Limits) -> String {
        "text".to_owned()
    }

    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(Refused::new(value, Self::allowed(limits))),
        }
    }

    fn from_text(text: &str) -> Value {
        Value::String(text.to_owned())
    }
}

impl OptionType for PathBuf {
    fn allowed(_: &Limits) -> String {
        "a path that is not empty".to_owned()
    }

    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        let path = String::read(value, limits).ok().filter(|path| !path.is_empty());
        path.map(Self::from).ok_or_else(|| Refused::new(value, Self::allowed(limits)))
    }

    fn from_text(text: &str) -> Value {
        String::from_text(text)
    }
}

impl OptionType for Uuid {
    fn allowed(_: &Limits) -> String {
        "a UUID of 36 characters that is not nil".to_owned()
    }

    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        let text = value.as_str().filter(|text| text.len() == 36);
        let uuid = text.and_then(|text| Self::try_parse(text).ok()).filter(|uuid| !uuid.is_nil());
        uuid.ok_or_else(|| Refused::new(value, Self::allowed(limits)))
    }

    fn from_text(text: &str) -> Value {
        String::from_text(text)
    }
}

/// Text that is never shown: neither by `Debug` nor in errors.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl OptionType for Secret {
    const SECRET: bool = true;

    fn allowed(_: &Limits) -> String {
        "text".to_owned()
    }

    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        String::read(value, limits).map(Self).map_err(|_| Refused::hidden(Self::allowed(limits)))
    }

    fn from_text(text: &str) -> Value {
        String::from_text(text)
    }
}

/// A number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads(pub usize);

impl OptionType for Threads {
    fn allowed(limits: &Limits) -> String {
        format!("auto (one for each core) or {}", u64::allowed(limits))
    }

    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        if value.as_str() == Some("auto") {
            return Ok(Self(std::thread::available_parallelism().map_or(1, usize::from)));
        }
        let count = u64::read(value, limits).ok().and_then(|count| usize::try_from(count).ok());
        count.map(Self).ok_or_else(|| Refused::new(value, Self::allowed(limits)))
    }
}

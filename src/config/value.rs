//! What a type of options must say of itself, and how lists and maps are read.

use serde_norway::{Mapping, Value};

use super::options::{Limits, join};

/// What stands for a value that may not be shown.
pub(super) const HIDDEN: &str = "(hidden)";

/// A value that an option does not allow.
#[derive(Debug)]
pub struct Refused {
    /// Path of keys from the option down to the value; empty for the option itself.
    pub key: String,
    /// The value, fit to be shown.
    pub value: String,
    /// What is allowed there.
    pub allowed: String,
}

impl Refused {
    /// Refuses `value`, of which only a scalar is shown: lists and maps may hold secrets.
    pub(super) fn new(value: &Value, allowed: impl Into<String>) -> Self {
        Self { key: String::new(), value: shown(value), allowed: allowed.into() }
    }

    /// Refuses a value that may not be shown.
    pub(super) fn hidden(allowed: impl Into<String>) -> Self {
        Self { key: String::new(), value: HIDDEN.to_owned(), allowed: allowed.into() }
    }

    /// The same, seen from one level up.
    pub(super) fn under(mut self, key: &str) -> Self {
        self.key = if self.key.is_empty() { key.to_owned() } else { join(key, &self.key) };
        self
    }
}

/// One line that shows a value: scalars as they are, containers by their kind.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(value) => format!("{value:?}"),
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) => "a map".to_owned(),
        Value::Tagged(tagged) => format!("a value tagged {}", tagged.tag),
    }
}

/// A type that options can have.
pub trait OptionType: Sized {
    /// Whether a value may never be shown.
    const SECRET: bool = false;

    /// What is allowed, in words.
    fn allowed(limits: &Limits) -> String;

    /// Reads a value that is not null.
    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused>;

    /// Turns the text of the environment or the command line into what YAML would have given.
    fn from_text(text: &str) -> Value {
        serde_norway::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
    }
}

/// The text of the environment as a list: cut at commas, empty for none.
pub(super) fn list_from_text(text: &str) -> Value {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Value::Sequence(items.map(|item| Value::String(item.to_owned())).collect())
}

/// Reads a list, item by item; `read` names what is allowed.
pub(super) fn read_list<T>(
    value: &Value,
    allowed: &str,
    read: impl Fn(&Value) -> Result<T, Refused>,
) -> Result<Vec<T>, Refused> {
    let Value::Sequence(items) = value else { return Err(Refused::new(value, allowed)) };
    let numbered = items.iter().enumerate();
    numbered.map(|(i, item)| read(item).map_err(|e| e.under(&(i + 1).to_string()))).collect()
}

/// Reads the keys of a map and refuses those that are not in `known`. Keys that are null count as left out.
pub(super) fn read_map<'a>(
    value: &'a Value,
    known: &[&str],
) -> Result<impl Iterator<Item = (&'a str, &'a Value)> + use<'a>, Refused> {
    let pairs = read_any_map(value, &format!("a map with keys: {}", known.join(", ")))?;
    if let Some((key, _)) = pairs.iter().find(|(key, _)| !known.contains(key)) {
        let mut refused = Refused::new(&Value::Null, format!("one of: {}", known.join(", ")));
        refused.value = "this key".to_owned();
        return Err(refused.under(key));
    }
    Ok(pairs.into_iter().filter(|(_, value)| !value.is_null()))
}

/// Reads a map whose keys are any texts.
pub(super) fn read_any_map<'a>(
    value: &'a Value,
    allowed: &str,
) -> Result<Vec<(&'a str, &'a Value)>, Refused> {
    static EMPTY: std::sync::LazyLock<Mapping> = std::sync::LazyLock::new(Mapping::new);
    let map = match value {
        Value::Null => &*EMPTY,
        Value::Mapping(map) => map,
        _ => return Err(Refused::new(value, allowed)),
    };
    let text_key = |(key, value): (&'a Value, &'a Value)| match key {
        Value::String(key) => Ok((key.as_str(), value)),
        _ => Err(Refused::new(key, "a key that is text")),
    };
    map.iter().map(text_key).collect()
}

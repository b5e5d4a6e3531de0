//! The three sources of raw values, and which of them speaks for an option.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use serde_norway::Value;

use super::error::{ConfigError, Origin, nearest};
use super::options::{OPTIONS, OptionDef, join};
use super::value::{HIDDEN, OptionType, shown};

/// The environment variable that names the file.
const CONFIG_ENV: &str = "LYCOSA_CONFIG";

/// Raw values by option, the strongest source only.
#[derive(Default)]
pub(super) struct Sources {
    /// The file, null if there is none.
    file: Value,
    /// Texts of the environment and the command line by the option's path.
    texts: BTreeMap<&'static str, (String, Origin)>,
}

impl Sources {
    /// Reads the command line, the environment and the file that they name.
    pub(super) fn read(
        args: impl IntoIterator<Item = OsString>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut file = None;
        let mut texts = BTreeMap::new();
        for (name, value) in env {
            let (name, value) = (name.to_string_lossy(), value.to_string_lossy().into_owned());
            if name == CONFIG_ENV {
                file = Some(value);
            } else if let Some(option) = OPTIONS.iter().find(|option| option.env == name) {
                texts.insert(option.path.as_str(), (value, Origin::Env(&option.env)));
            } else {
                check_env(&name)?;
            }
        }
        let matches = command().try_get_matches_from(args).map_err(|e| command_line_error(&e))?;
        for option in OPTIONS.iter() {
            if let Some(value) = matches.get_one::<String>(&option.path) {
                texts.insert(option.path.as_str(), (value.clone(), Origin::Flag(&option.flag)));
            }
        }
        let file = match matches.get_one::<String>("config").cloned().or(file) {
            Some(file) => {
                let error = |e: std::io::Error| ConfigError::File {
                    file: file.clone(),
                    cause: format!("cannot be read: {e}"),
                };
                let text = std::fs::read_to_string(&file).map_err(error)?;
                Self::from_yaml(&text, Path::new(&file))?.file
            }
            None => Value::Null,
        };
        Ok(Self { file, texts })
    }

    /// Takes a file's text alone; `name` is what errors call it.
    pub(super) fn from_yaml(text: &str, name: &Path) -> Result<Self, ConfigError> {
        let file = serde_norway::from_str(text).map_err(|e| ConfigError::File {
            file: name.display().to_string(),
            cause: format!("is not YAML: {e}"),
        })?;
        check_keys("", &file)?;
        Ok(Self { file, texts: BTreeMap::new() })
    }

    /// Reads the option at `path`.
    pub(super) fn get<T: OptionType>(&self, path: &str) -> Result<T, ConfigError> {
        let option = OptionDef::find(path).expect("the table that asks is the table that answers");
        let (value, origin) = match self.texts.get(path) {
            Some((text, origin)) => (T::from_text(text), *origin),
            None => match self.in_file(path) {
                Some(value) => (value.clone(), Origin::File),
                None => (T::from_text(option.default), Origin::File),
            },
        };
        T::read(&value, &option.limits).map_err(|refused| ConfigError::BadValue {
            key: if refused.key.is_empty() { path.to_owned() } else { join(path, &refused.key) },
            value: match refused.key.is_empty() && T::SECRET {
                true => HIDDEN.to_owned(),
                false => refused.value,
            },
            allowed: match option.limits.unit {
                "" => refused.allowed,
                unit => format!("{} ({unit})", refused.allowed),
            },
            origin,
        })
    }

    /// The file's value at `path`; a value that is null counts as left out.
    fn in_file(&self, path: &str) -> Option<&Value> {
        let found = path.split('.').try_fold(&self.file, |value, key| value.get(key));
        found.filter(|value| !value.is_null())
    }
}

/// Whether options stand below `path`.
fn is_section(path: &str) -> bool {
    path.is_empty()
        || OPTIONS
            .iter()
            .any(|option| option.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// Refuses keys of the file that the table does not have.
fn check_keys(path: &str, value: &Value) -> Result<(), ConfigError> {
    let map = match value {
        Value::Null => return Ok(()),
        Value::Mapping(map) => map,
        _ => {
            let key = if path.is_empty() { "(the file)" } else { path };
            return Err(ConfigError::BadValue {
                key: key.to_owned(),
                value: shown(value),
                allowed: "a map of options".to_owned(),
                origin: Origin::File,
            });
        }
    };
    for (key, value) in map {
        let key = key.as_str().map_or_else(|| shown(key), str::to_owned);
        let path = join(path, &key);
        if OptionDef::find(&path).is_some() {
            continue;
        }
        if !is_section(&path) {
            return Err(ConfigError::UnknownKey { near: near_path(&path), key: path });
        }
        check_keys(&path, value)?;
    }
    Ok(())
}

/// The option or section that `path` may have meant.
fn near_path(path: &str) -> Option<String> {
    let depth = path.split('.').count();
    let cut = |option: &'static OptionDef| {
        let end =
            option.path.match_indices('.').nth(depth - 1).map_or(option.path.len(), |(i, _)| i);
        &option.path[..end]
    };
    nearest(path, OPTIONS.iter().map(cut)).map(str::to_owned)
}

/// Refuses a variable that looks like an option of a section but is none.
///
/// Others that begin with LYCOSA_ pass: a container platform sets LYCOSA_PORT and the like by itself.
fn check_env(name: &str) -> Result<(), ConfigError> {
    let sections = OPTIONS.iter().filter_map(|option| option.path.split_once('.'));
    let prefixes = sections.map(|(section, _)| format!("LYCOSA_{}_", section.to_uppercase()));
    if !prefixes.into_iter().any(|prefix| name.starts_with(&prefix)) {
        return Ok(());
    }
    let near = nearest(name, OPTIONS.iter().map(|option| option.env.as_str()));
    Err(ConfigError::UnknownKey { key: name.to_owned(), near: near.map(str::to_owned) })
}

/// The command line as clap sees it.
fn command() -> Command {
    let config = Arg::new("config").long("config").value_name("file");
    let config = config.help(format!("YAML file with the configuration [env: {CONFIG_ENV}]"));
    let options = OPTIONS.iter().map(|option| {
        let default = if option.default.is_empty() { "none" } else { option.default };
        let help = format!("{} [default: {default}] [env: {}]", option.doc, option.env);
        let name = if option.limits.unit.is_empty() { "value" } else { option.limits.unit };
        Arg::new(option.path.as_str())
            .long(option.flag.as_str())
            .value_name(name)
            .help(help)
            .allow_hyphen_values(true)
    });
    Command::new("lycosa")
        .about("An in-memory database server compatible with Tarantool")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .next_line_help(true)
        .after_help(
            "Without a subcommand a server is started. Others, each with its own --help:\n  \
             lycosa cat FILE...              prints the rows of .snap and .xlog files\n  \
             lycosa check DIR                verifies a directory without opening it\n  \
             lycosa play FILE... HOST:PORT   sends the rows of files to a server",
        )
        .arg(config)
        .args(options)
}

/// Cuts clap's words down to one line.
fn command_line_error(error: &clap::Error) -> ConfigError {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return ConfigError::Shown(error.to_string());
    }
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg)
    {
        let name = arg.trim_start_matches("--");
        let near = nearest(name, OPTIONS.iter().map(|option| option.flag.as_str()));
        let near = near.map(|near| format!("--{near}"));
        return ConfigError::UnknownKey { key: arg.clone(), near };
    }
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    ConfigError::CommandLine(line.trim_start_matches("error: ").to_owned())
}

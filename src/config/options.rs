//! The `options!` macro and what it makes of the table.
//!
//! A row with a default is an option; a row without one is a section, whose type is another `struct` of the table.

use std::sync::LazyLock;

use serde_norway::Value;

use super::error::ConfigError;
use super::source::Sources;
use super::value::{OptionType, Refused};

/// The smallest and greatest number allowed, and the unit, for options that are numbers.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The smallest value.
    pub min: u64,
    /// The greatest value.
    pub max: u64,
    /// The unit in words, empty for none.
    pub unit: &'static str,
}

/// One option as the table has it.
#[derive(Debug)]
pub struct OptionDef {
    /// The path of YAML keys, joined by dots.
    pub path: String,
    /// The command line option, without the two dashes in front.
    pub flag: String,
    /// The environment variable.
    pub env: String,
    /// What it does, as sentences.
    pub doc: String,
    /// What is allowed, as the error message and the documentation have it.
    pub allowed: String,
    /// The default, written as in the environment; empty for none.
    pub default: &'static str,
    /// A value that is allowed and hard to live with; simulation may pick it.
    pub hostile: &'static str,
    /// Limits of numbers.
    pub limits: Limits,
    /// Whether its value may never be shown.
    pub secret: bool,
    /// Turns text (environment, command line) into what YAML would have given.
    pub from_text: fn(&str) -> Value,
    /// Whether a value is allowed.
    pub check: fn(&Value, &Limits) -> Result<(), Refused>,
}

impl OptionDef {
    /// The row of an option whose type is `T`.
    pub(super) fn new<T: OptionType>(
        path: String,
        doc: &str,
        default: &'static str,
        hostile: &'static str,
        limits: Limits,
    ) -> Self {
        let flag = path.replace(['.', '_'], "-");
        Self {
            env: format!("LYCOSA_{}", flag.replace('-', "_").to_uppercase()),
            flag,
            doc: doc
                .split('\n')
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
                .join(" "),
            allowed: T::allowed(&limits),
            default,
            hostile,
            limits,
            secret: T::SECRET,
            from_text: T::from_text,
            check: |value, limits| T::read(value, limits).map(drop),
            path,
        }
    }
}

/// Every option in the order of the table.
pub(super) static OPTIONS: LazyLock<Vec<OptionDef>> = LazyLock::new(|| {
    let mut options = Vec::new();
    super::table::Config::list("", &mut options);
    options
});

impl OptionDef {
    /// Every option in the order of the table.
    pub fn all() -> &'static [Self] {
        &OPTIONS
    }

    /// The option at a path of YAML keys.
    pub fn find(path: &str) -> Option<&'static Self> {
        OPTIONS.iter().find(|option| option.path == path)
    }
}

/// A part of the configuration that holds options and other sections.
pub(super) trait Section: Sized {
    /// Adds the options below `path` to `out`.
    fn list(path: &str, out: &mut Vec<OptionDef>);

    /// Reads the options below `path`.
    fn load_section(path: &str, sources: &Sources) -> Result<Self, ConfigError>;
}

/// Joins a path and a key with a dot; an empty path is the root.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Declares sections: structs whose fields are options (`name: Type = default, hostile value;`) or sections
/// (`name: Type;`). `default [min to max] "unit"` bounds a number.
macro_rules! options {
    ($(
        $(#[doc = $section_doc:literal])*
        struct $Section:ident {
            $(
                $(#[doc = $doc:literal])*
                $field:ident : $Type:ty
                    $(= $default:literal $([$min:literal to $max:literal $unit:literal])?, hostile $hostile:literal)?;
            )*
        }
    )*) => {$(
        $(#[doc = $section_doc])*
        #[derive(Clone, Debug)]
        pub struct $Section {
            $($(#[doc = $doc])* pub $field: $Type,)*
        }

        impl $crate::config::options::Section for $Section {
            fn list(path: &str, out: &mut Vec<$crate::config::options::OptionDef>) {
                $(
                    let path_here = $crate::config::options::join(path, stringify!($field));
                    let doc = concat!($($doc, "\n"),*);
                    options!(@list path_here, doc, out, $Type
                        $(, $default, $hostile $(, $min, $max, $unit)?)?);
                )*
            }

            fn load_section(
                path: &str,
                sources: &$crate::config::source::Sources,
            ) -> Result<Self, $crate::config::error::ConfigError> {
                Ok(Self {
                    $($field: options!(@load
                        $crate::config::options::join(path, stringify!($field)), sources, $Type
                        $(, $default)?),)*
                })
            }
        }
    )*};
    (@list $path:ident, $doc:ident, $out:ident, $Type:ty) => {{
        let _: &str = $doc;
        <$Type as $crate::config::options::Section>::list(&$path, $out);
    }};
    (@list $path:ident, $doc:ident, $out:ident, $Type:ty, $default:literal, $hostile:literal) => {
        options!(@list $path, $doc, $out, $Type, $default, $hostile, 0, 0xffff_ffff_ffff_ffff, "")
    };
    (@list $path:ident, $doc:ident, $out:ident, $Type:ty, $default:literal, $hostile:literal,
        $min:literal, $max:literal, $unit:literal) => {
        $out.push($crate::config::options::OptionDef::new::<$Type>(
            $path,
            $doc,
            $default,
            $hostile,
            $crate::config::options::Limits { min: $min, max: $max, unit: $unit },
        ))
    };
    (@load $path:expr, $sources:ident, $Type:ty) => {
        <$Type as $crate::config::options::Section>::load_section(&$path, $sources)?
    };
    (@load $path:expr, $sources:ident, $Type:ty, $default:literal) => {
        $sources.get::<$Type>(&$path)?
    };
}

pub(super) use options;

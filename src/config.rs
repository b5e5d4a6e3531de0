//! Configuration: one table of options, three sources, one typed result.
//!
//! `table` names every option once, with its type, default, limits and documentation. From it follow the YAML keys
//! (`iproto.net_msg_max`), the environment variables (`LYCOSA_IPROTO_NET_MSG_MAX`), the command line
//! (`--iproto-net-msg-max`), `--help` and `docs/config.md`. The command line wins over the environment, the environment
//! over the file, the file over the default. Values are checked once, at start, into a [`Config`]; nothing reads a raw
//! value afterwards.
//!
//! Keys are those of Tarantool 3's instance configuration where it has one; ours are marked so in the table.
//!
//! Source: Tarantool `src/box/lua/config/instance_config.lua`.

mod choice;
mod credentials;
mod error;
mod listen;
mod openid;
mod options;
mod page;
mod scalar;
mod source;
mod table;
mod value;

use std::ffi::OsString;
use std::path::Path;

pub use choice::{
    BuiltinRole, IdTokenAlgorithm, LogFormat, LogLevel, LogTo, PasswordStrength, Permission,
    ReadyProvider, Role, TokenAuth, TxnIsolation, WalMode,
};
pub use credentials::{Privilege, SPACE_KEYS, SpaceNames, User};
pub use error::{ConfigError, Origin};
pub use openid::{CLAIM_KEYS, ClientSecretJwt, ENDPOINT_KEYS, OpenidProvider};
pub use options::{Limits, OptionDef};
pub use page::page;
pub use scalar::{AlwaysOn, Secret, Threads};
pub use table::*;
pub use value::{OptionType, Refused};

use options::Section as _;
use source::Sources;

impl Config {
    /// Reads the configuration.
    ///
    /// In: `args` with the program's name first; `env` as pairs. `--config FILE` or `LYCOSA_CONFIG` names the file.
    /// Errors: the first thing that is wrong, as one line; [`ConfigError::Shown`] when `--help` or `--version` was asked.
    pub fn load(
        args: impl IntoIterator<Item = OsString>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        Self::from_sources(&Sources::read(args, env)?)
    }

    /// Reads the configuration from the text of a file alone.
    pub fn from_yaml(text: &str) -> Result<Self, ConfigError> {
        Self::from_sources(&Sources::from_yaml(text, Path::new("(text)"))?)
    }

    fn from_sources(sources: &Sources) -> Result<Self, ConfigError> {
        let mut config = Self::load_section("", sources)?;
        config.sanitize();
        Ok(config)
    }

    /// Puts relative paths under `process.work_dir`.
    fn sanitize(&mut self) {
        if let Some(work_dir) = &self.process.work_dir {
            for path in [&mut self.wal.dir, &mut self.snapshot.dir, &mut self.log.file] {
                *path = work_dir.join(&*path);
            }
        }
    }

    /// Whether guest may do everything: no user is configured and every address is loopback.
    ///
    /// A right of the running process, never a row of `_priv`.
    pub fn guest_is_trusted(&self) -> bool {
        self.credentials.users.is_empty()
            && self.iproto.listen.iter().all(|address| address.ip().to_canonical().is_loopback())
    }
}

impl Default for Config {
    /// Every option at its default.
    fn default() -> Self {
        Self::from_sources(&Sources::default()).expect("a test checks every default")
    }
}

#[cfg(test)]
mod tests;

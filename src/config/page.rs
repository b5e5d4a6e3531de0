//! `docs/config.md`, from the table.

use std::fmt::Write as _;

use super::options::OptionDef;

const HEAD: &str = "\
# Configuration

Written from the table of options, `src/config/table.rs`; a test keeps it fresh (`LYCOSA_BLESS=1` rewrites it).

An option is set in a YAML file (`--config FILE` or `LYCOSA_CONFIG`) by its path of keys, in the environment by
`LYCOSA_` and the path in capitals, or on the command line by the path with dashes:

```
iproto: {net_msg_max: 1000}          # in the file
LYCOSA_IPROTO_NET_MSG_MAX=1000       # in the environment
--iproto-net-msg-max 1000            # on the command line
```

The command line wins over the environment, the environment over the file. Lists are cut at commas there; maps are
written as YAML: `LYCOSA_CREDENTIALS_USERS='{app: {password: secret, roles: [super]}}'`. A key that does not exist or a
value that is not allowed ends the start with one line and exit code 1. So does an environment variable that begins
like an option of a section, `LYCOSA_WAL_...`, and is none.

Keys are those of Tarantool 3 where it has one; a Tarantool file that uses no others can be used as it is. With no
configuration at all the server listens on 127.0.0.1:3331, keeps its data in `data`, runs both applications, and guest
may do everything: that holds while no user is configured and every address is loopback, and it is a right of the
running process, not stored in the database. Otherwise guest has Tarantool's default rights.

Secrets never appear in the log or in error messages.
";

/// The page, one section of it for each section of the table.
pub fn page() -> String {
    let mut out = HEAD.to_owned();
    let mut section = None;
    for option in OptionDef::all() {
        let (above, _) = option.path.rsplit_once('.').unwrap_or(("", ""));
        if section != Some(above) {
            let title = if above.is_empty() { "top level" } else { above };
            let _ = write!(out, "\n## {title}\n");
            section = Some(above);
        }
        let _ = write!(out, "\n### {}\n\n{}\n\n", option.path, option.doc);
        let unit = match option.limits.unit {
            "" => String::new(),
            unit => format!(", in {unit}"),
        };
        let default = match option.default {
            "" => "none".to_owned(),
            default => format!("`{default}`"),
        };
        let _ = writeln!(out, "- allowed: {}{unit}\n- default: {default}", option.allowed);
        let _ = writeln!(out, "- `{}`, `--{}`", option.env, option.flag);
    }
    out
}

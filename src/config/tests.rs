use std::collections::HashSet;
use std::time::Duration;

use super::*;

/// Loads with arguments and environment written as words; `NAME=value` words in front are the environment.
fn load(words: &[&str]) -> Result<Config, ConfigError> {
    let env = words.iter().take_while(|word| !word.starts_with('-'));
    let env = env.map(|word| word.split_once('=').expect("NAME=value"));
    let env: Vec<_> = env.map(|(name, value)| (name.into(), value.into())).collect();
    let args = words[env.len()..].iter().map(|word| (*word).into());
    Config::load(std::iter::once("lycosa".into()).chain(args), env)
}

fn error(result: Result<Config, ConfigError>) -> String {
    let error = result.expect_err("this configuration must be refused");
    assert_eq!(error.exit_code(), 1);
    let text = error.to_string();
    assert!(!text.contains('\n'), "more than one line: {text}");
    text
}

#[test]
fn nothing_configured() {
    let config = load(&[]).unwrap();
    assert_eq!(config.iproto.listen, ["127.0.0.1:3331".parse().unwrap()]);
    assert_eq!(
        (config.wal.dir.to_str(), config.snapshot.dir.to_str()),
        (Some("data"), Some("data"))
    );
    assert_eq!(config.roles, [Role::Queue, Role::Authman]);
    assert_eq!(config.wal.mode, WalMode::Write);
    assert_eq!(config.snapshot.by.wal_size, 1_000_000_000_000_000_000);
    assert_eq!(config.roles_cfg.authman.session_lifetime, Duration::from_secs(604_800));
    assert!(config.iproto.threads.0 > 0);
    assert!(config.guest_is_trusted());
}

#[test]
fn guest_is_trusted_on_loopback_without_credentials_only() {
    let check = |yaml: &str, trusted: bool| {
        assert_eq!(Config::from_yaml(yaml).unwrap().guest_is_trusted(), trusted, "{yaml}");
    };
    check("", true);
    check("iproto: {listen: '[::1]:3331'}", true);
    check("iproto: {listen: '[::ffff:127.0.0.1]:3331'}", true);
    check("iproto: {listen: [{uri: '127.0.0.1:1'}, {uri: '127.9.9.9:2'}]}", true);
    check("iproto: {listen: [{uri: '127.0.0.1:1'}, {uri: '10.0.0.1:2'}]}", false);
    check("iproto: {listen: 3331}", false);
    check("iproto: {listen: '*:3331'}", false);
    check("credentials: {users: {app: {password: p}}}", false);
    check("credentials: {users: {guest: {roles: [super]}}}", false);
    check("credentials: {users: }", true);
}

#[test]
fn a_file_of_tarantool_3() {
    let config = Config::from_yaml(
        "
        credentials:
          users:
            app:
              password: 12345
              roles: [super]
              privileges:
              - permissions: [read, write]
                spaces: [t, u]
              - {permissions: [execute], universe: true, lua_call: [all]}
        iproto:
          listen:
          - uri: '127.0.0.1:3301'
          - uri: '127.0.0.1:3302'
          net_msg_max: 100
        wal: {mode: fsync, dir: /var/wal}
        snapshot: {count: 3, by: {interval: 0.5, wal_size: 1000}}
        memtx: {memory: 1073741824}
        log: {level: 7, to: file, file: l.log}
        process: {work_dir: /srv}
        database: {instance_uuid: 8a274925-a26d-47fc-9e1b-af88ce939412}
        roles: [authman]
        roles_cfg:
          authman:
            session_secret: s3cret
            facebook: {client_id: 17, client_secret: fbs}
            spaces: {user: {name: people}}
        ",
    )
    .unwrap();
    let user = &config.credentials.users["app"];
    assert_eq!(user.password, Some(Secret::new("12345")));
    assert_eq!(user.roles, [BuiltinRole::Super]);
    assert_eq!(user.privileges[0].permissions, [Permission::Read, Permission::Write]);
    assert_eq!(user.privileges[0].spaces, ["t", "u"]);
    assert!(user.privileges[1].universe);
    assert_eq!(config.iproto.listen.len(), 2);
    assert_eq!(config.iproto.net_msg_max, 100);
    assert_eq!(config.wal.dir.to_str(), Some("/var/wal"));
    assert_eq!(config.snapshot.dir.to_str(), Some("/srv/data"));
    assert_eq!(config.log.file.to_str(), Some("/srv/l.log"));
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.snapshot.by.interval, Duration::from_millis(500));
    assert!(config.database.instance_uuid.is_some());
    assert_eq!(config.roles, [Role::Authman]);
    let authman = &config.roles_cfg.authman;
    assert_eq!(authman.session_secret.as_ref().map(Secret::expose), Some("s3cret"));
    assert_eq!(authman.activation_secret, None);
    assert_eq!(authman.facebook.client_id, "17");
    assert_eq!(authman.spaces.0["user"], "people");
    let shown = format!("{config:?}");
    for secret in ["12345", "s3cret", "fbs"] {
        assert!(!shown.contains(secret), "Debug shows {secret}");
    }
}

#[test]
fn the_command_line_wins_over_the_environment_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yml");
    std::fs::write(&file, "wal: {max_size: 10, queue_max_size: 10}\nmemtx: {max_tuple_size: 100}")
        .unwrap();
    let file = file.to_str().unwrap();
    let config = load(&[
        "LYCOSA_WAL_MAX_SIZE=20",
        "LYCOSA_WAL_QUEUE_MAX_SIZE=20",
        "LYCOSA_CONFIG=/no/such/file",
        "--config",
        file,
        "--wal-max-size",
        "30",
    ])
    .unwrap();
    assert_eq!((config.wal.max_size, config.wal.queue_max_size), (30, 20));
    assert_eq!(config.memtx.max_tuple_size, 100);
}

#[test]
fn texts_of_environment_and_command_line() {
    let check = |words: &[&str], read: &dyn Fn(&Config) -> String, expected: &str| {
        assert_eq!(read(&load(words).unwrap()), expected, "{words:?}");
    };
    let listen = |config: &Config| format!("{:?}", config.iproto.listen);
    check(&["LYCOSA_IPROTO_LISTEN=[::1]:1, 127.0.0.1:2"], &listen, "[[::1]:1, 127.0.0.1:2]");
    check(&["LYCOSA_IPROTO_LISTEN=[{uri: '127.0.0.1:2'}]"], &listen, "[127.0.0.1:2]");
    check(&["--iproto-listen=localhost:0"], &listen, "[127.0.0.1:0]");
    check(&["--iproto-listen", "3301"], &listen, "[0.0.0.0:3301]");
    let roles = |config: &Config| format!("{:?}", config.roles);
    check(&["LYCOSA_ROLES="], &roles, "[]");
    check(&["--roles", "queue"], &roles, "[Queue]");
    let dir = |config: &Config| config.wal.dir.display().to_string();
    check(&["--wal-dir", "0x10"], &dir, "0x10");
    let users = |config: &Config| format!("{:?}", config.credentials.users.keys());
    check(&["LYCOSA_CREDENTIALS_USERS={a: {password: x}, b: }"], &users, "[\"a\", \"b\"]");
    let secret = |config: &Config| config.roles_cfg.authman.vk.client_secret.expose().to_owned();
    check(&["LYCOSA_ROLES_CFG_AUTHMAN_VK_CLIENT_SECRET=a: b"], &secret, "a: b");
    let threads = |config: &Config| config.iproto.threads.0.to_string();
    check(&["--iproto-threads", "3"], &threads, "3");
}

#[test]
fn bad_values_name_key_value_and_what_is_allowed() {
    let check = |yaml: &str, expected: &str| assert_eq!(error(Config::from_yaml(yaml)), expected);
    check(
        "wal: {mode: sometimes}",
        "wal.mode: \"sometimes\" is not allowed; one of: none, write, fsync",
    );
    check(
        "iproto: {net_msg_max: 1}",
        "iproto.net_msg_max: 1 is not allowed; an integer from 2 to 4294967295 (requests)",
    );
    check(
        "iproto: {net_msg_max: 2.5}",
        "iproto.net_msg_max: 2.5 is not allowed; an integer from 2 to 4294967295 (requests)",
    );
    check(
        "snapshot: {by: {interval: -1}}",
        "snapshot.by.interval: -1 is not allowed; a number from 0 to 3153600000 (seconds)",
    );
    check(
        "snapshot: {by: {interval: .nan}}",
        "snapshot.by.interval: .nan is not allowed; a number from 0 to 3153600000 (seconds)",
    );
    check(
        "iproto: {listen: [{uri: 'nowhere'}]}",
        "iproto.listen.1: \"nowhere\" is not allowed; host:port, a port, or a list of {uri: 'host:port'}",
    );
    check(
        "iproto: {listen: [{url: 'a'}]}",
        "iproto.listen.1.url: this key is not allowed; one of: uri",
    );
    check("wal: write", "wal: \"write\" is not allowed; a map of options");
    check("[1]", "(the file): a list is not allowed; a map of options");
    check("roles: [queu]", "roles.1: \"queu\" is not allowed; one of: queue, authman");
    check(
        "log: {level: 8}",
        "log.level: 8 is not allowed; one of: fatal, syserror, error, crit, warn, info, verbose, debug",
    );
    check(
        "credentials: {users: {a: {privileges: [{permissions: [raed]}]}}}",
        "credentials.users.a.privileges.1.permissions.1: \"raed\" is not allowed; \
         one of: read, write, execute, create, alter, drop, usage, session",
    );
    check(
        "credentials: {users: {ann: {roles: [juggler]}}}",
        "credentials.users.ann.roles.1: \"juggler\" is not allowed; \
         one of: public, replication, super",
    );
    check(
        "credentials: {users: {a: {password: [hunter2]}}}",
        "credentials.users.a.password: (hidden) is not allowed; text",
    );
    check(
        "credentials: {users: {guest: {password: hunter2}}}",
        "credentials.users.guest.password: (hidden) is not allowed; none: guest has no password",
    );
    check(
        "credentials: {users: {a: hunter2}}",
        "credentials.users.a: (hidden) is not allowed; a map with keys: password, roles, privileges",
    );
    check(
        "database: {instance_uuid: 00000000-0000-0000-0000-000000000000}",
        "database.instance_uuid: \"00000000-0000-0000-0000-000000000000\" is not allowed; \
         a UUID of 36 characters that is not nil",
    );
    assert_eq!(
        error(load(&["LYCOSA_CREDENTIALS_USERS={a: {password: hunter2}"])),
        "credentials.users: (hidden) is not allowed; a map from names to \
         {password, roles, privileges} (from LYCOSA_CREDENTIALS_USERS)",
    );
    assert_eq!(
        error(load(&["LYCOSA_WAL_MODE=sync"])),
        "wal.mode: \"sync\" is not allowed; one of: none, write, fsync (from LYCOSA_WAL_MODE)",
    );
    assert_eq!(
        error(load(&["--wal-mode", "sync"])),
        "wal.mode: \"sync\" is not allowed; one of: none, write, fsync (from --wal-mode)",
    );
}

#[test]
fn unknown_keys_suggest_the_nearest() {
    let check = |yaml: &str, expected: &str| assert_eq!(error(Config::from_yaml(yaml)), expected);
    check("wal: {mod: write}", "wal.mod: no such option; did you mean wal.mode?");
    check("iprotto: {listen: 1}", "iprotto: no such option; did you mean iproto?");
    check(
        "snapshot: {by: {intervall: 1}}",
        "snapshot.by.intervall: no such option; did you mean snapshot.by.interval?",
    );
    check("groups: {}", "groups: no such option");
    check("7: {}", "7: no such option");
    assert_eq!(
        error(load(&["LYCOSA_WAL_MODES=write"])),
        "LYCOSA_WAL_MODES: no such option; did you mean LYCOSA_WAL_MODE?",
    );
    assert_eq!(
        error(load(&["--iproto-lisen", "1"])),
        "--iproto-lisen: no such option; did you mean --iproto-listen?",
    );
    assert!(load(&["LYCOSA_PORT=tcp://10.0.0.1:3331", "LYCOSA_SERVICE_HOST=10.0.0.1"]).is_ok());
}

#[test]
fn files_that_cannot_be_used() {
    let check = |result: Result<Config, ConfigError>, start: &str| {
        let text = error(result);
        assert!(text.starts_with(start), "{text}");
    };
    check(load(&["--config", "/no/such/file"]), "/no/such/file: cannot be read: ");
    check(Config::from_yaml("a: [1"), "(text): is not YAML: ");
    check(Config::from_yaml("wal: {dir: a}\nwal: {dir: b}"), "(text): is not YAML: ");
    check(load(&["--wal-dir"]), "a value is required for '--wal-dir");
}

#[test]
fn help_names_every_option() {
    let Err(ConfigError::Shown(help)) = load(&["--help"]) else { panic!("help is shown") };
    for option in OptionDef::all() {
        assert!(help.contains(&format!("--{}", option.flag)), "{}", option.flag);
    }
}

#[test]
fn defaults_and_hostile_values_are_allowed() {
    for option in OptionDef::all() {
        for text in [option.default, option.hostile] {
            let refused = (option.check)(&(option.from_text)(text), &option.limits).err();
            assert!(refused.is_none(), "{}: {text}: {refused:?}", option.path);
        }
    }
}

#[test]
fn names_are_unique_and_documented() {
    let mut seen = HashSet::new();
    for option in OptionDef::all() {
        assert!(seen.insert(&option.flag) && seen.insert(&option.env), "{}", option.path);
        assert!(option.doc.ends_with('.'), "{}", option.path);
    }
}

#[test]
fn the_page_is_fresh() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/config.md");
    if std::env::var_os("LYCOSA_BLESS").is_some() {
        std::fs::write(file, page()).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(written == page(), "docs/config.md is stale; run this test with LYCOSA_BLESS=1");
}

//! The table of options.
//!
//! A row: documentation, name, type, default, limits and unit of a number, hostile value. Defaults and hostile values are
//! written as in the environment. A row without a default is a section.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

use super::choice::{LogFormat, LogLevel, LogTo, PasswordStrength, Role, TxnIsolation, WalMode};
use super::credentials::{SpaceNames, User};
use super::openid::OpenidProvider;
use super::options::options;
use super::scalar::{AlwaysOn, Secret, Threads};

options! {
    /// The whole configuration.
    struct Config {
        /// Sockets and requests.
        iproto: Iproto;
        /// The write ahead log.
        wal: Wal;
        /// Checkpoints.
        snapshot: Snapshot;
        /// The in-memory engine.
        memtx: Memtx;
        /// What requests may take.
        fiber: Fiber;
        /// What the server says about itself.
        log: Log;
        /// The process.
        process: Process;
        /// The database as a whole.
        database: Database;
        /// Users and their rights.
        credentials: Credentials;
        /// Applications to run.
        roles: Vec<Role> = "queue,authman", hostile "";
        /// Settings of the applications.
        roles_cfg: RolesCfg;
    }

    /// Sockets and requests.
    struct Iproto {
        /// Addresses to listen on. In the file a list of `{uri: 'host:port'}`, or a text; a port alone means every
        /// address of the machine. Port 0 takes a free one.
        listen: Vec<SocketAddr> = "127.0.0.1:3331", hostile "127.0.0.1:0";
        /// Requests of one connection that may be in work at once; reading from its socket stops at this number.
        net_msg_max: u64 = "768" [2 to 4294967295 "requests"], hostile "2";
        /// Size of a connection's read buffer.
        readahead: u64 = "16320" [128 to 2147483648 "bytes"], hostile "128";
        /// Threads that serve connections. Tarantool's default is 1.
        threads: Threads = "auto" [1 to 1000 "threads"], hostile "1";
        /// Connections open at once; further ones are closed at once. Not in Tarantool.
        connections_max: u64 = "20000" [1 to 1000000 "connections"], hostile "1";
        /// Greatest length of a request; a longer one closes its connection. Not in Tarantool, where it is 2 GiB.
        packet_bytes_max: u64 = "268435456" [1024 to 2147483648 "bytes"], hostile "1024";
    }

    /// The write ahead log.
    struct Wal {
        /// `none` keeps no log, `write` answers once the system has the rows, `fsync` once the disk has them.
        mode: WalMode = "write", hostile "fsync";
        /// Directory of the log files.
        dir: PathBuf = "data", hostile "data";
        /// Size at which a log file is closed and the next one begun.
        max_size: u64 = "268435456" [2 to 9223372036854775807 "bytes"], hostile "2";
        /// Bytes of rows that may wait to be written; writers wait when it is full. 0 is no limit.
        queue_max_size: u64 = "16777216" [0 to 9223372036854775807 "bytes"], hostile "1";
        /// Whether a start passes over what is damaged or missing in the files, with a line in the log for each, instead of
        /// refusing them. In Tarantool `force_recovery` of `box.cfg`.
        force_recovery: bool = "false", hostile "true";
    }

    /// Checkpoints.
    struct Snapshot {
        /// Directory of the snapshot files.
        dir: PathBuf = "data", hostile "data";
        /// Snapshots to keep; older ones are removed, and log files that none of them needs.
        count: u64 = "2" [1 to 9223372036854775807 "snapshots"], hostile "1";
        /// Megabytes (of 1048576 bytes) of a snapshot that are written in a second at most; none, or 0, is no limit.
        snap_io_rate_limit: Option<f64> = "" [0 to 1000000 "MB/s"], hostile "1000";
        /// When to take one.
        by: SnapshotBy;
    }

    /// When a checkpoint is taken.
    struct SnapshotBy {
        /// Time between checkpoints; 0 takes none by time.
        interval: Duration = "3600" [0 to 3153600000 "seconds"], hostile "0.001";
        /// Bytes of log files written since the last checkpoint at which the next one begins.
        wal_size: u64 = "1e18" [0 to 9223372036854775807 "bytes"], hostile "1";
    }

    /// The in-memory engine.
    struct Memtx {
        /// Memory for tuples and indexes. A write beyond it is refused; what removes tuples goes on. `box.cfg` can raise it.
        memory: u64 = "268435456" [33554432 to 9223372036854775807 "bytes"], hostile "33554432";
        /// Greatest size of a tuple.
        max_tuple_size: u64 = "1048576" [64 to 2147483648 "bytes"], hostile "64";
        /// Whether tuples and indexes are moved into huge pages once they are there, where the system allows it. Not in
        /// Tarantool.
        huge_pages: bool = "true", hostile "false";
    }

    /// What requests may take.
    struct Fiber {
        /// Time that a write of the journal may take before a warning is logged.
        too_long_threshold: Duration = "0.5" [0 to 3153600000 "seconds"], hostile "0.001";
    }

    /// What the server says about itself.
    struct Log {
        /// The least important message to write, by name or number (`fatal` is 0, `debug` is 7).
        level: LogLevel = "info", hostile "debug";
        /// Lines for people or JSON objects for programs.
        format: LogFormat = "plain", hostile "json";
        /// Where the log goes.
        to: LogTo = "stderr", hostile "file";
        /// The file, if the log goes to one.
        file: PathBuf = "lycosa.log", hostile "lycosa.log";
    }

    /// The process.
    struct Process {
        /// Directory that relative paths of this configuration start from; none is the current one.
        work_dir: Option<PathBuf> = "", hostile "";
    }

    /// The database as a whole.
    struct Database {
        /// UUID of this instance; none draws one when the database is created.
        instance_uuid: Option<Uuid> = "", hostile "";
        /// The transaction manager, which lets a transaction of a stream stay open. It is always on; Tarantool's default is
        /// `false`.
        use_mvcc_engine: AlwaysOn = "true", hostile "true";
        /// What transactions see of others that are not in the journal yet, unless BEGIN says otherwise.
        txn_isolation: TxnIsolation = "best-effort", hostile "read-confirmed";
        /// Time after which an open transaction is aborted, unless BEGIN says otherwise.
        txn_timeout: Duration = "3153600000" [0 to 3153600000 "seconds"], hostile "0.001";
    }

    /// Users and their rights.
    struct Credentials {
        /// Users by name, each `{password, roles, privileges}`. A privilege is `{permissions: [read, ...]}` with any of
        /// `universe`, `spaces`, `functions`, `sequences`, `lua_eval`, `lua_call`, `sql`. Roles are those that every
        /// database has; others are granted in the database.
        users: BTreeMap<String, User> = "", hostile "";
    }

    /// Settings of the applications.
    struct RolesCfg {
        /// The queue.
        queue: Queue;
        /// Accounts and login.
        authman: Authman;
    }

    /// Settings of the queue with which the process begins; `queue.cfg` changes them.
    struct Queue {
        /// Time for which a session without connections holds its tasks.
        ttr: Duration = "0" [0 to 3153600000 "seconds"], hostile "0.001";
        /// Sessions and what they hold are kept in the files and outlive the process by `ttr`; temporary tubes cannot be.
        in_replicaset: bool = "false", hostile "true";
    }

    /// Settings of accounts and login.
    struct Authman {
        /// Secret in activation codes; none draws one, which the database keeps.
        activation_secret: Option<Secret> = "", hostile "";
        /// Secret in the signature of login sessions; none draws one, which the database keeps.
        session_secret: Option<Secret> = "", hostile "";
        /// Secret in restore tokens; none draws one, which the database keeps.
        restore_secret: Option<Secret> = "", hostile "";
        /// Life of a login session.
        session_lifetime: Duration = "604800" [0 to 3153600000 "seconds"], hostile "0";
        /// A login session with less than this left is renewed when it is checked.
        session_update_timedelta: Duration = "172800" [0 to 3153600000 "seconds"], hostile "0";
        /// Login sessions that a user may have; of more than these those are removed that end first. Not in the Lua
        /// application.
        sessions_max: u64 = "1000" [1 to 4294967295 "sessions"], hostile "1";
        /// Time after which a social login session reads the profile from its provider again.
        social_check_time: Duration = "86400" [0 to 3153600000 "seconds"], hostile "0";
        /// Time for a whole request to a provider.
        request_timeout: Duration = "3" [0 to 3600 "seconds"], hostile "0.001";
        /// Greatest length of a provider's answer. Not in the Lua application.
        response_bytes_max: u64 = "1048576" [1 to 1073741824 "bytes"], hostile "1";
        /// Requests to one provider at once; further ones wait within their time. Not in the Lua application.
        requests_max: u64 = "64" [1 to 65536 "requests"], hostile "1";
        /// Applications of the OAuth2 server that a user may have; the first one may always be made.
        oauth_max_apps: u64 = "10" [0 to 4294967295 "applications"], hostile "0";
        /// How strong passwords must be.
        password_strength: PasswordStrength = "common", hostile "nightmare";
        /// How passwords are kept. Not in the Lua application.
        passwords: Passwords;
        /// Codes that people get by email. Not in the Lua application.
        codes: Codes;
        /// How often wrong passwords, codes and tokens may be tried. Not in the Lua application.
        attempts: Attempts;
        /// What has expired is removed. Not in the Lua application.
        expiration: Expiration;
        /// Names of the spaces by their keys, each `{name}`; those left out keep the name of the Lua application.
        spaces: SpaceNames = "", hostile "";
        /// Providers by name, OpenID Connect or OAuth2. One named as a ready entry (`google`, `github`, `gitlab`,
        /// `microsoft`, `apple`, `yandex`, `vkid`), or with `ready`, needs `client_id`, `client_secret` and `redirect_uri`
        /// alone; others need an `issuer`, or `endpoints`. A provider named `facebook`, `google` or `vk` takes the place of the
        /// section of that name. Not in the Lua application.
        providers: BTreeMap<String, OpenidProvider> = "", hostile "";
        /// Time from `auth.social_auth_url` to `auth.social_auth` after which a state is not taken any more. Not in the Lua
        /// application.
        state_lifetime: Duration = "600" [0 to 3153600000 "seconds"], hostile "0";
        /// States that wait to come back; of more than these the oldest are forgotten. Each counts for its address, see
        /// `attempts.per_address_max`. Not in the Lua application.
        states_max: u64 = "100000" [1 to 4294967295 "states"], hostile "1";
        /// Difference between our clock and a provider's that times in ID tokens may show. Not in the Lua application.
        clock_skew: Duration = "60" [0 to 3600 "seconds"], hostile "0";
        /// Time between two requests for a provider's keys because an ID token names one that is not among them. Not in the
        /// Lua application.
        jwks_refetch_interval: Duration = "30" [0 to 86400 "seconds"], hostile "86400";
        /// Login with Facebook.
        facebook: Provider;
        /// Login with Google.
        google: Provider;
        /// Login with VK.
        vk: Provider;
    }

    /// How passwords are kept.
    struct Passwords {
        /// New ones are kept as the Lua application keeps them, for a database that it opens too. Otherwise with argon2id, and
        /// older ones are changed at the next login.
        legacy: bool = "false", hostile "true";
        /// Greatest length of a password.
        bytes_max: u64 = "1024" [8 to 65536 "bytes"], hostile "8";
        /// Memory that argon2id takes for one password.
        argon2_memory: u64 = "19922944" [8192 to 1073741824 "bytes"], hostile "8192";
        /// Passes of argon2id over its memory.
        argon2_iterations: u64 = "2" [1 to 1024 "passes"], hostile "1";
        /// Passwords that are hashed or verified at once; further ones wait, 64 times as many at the most.
        hashes_max: u64 = "2" [1 to 1024 "passwords"], hostile "1";
    }

    /// Codes that people get by email.
    struct Codes {
        /// Codes are those of the Lua application, for a database that it opens too: a user's activation code is always the
        /// same, restore tokens are stored as they are, and neither expires. Otherwise both come from a secret and random
        /// bytes, only the latter are stored, and both expire.
        legacy: bool = "false", hostile "true";
        /// Time for which an activation code is taken.
        activation_lifetime: Duration = "86400" [1 to 3153600000 "seconds"], hostile "1";
        /// Time for which a restore token is taken.
        restore_lifetime: Duration = "3600" [1 to 3153600000 "seconds"], hostile "1";
    }

    /// How often wrong passwords, codes and tokens may be tried, and codes be asked for; 0 is without limit.
    struct Attempts {
        /// On one account from one address, in a window.
        max: u64 = "10" [0 to 4294967295 "attempts"], hostile "1";
        /// On one account from all addresses, in a window. An address from which a login has succeeded is not held to it.
        per_account_max: u64 = "100" [0 to 4294967295 "attempts"], hostile "1";
        /// From one address, on all accounts and on none, in a window. The address is that of the connection unless the call
        /// names one.
        per_address_max: u64 = "10000" [0 to 4294967295 "attempts"], hostile "1";
        /// The window.
        window: Duration = "600" [1 to 86400 "seconds"], hostile "1";
        /// Counts that are remembered; of more than these those are forgotten that were touched longest ago.
        entries_max: u64 = "100000" [16 to 4294967295 "counts"], hostile "16";
    }

    /// What has expired is removed.
    struct Expiration {
        /// Time between two passes over login sessions, codes and tokens; 0 makes none.
        interval: Duration = "60" [0 to 86400 "seconds"], hostile "1";
        /// Time for which codes of the OAuth2 server are kept after they have expired.
        oauth_codes_kept: Duration = "86400" [0 to 3153600000 "seconds"], hostile "0";
        /// Time for which tokens of the OAuth2 server are kept after the access token has expired: until then the refresh token
        /// is found.
        oauth_tokens_kept: Duration = "7776000" [0 to 3153600000 "seconds"], hostile "0";
    }

    /// An application registered with a provider of social login.
    struct Provider {
        /// The application's id.
        client_id: String = "", hostile "";
        /// The application's secret.
        client_secret: Secret = "", hostile "";
        /// Where the provider sends people back to.
        redirect_uri: String = "", hostile "";
        /// What to ask people's consent for; none is what the Lua application asks for. Not in the Lua application.
        scope: Option<String> = "", hostile "";
        /// Version of the provider's interface, `v2.8` or `5.62` for example; none is what the Lua application uses. Google
        /// has none. Not in the Lua application.
        api_version: Option<String> = "", hostile "";
        /// Whether a login is taken only with the state that `auth.social_auth_url` has made. Otherwise the application's own
        /// state goes to the provider, and is checked if the application gives it back. Not in the Lua application.
        check_state: bool = "false", hostile "true";
        /// Addresses in place of the provider's own.
        endpoints: Endpoints;
    }

    /// Addresses in place of a provider's own, for tests: `https://`, or `http://` to this machine.
    struct Endpoints {
        /// Address of the consent page. Not in the Lua application.
        consent_url: Option<String> = "", hostile "";
        /// Address that exchanges codes for tokens. Not in the Lua application.
        token_url: Option<String> = "", hostile "";
        /// Address of the profile. Not in the Lua application.
        profile_url: Option<String> = "", hostile "";
    }
}

//! The `lycosa` program: configuration, log, signals, exit codes. Subcommands are in [`lycosa::tools`].
//!
//! Exit codes of a server: 0 after SIGTERM or SIGINT, 1 for whatever keeps it from starting, with one line on stderr.

use std::process::ExitCode;
use std::sync::Arc;

use lycosa::config::{Config, ConfigError, LogFormat, LogTo, Role};
use lycosa::huge_pages::HugePages;
use lycosa::instance::Instance;
use lycosa::procs::Registry;
use lycosa::procs::authman::AuthmanModule;
use lycosa::procs::boxed::BoxModule;
use lycosa::procs::queue::Queue;
use lycosa::server::Server;
use lycosa::wal::disk::OsDisk;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(done) = lycosa::tools::run(std::env::args_os()) {
        return done;
    }
    let config = match Config::load(std::env::args_os(), std::env::vars_os()) {
        Ok(config) => config,
        Err(shown @ ConfigError::Shown { .. }) => {
            print!("{shown}");
            return ExitCode::from(shown.exit_code());
        }
        Err(error) => {
            eprintln!("lycosa: {error}");
            return ExitCode::from(error.exit_code());
        }
    };
    let done = start_log(&config).and_then(|level| run(&config, level));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("lycosa: {line}");
            ExitCode::FAILURE
        }
    }
}

/// Changes the least important level that is logged.
type LevelHandle = reload::Handle<LevelFilter, tracing_subscriber::Registry>;

/// Directs the log to where the configuration wants it.
fn start_log(config: &Config) -> Result<LevelHandle, String> {
    let (writer, is_terminal): (tracing_subscriber::fmt::writer::BoxMakeWriter, bool) =
        match config.log.to {
            LogTo::Stderr => {
                use std::io::IsTerminal as _;
                (
                    tracing_subscriber::fmt::writer::BoxMakeWriter::new(std::io::stderr),
                    std::io::stderr().is_terminal(),
                )
            }
            LogTo::File => {
                let path = &config.log.file;
                let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
                let file = file.map_err(|error| {
                    format!("can't open log.file '{}': {error}", path.display())
                })?;
                (tracing_subscriber::fmt::writer::BoxMakeWriter::new(file), false)
            }
        };
    let (level, handle) = reload::Layer::new(config.log.level.filter());
    let log = tracing_subscriber::fmt::layer().with_target(false).with_writer(writer);
    let log = log.with_ansi(is_terminal);
    let registry = tracing_subscriber::registry().with(level);
    match config.log.format {
        LogFormat::Plain => registry.with(log).init(),
        LogFormat::Json => registry.with(log.json()).init(),
    }
    Ok(handle)
}

fn run(config: &Config, level: LevelHandle) -> Result<(), String> {
    raise_descriptor_limit();
    let instance = Instance::open(config, Arc::new(OsDisk)).map_err(|error| error.to_string())?;
    // Entries were gathered and sorted, files were read.
    lycosa_thin::give_back();
    let _huge_pages = config.memtx.huge_pages.then(HugePages::start);
    instance.settings().on_log_level(move |wanted| {
        if let Err(error) = level.modify(|level| *level = wanted.filter()) {
            tracing::error!("can't change the level of the log: {error}");
        }
    });
    let instance = Arc::new(instance);
    if config.guest_is_trusted() {
        tracing::warn!(
            "guest may do everything: no credentials are configured and every address is loopback; \
             set credentials.users to end this"
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("can't start: {error}"))?;
    let registry = applications(config)?;
    let (server, signals) = runtime.block_on(async {
        let signals = Signals::new().map_err(|error| format!("can't handle signals: {error}"))?;
        registry.start(&instance).await.map_err(|error| error.to_string())?;
        let server = Server::start(&config.iproto, instance.clone(), registry)
            .map_err(|error| error.to_string())?;
        Ok::<_, String>((server, signals))
    })?;
    for address in server.addresses() {
        tracing::info!("listening on {address}");
    }
    tracing::info!("ready to accept requests");
    runtime.block_on(signals.until_stopped(&instance));
    server.stop();
    // Whoever was told that a write succeeded can rely on it: this only spares the next start some work.
    if let Err(error) = instance.close() {
        tracing::error!("can't close the journal: {error}");
    }
    tracing::info!("stopped");
    Ok(())
}

/// The applications that the configuration wants.
fn applications(config: &Config) -> Result<Registry, String> {
    let mut registry = Registry::default();
    registry.add(Arc::new(BoxModule));
    if config.roles.contains(&Role::Queue) {
        registry.add(Arc::new(Queue::new()));
    }
    if config.roles.contains(&Role::Authman) {
        let authman = AuthmanModule::new(&config.roles_cfg.authman)
            .map_err(|error| format!("can't make ready for requests of authman: {error}"))?;
        registry.add(Arc::new(authman));
    }
    Ok(registry)
}

/// Between two looks whether a snapshot is due, and two totals of what was counted.
const LOOK_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);

/// The signals that the server knows.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    checkpoint: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            checkpoint: signal(SignalKind::user_defined1())?,
        })
    }

    /// Takes snapshots on SIGUSR1 and when they are due, until SIGTERM or SIGINT comes.
    async fn until_stopped(mut self, instance: &Arc<Instance>) {
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return tracing::info!("SIGTERM: stopping"),
                _ = self.interrupt.recv() => return tracing::info!("SIGINT: stopping"),
                _ = self.checkpoint.recv() => {
                    instance.want_checkpoint();
                    checkpoint_if_due(instance);
                }
                now = look.tick() => {
                    instance.stat().tick(now.into_std());
                    if instance.is_backup_over() {
                        let instance = instance.clone();
                        tokio::task::spawn_blocking(move || instance.stop_backup());
                    }
                    checkpoint_if_due(instance);
                }
            }
        }
    }
}

/// Takes a snapshot on a thread of its own, if one is due.
fn checkpoint_if_due(instance: &Arc<Instance>) {
    if !instance.is_checkpoint_due() {
        return;
    }
    let instance = instance.clone();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = instance.checkpoint() {
            tracing::error!("can't take a snapshot: {error}");
        }
    });
}

/// Raises the limit of open files to what the system allows: every connection is one.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("can't raise the limit of open files: {error}");
    }
}

//! Names and arguments of procedures: any call of `box`, the queue or the accounts ends in values, an error, or a wait.
//!
//! Input: the name, a zero byte, the arguments as a MsgPack array.

#![no_main]

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use libfuzzer_sys::fuzz_target;
use lycosa::config::{Config, WalMode};
use lycosa::db::access::ADMIN;
use lycosa::instance::Instance;
use lycosa::procs::authman::AuthmanModule;
use lycosa::procs::boxed::BoxModule;
use lycosa::procs::queue::Queue;
use lycosa::procs::{Args, Context, Registry, Session};
use lycosa::wal::disk::faults::MemoryDisk;
use lycosa_proto::msgpack;
use tokio::runtime::{Builder, Runtime};

/// Calls change what is there: after so many everything begins anew.
const CALLS_MAX: u32 = 2000;

struct Server {
    runtime: Runtime,
    instance: Arc<Instance>,
    registry: Registry,
    calls: u32,
}

impl Server {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        // Only the directory is made; the files are in memory.
        let dir = std::env::temp_dir().join("lycosa-fuzz-call");
        let mut config = Config::default();
        config.wal.dir = dir.clone();
        config.snapshot.dir = dir;
        config.wal.mode = WalMode::None;
        let instance = Instance::open(&config, Arc::new(MemoryDisk::new())).expect("an instance");
        let instance = Arc::new(instance);
        let mut registry = Registry::default();
        registry.add(Arc::new(BoxModule));
        registry.add(Arc::new(Queue::new()));
        let authman = &mut config.roles_cfg.authman;
        // Where nobody listens.
        for provider in [&mut authman.facebook, &mut authman.google, &mut authman.vk] {
            let nowhere = || Some("http://127.0.0.1:1/".into());
            provider.endpoints.token_url = nowhere();
            provider.endpoints.profile_url = nowhere();
        }
        registry.add(Arc::new(AuthmanModule::new(authman).expect("what makes requests")));
        runtime.block_on(registry.start(&instance)).expect("they start");
        Self { runtime, instance, registry, calls: 0 }
    }

    fn call(&mut self, name: &str, args: &[u8]) {
        self.calls += 1;
        let session = Arc::new(Session::new(1, ([127, 0, 0, 1], 1).into(), [0; 32]));
        session.set_uid(ADMIN);
        let context =
            Context { instance: self.instance.clone(), session: session.clone(), stream: None };
        self.runtime.block_on(async {
            let Some(mut running) = self.registry.call(&context, name, Args::new(args)) else {
                return;
            };
            // One that waits is dropped, as it is when its connection ends.
            let done = poll_fn(|cx| match running.as_mut().poll(cx) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending => Poll::Ready(None),
            });
            match done.await {
                Some(Ok(values)) => {
                    let mut rest = values.bytes();
                    (0..values.count()).for_each(|_| {
                        msgpack::check(&mut rest).expect("values are well-formed");
                    });
                    assert!(rest.is_empty(), "and as many as are said");
                }
                Some(Err(error)) => assert!(!error.to_string().is_empty()),
                None => {}
            }
        });
        self.registry.on_disconnect(&self.instance, &session);
    }
}

thread_local! {
    static SERVER: RefCell<Server> = RefCell::new(Server::new());
}

fuzz_target!(|data: &[u8]| {
    let Some(end) = data.iter().position(|byte| *byte == 0) else { return };
    let (Ok(name), args) = (std::str::from_utf8(&data[..end]), &data[end + 1..]) else { return };
    if msgpack::check_all(args).is_err() || msgpack::read_array(&mut { args }).is_err() {
        return;
    }
    SERVER.with_borrow_mut(|server| {
        if server.calls == CALLS_MAX {
            *server = Server::new();
        }
        server.call(name, args);
    });
});

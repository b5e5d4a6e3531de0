//! Names of hosts are looked up by threads that may block, a few for each name: a name whose servers say nothing holds up
//! requests to that host alone.
//!
//! `localhost` is this machine, whatever the system's files or a server of names say: it is spoken to without TLS.
//!
//! Source: RFC 6761 section 6.3.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

/// Look-ups of one name at once.
const PER_NAME_MAX: usize = 2;

/// Asks the system for the addresses of a name.
pub(super) type LookUp = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// Looks names up.
#[derive(Clone)]
pub(super) struct Resolver {
    look_up: LookUp,
    /// The turns of each name that is being looked up.
    turns: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

/// A part in the turns of a name; the last one who has one forgets them.
struct Part {
    resolver: Resolver,
    name: String,
    turns: Arc<Semaphore>,
}

impl Resolver {
    pub(super) fn new(look_up: LookUp) -> Self {
        Self { look_up, turns: Arc::default() }
    }

    fn join(&self, name: &str) -> Part {
        let mut all = self.turns.lock();
        let turns =
            all.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(PER_NAME_MAX)));
        Part { resolver: self.clone(), name: name.to_owned(), turns: turns.clone() }
    }

    async fn addresses(self, name: String) -> io::Result<Vec<SocketAddr>> {
        if name.eq_ignore_ascii_case("localhost") {
            return Ok(vec![(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()]);
        }
        let part = self.join(&name);
        let turn = part.turns.clone().acquire_owned().await.expect("never closed");
        let work = move || {
            let found = (self.look_up)(&name);
            // Kept to the end even if nobody waits any more: the thread is not free before.
            drop((turn, part));
            found
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut all = self.resolver.turns.lock();
        // The map and this part have them.
        if Arc::strong_count(&self.turns) <= 2 {
            all.remove(&self.name);
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.clone().addresses(name.as_str().to_owned());
        Box::pin(async move {
            let addresses: Addrs = Box::new(found.await?.into_iter());
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(addresses)
        })
    }
}

/// Asks the system.
pub(super) fn look_up(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((name, 0).to_socket_addrs()?.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Look-ups of a name whose servers say nothing.
    static HUNG: AtomicUsize = AtomicUsize::new(0);

    fn names(name: &str) -> io::Result<Vec<SocketAddr>> {
        match name {
            "hung.example" => {
                HUNG.fetch_add(1, Ordering::Relaxed);
                loop {
                    std::thread::park();
                }
            }
            "good.example" => Ok(vec![([192, 0, 2, 1], 0).into()]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    #[test]
    fn a_name_that_hangs_holds_up_itself_alone() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(PER_NAME_MAX + 1)
            .build()
            .unwrap();
        let resolver = Resolver::new(names);
        runtime.block_on(async {
            for _ in 0..10 {
                tokio::spawn(resolver.clone().addresses("hung.example".to_owned()));
            }
            while HUNG.load(Ordering::Relaxed) < PER_NAME_MAX {
                tokio::task::yield_now().await;
            }
            let good = resolver.clone().addresses("good.example".to_owned()).await;
            assert_eq!(good.unwrap(), [([192, 0, 2, 1], 0).into()]);
            let none = resolver.clone().addresses("none.example".to_owned()).await;
            assert_eq!(none.unwrap_err().kind(), io::ErrorKind::NotFound);
            assert_eq!(HUNG.load(Ordering::Relaxed), PER_NAME_MAX);
            let names: Vec<_> = resolver.turns.lock().keys().cloned().collect();
            assert_eq!(names, ["hung.example"], "what is done is forgotten");
        });
        runtime.shutdown_background();
    }

    #[tokio::test]
    async fn localhost_is_this_machine() {
        let found = Resolver::new(names).addresses("LocalHost".to_owned()).await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
    }
}

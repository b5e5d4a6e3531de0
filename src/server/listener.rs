//! Listening sockets: accepting connections and sharing them out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lycosa_proto::err;
use lycosa_proto::iproto::write_error;

use super::worker::Job;
use super::{Phase, Shared};

/// Connections that the system keeps until they are accepted.
const BACKLOG: i32 = 1024;
/// How long to wait when the system has no more descriptors.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Opens a listening socket.
pub(super) fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Accepts until the server stops.
pub(super) async fn accept(shared: Arc<Shared>, socket: std::net::TcpListener) {
    let listener = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("can't listen: {error}"),
    };
    let mut phase = shared.phase.subscribe();
    loop {
        let accepted = tokio::select! {
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream)
                if shared.connections.load(Ordering::Relaxed) >= shared.limits.connections =>
            {
                refuse(&stream);
            }
            Ok(stream) => {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                shared.give(shared.balance.place(), Job::Connection(stream));
            }
            Err(error) => {
                // EMFILE and the like pass when connections close; a connection that is gone is nobody's concern.
                tracing::warn!("can't accept a connection: {error}");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// Tells a client that there is no room. One packet fits into a fresh socket's buffer: no waiting.
fn refuse(mut stream: &std::net::TcpStream) {
    use std::io::Write as _;
    tracing::warn!("too many connections, one was refused");
    let mut packet = Vec::new();
    write_error(&mut packet, 0, 0, &err!(SYSTEM, "Too many connections"));
    let _ = stream.write(&packet);
}

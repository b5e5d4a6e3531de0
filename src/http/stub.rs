//! A tiny HTTP server for tests: it answers each request as it is told and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a request.
pub(crate) enum Answer {
    /// Writes these bytes and closes.
    Bytes(Vec<u8>),
    /// Keeps the connection open and says nothing.
    Silence,
    /// Begins an answer and goes on byte by byte, without an end.
    Trickle,
}

impl Answer {
    /// An answer with a status and a body of known length.
    pub(crate) fn new(status: u16, body: &str) -> Self {
        Self::Bytes(
            format!(
                "HTTP/1.1 {status} Text\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len(),
            )
            .into(),
        )
    }
}

/// A running server. Its tasks end with the runtime of the test.
pub(crate) struct Stub {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    /// Starts a server; `answer` sees each request's head and body as one text.
    pub(crate) async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), requests.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(converse(socket, answer.clone(), seen.clone()));
            }
        });
        Self { address, requests }
    }

    /// The address of `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked so far, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }

    /// The request lines so far, without the version of HTTP.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |text: &String| text.lines().next().unwrap_or_default().to_owned();
        let lines = self.requests.lock().iter().map(line).collect::<Vec<_>>();
        lines.iter().map(|line| line.trim_end_matches(" HTTP/1.1").to_owned()).collect()
    }
}

async fn converse(
    mut socket: TcpStream,
    answer: Arc<impl Fn(&str) -> Answer + Send + Sync + 'static>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !is_whole(&text) {
        match socket.read(&mut buffer).await {
            Ok(len) if len > 0 => text.push_str(&String::from_utf8_lossy(&buffer[..len])),
            _ => return,
        }
    }
    let answer = answer(&text);
    seen.lock().push(text);
    match answer {
        // A client that has had enough closes first; that is its right.
        Answer::Bytes(bytes) => drop(socket.write_all(&bytes).await),
        Answer::Silence => std::future::pending().await,
        Answer::Trickle => {
            let mut sent = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while sent.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                sent = socket.write_all(b" ").await;
            }
        }
    }
}

/// Whether the head has ended and the body has the length that the head says.
fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let len = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    body.len() >= len.unwrap_or(0)
}

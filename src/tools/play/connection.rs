//! A connection to a server: requests out, replies in.
//!
//! A thread takes the replies off the socket as they come, so a server that answers while it is still being sent requests
//! is never blocked. Requests gather in a buffer until it is full, or until somebody waits for a reply.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use lycosa_proto::chap::{self, GREETING_BYTES};
use lycosa_proto::iproto::{Feature, Frame, STATUS_ERROR, frame, key, request_type};
use lycosa_proto::msgpack::{
    items, pairs, read_str, read_uint, take, write_array, write_map, write_str, write_uint,
};

use super::super::error::{Error, Result};

/// How long a server may take to accept and to greet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of requests that are written at a time.
const WRITE_BYTES: usize = 64 << 10;
/// Bytes that a reply may have.
const REPLY_BYTES_MAX: u64 = 1 << 30;
/// The version of the protocol that we speak.
const PROTOCOL_VERSION: u64 = 3;

/// Where a server listens: HOST:PORT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address(pub(super) String);

impl Address {
    /// None for what cannot be one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let is_address = !host.is_empty()
            && !host.contains('/')
            && port.parse::<u16>().is_ok_and(|port| port != 0);
        is_address.then(|| Self(text.to_owned()))
    }
}

/// What a server says to a request: the body of its reply, or an error.
pub(super) type Answer = std::result::Result<Vec<u8>, Refusal>;

/// An error of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Tarantool's code.
    pub(super) code: u64,
    /// The text.
    pub(super) text: String,
}

/// A reply.
#[derive(Debug)]
pub(super) struct Reply {
    /// Which request it answers.
    pub(super) sync: u64,
    /// What it says.
    pub(super) answer: Answer,
}

/// A connection.
pub(super) struct Connection {
    address: Address,
    socket: TcpStream,
    salt: [u8; chap::SALT_BYTES],
    /// Requests that are not written yet.
    out: Vec<u8>,
    /// The number of the last request.
    sync: u64,
    replies: Receiver<io::Result<Reply>>,
}

impl Connection {
    /// Connects and reads the greeting.
    pub(super) fn open(address: Address) -> Result<Self> {
        let connected = connect(&address.0).and_then(|mut socket| {
            let mut greeting = [0; GREETING_BYTES];
            socket.set_read_timeout(Some(CONNECT_TIMEOUT))?;
            socket.read_exact(&mut greeting)?;
            socket.set_read_timeout(None)?;
            let salt =
                chap::salt(&greeting).ok_or_else(|| invalid("no greeting of Tarantool's"))?;
            let (sender, replies) = channel();
            let mut incoming = Incoming { socket: socket.try_clone()?, bytes: Vec::new() };
            std::thread::Builder::new().name("replies".into()).spawn(move || {
                loop {
                    let reply = incoming.next();
                    let is_over = reply.is_err();
                    if sender.send(reply).is_err() || is_over {
                        return;
                    }
                }
            })?;
            Ok((socket, salt, replies))
        });
        match connected {
            Ok((socket, salt, replies)) => {
                Ok(Self { address, socket, salt, out: Vec::new(), sync: 0, replies })
            }
            Err(error) => Err(Error::Connection(address.0, error)),
        }
    }

    /// Logs in.
    pub(super) fn authenticate(&mut self, user: &str, password: &[u8]) -> Result<()> {
        let mut body = Vec::new();
        write_map(&mut body, 2);
        write_uint(&mut body, key::USER_NAME);
        write_str(&mut body, user);
        write_uint(&mut body, key::TUPLE);
        write_array(&mut body, 2);
        write_str(&mut body, "chap-sha1");
        write_str(&mut body, chap::scramble(password, &self.salt));
        match self.call(request_type::AUTH, &body)? {
            Ok(_) => Ok(()),
            Err(refusal) => Err(Error::Login(user.to_owned(), refusal.text)),
        }
    }

    /// Whether the server knows streams and transactions in them. Servers of before do not know the question.
    pub(super) fn has_transactions(&mut self) -> Result<bool> {
        let wanted = [Feature::STREAMS, Feature::TRANSACTIONS];
        let mut body = Vec::new();
        write_map(&mut body, 2);
        write_uint(&mut body, key::VERSION);
        write_uint(&mut body, PROTOCOL_VERSION);
        write_uint(&mut body, key::FEATURES);
        write_array(&mut body, wanted.len());
        wanted.iter().for_each(|feature| write_uint(&mut body, feature.0));
        let Ok(body) = self.call(request_type::ID, &body)? else { return Ok(false) };
        let features = pairs(&body).find(|(name, _)| is_key(name, key::FEATURES));
        let has = |wanted: &Feature| {
            let mut known = features.iter().flat_map(|(_, features)| items(features));
            known.any(|mut feature| read_uint(&mut feature) == Ok(wanted.0))
        };
        Ok(wanted.iter().all(has))
    }

    /// Sends a request; gives its number and its bytes.
    pub(super) fn send(&mut self, code: u64, stream: u64, body: &[u8]) -> Result<(u64, usize)> {
        self.sync += 1;
        let start = self.out.len();
        // The length, once it is known.
        self.out.extend_from_slice(&[0xce, 0, 0, 0, 0]);
        write_map(&mut self.out, if stream == 0 { 2 } else { 3 });
        write_uint(&mut self.out, key::REQUEST_TYPE);
        write_uint(&mut self.out, code);
        write_uint(&mut self.out, key::SYNC);
        write_uint(&mut self.out, self.sync);
        if stream != 0 {
            write_uint(&mut self.out, key::STREAM_ID);
            write_uint(&mut self.out, stream);
        }
        self.out.extend_from_slice(body);
        let bytes = self.out.len() - start;
        let len = (bytes - 5) as u32;
        self.out[start + 1..start + 5].copy_from_slice(&len.to_be_bytes());
        if self.out.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok((self.sync, bytes))
    }

    /// A reply that has come; None if there is none yet.
    pub(super) fn try_receive(&mut self) -> Result<Option<Reply>> {
        self.replies.try_recv().ok().transpose().map_err(|error| self.lost(error))
    }

    /// The next reply.
    pub(super) fn receive(&mut self) -> Result<Reply> {
        self.flush()?;
        let reply = self.replies.recv().unwrap_or_else(|_| Err(invalid("it was closed before")));
        reply.map_err(|error| self.lost(error))
    }

    /// Sends one request and waits for its reply.
    fn call(&mut self, code: u64, body: &[u8]) -> Result<Answer> {
        self.send(code, 0, body)?;
        Ok(self.receive()?.answer)
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.socket.write_all(&self.out);
        self.out.clear();
        written.map_err(|error| self.lost(error))
    }

    fn lost(&self, error: io::Error) -> Error {
        Error::Connection(self.address.0.clone(), error)
    }
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = invalid("the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What comes from the server.
struct Incoming {
    socket: TcpStream,
    /// What has come and was not taken yet.
    bytes: Vec<u8>,
}

impl Incoming {
    /// The next reply.
    fn next(&mut self) -> io::Result<Reply> {
        let mut chunk = [0; 16 << 10];
        loop {
            match frame(&self.bytes, REPLY_BYTES_MAX) {
                Ok(Frame::Complete { head, total }) => {
                    let reply = parse(&self.bytes[head..total]);
                    self.bytes.drain(..total);
                    return reply.ok_or_else(|| invalid("a reply that nobody understands"));
                }
                Ok(Frame::Incomplete { .. }) => match self.socket.read(&mut chunk)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => self.bytes.extend_from_slice(&chunk[..count]),
                },
                Err(_) => return Err(invalid("a reply whose length is none")),
            }
        }
    }
}

fn is_key(mut name: &[u8], key: u64) -> bool {
    read_uint(&mut name) == Ok(key)
}

/// Reads a reply: header and body.
fn parse(packet: &[u8]) -> Option<Reply> {
    let mut rest = packet;
    let header = take(&mut rest).ok()?;
    let value = |map: &[u8], key| {
        let (_, mut value) = pairs(map).find(|(name, _)| is_key(name, key))?;
        read_uint(&mut value).ok()
    };
    let status = value(header, key::REQUEST_TYPE)?;
    let sync = value(header, key::SYNC)?;
    if status & u64::from(STATUS_ERROR) == 0 {
        return Some(Reply { sync, answer: Ok(rest.to_vec()) });
    }
    let text = pairs(rest).find(|(name, _)| is_key(name, key::ERROR_24));
    let text = text.and_then(|(_, mut text)| read_str(&mut text).ok()).unwrap_or_default();
    let text = String::from_utf8_lossy(text).into_owned();
    let code = status & !u64::from(STATUS_ERROR);
    Some(Reply { sync, answer: Err(Refusal { code, text }) })
}

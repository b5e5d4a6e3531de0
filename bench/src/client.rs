//! A plain blocking client for what is not measured: greeting, schema, loading rows.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

use crate::error::Error;
use crate::iproto::GREETING_SIZE;
use crate::reply;
use crate::request::{Builder, Template};

/// How long one reply may take before the server counts as stuck.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);
/// Requests sent before their replies are read, few enough for the socket buffers of both sides.
const PIPELINE: u32 = 128;
/// Room for what one read brings.
const READ_BYTES: usize = 16 * 1024;

/// A connection that asks one thing at a time.
pub(crate) struct Client {
    /// The socket.
    stream: TcpStream,
    /// The first line the server sent: its product, version and instance.
    greeting: String,
    /// What was read and not parsed yet.
    input: Vec<u8>,
    /// Sync of the last request of `ask`.
    sync: u32,
}

impl Client {
    /// Connects and reads the greeting.
    pub(crate) fn connect(address: &str) -> Result<Self, Error> {
        Self::connect_patiently(address, REPLY_TIMEOUT)
    }

    /// The same, for replies that may take so long.
    pub(crate) fn connect_patiently(address: &str, timeout: Duration) -> Result<Self, Error> {
        let failed = |cause| Error::io(format!("connecting to {address}"), cause);
        let mut stream = TcpStream::connect(address).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(timeout)).map_err(failed)?;
        let mut greeting = [0; GREETING_SIZE];
        let no_greeting = || Error::Greeting { address: address.to_owned() };
        stream.read_exact(&mut greeting).map_err(|cause| match cause.kind() {
            ErrorKind::UnexpectedEof => no_greeting(),
            _ => failed(cause),
        })?;
        let line = greeting.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let greeting = String::from_utf8_lossy(line).trim_end().to_owned();
        if !greeting.contains("(Binary)") {
            return Err(no_greeting());
        }
        Ok(Self { stream, greeting, input: Vec::new(), sync: 0 })
    }

    /// The first line of the greeting.
    pub(crate) fn greeting(&self) -> &str {
        &self.greeting
    }

    /// Gives the socket away, ready for requests.
    pub(crate) fn into_stream(self) -> TcpStream {
        assert!(self.input.is_empty(), "every reply was read");
        self.stream
    }

    /// Sends one request and returns the body of its reply. `what` names it in errors.
    pub(crate) fn ask(&mut self, what: &str, request: Builder) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        self.sync = self.sync.wrapping_add(1);
        request.finish().append(&mut out, self.sync, 0);
        self.send(what, &out)?;
        self.receive(what, self.sync)
    }

    /// Sends one request for each of `keys`.
    pub(crate) fn load(
        &mut self,
        what: &str,
        request: &Template,
        keys: Range<u32>,
    ) -> Result<(), Error> {
        let mut out = Vec::new();
        for first in keys.clone().step_by(PIPELINE as usize) {
            let batch = first..keys.end.min(first + PIPELINE);
            out.clear();
            batch.clone().for_each(|key| request.append(&mut out, key, key));
            self.send(what, &out)?;
            for key in batch {
                self.receive(what, key)?;
            }
        }
        Ok(())
    }

    /// Writes all of `bytes`.
    fn send(&mut self, what: &str, bytes: &[u8]) -> Result<(), Error> {
        self.stream.write_all(bytes).map_err(|cause| Error::io(format!("sending {what}"), cause))
    }

    /// Reads the reply to the request with `sync`, which must be the next; returns its body.
    fn receive(&mut self, what: &str, sync: u32) -> Result<Vec<u8>, Error> {
        let failed = |cause| Error::io(format!("waiting for the reply to {what}"), cause);
        loop {
            if let Some(reply) = reply::parse(&self.input)? {
                let answer = match reply.error(what) {
                    Some(error) => Err(error),
                    None if reply.sync == u64::from(sync) => Ok(reply.body.to_vec()),
                    None => Err(Error::Unexpected {
                        request: what.to_owned(),
                        problem: format!("sync {} instead of {sync}", reply.sync),
                    }),
                };
                let frame_size = reply.frame_size;
                self.input.drain(..frame_size);
                return answer;
            }
            let mut chunk = [0; READ_BYTES];
            match self.stream.read(&mut chunk).map_err(failed)? {
                0 => return Err(Error::Closed { in_flight: 1 }),
                count => self.input.extend_from_slice(&chunk[..count]),
            }
        }
    }
}

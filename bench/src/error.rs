//! What can go wrong, each with what a person needs to act on it.

use std::fmt;
use std::io;

use crate::iproto;

/// Why a run stopped.
#[derive(Debug)]
pub(crate) enum Error {
    /// The operating system refused something.
    Io {
        /// What was being done, as in "connecting to 127.0.0.1:3301".
        doing: String,
        /// Its answer.
        cause: io::Error,
    },
    /// What listens there does not greet as an IPROTO server does.
    Greeting {
        /// Where.
        address: String,
    },
    /// The server answered a request with an error.
    Refused {
        /// The request, as in "replace" or "CALL queue.create_tube".
        request: String,
        /// Tarantool's error code.
        code: u32,
        /// The server's words.
        message: String,
    },
    /// A reply is not valid IPROTO.
    Malformed {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A reply is valid and not an answer to what was asked.
    Unexpected {
        /// The request.
        request: String,
        /// How the reply differs from what must come.
        problem: String,
    },
    /// The server closed a connection that had requests in flight.
    Closed {
        /// Requests not answered on that connection.
        in_flight: usize,
    },
    /// No reply on any connection for a long time.
    Stalled {
        /// How long nothing came.
        seconds: u64,
        /// Requests not answered.
        in_flight: usize,
    },
}

impl Error {
    /// An operating system error with what was being done.
    pub(crate) fn io(doing: impl Into<String>, cause: io::Error) -> Self {
        Self::Io { doing: doing.into(), cause }
    }

    /// Whether the server does not know the procedure that was called.
    pub(crate) fn is_no_such_procedure(&self) -> bool {
        matches!(self, Self::Refused { code: iproto::ER_NO_SUCH_PROC, .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, cause } => write!(f, "{doing}: {cause}"),
            Self::Greeting { address } => {
                write!(f, "{address} did not send an IPROTO greeting; is it a database port?")
            }
            Self::Refused { request, code, message } => {
                write!(f, "the server refused {request}: error {code}, {message}")
            }
            Self::Malformed { problem } => write!(f, "malformed reply: {problem}"),
            Self::Unexpected { request, problem } => {
                write!(f, "wrong reply to {request}: {problem}")
            }
            Self::Closed { in_flight } => {
                write!(f, "the server closed a connection with {in_flight} requests in flight")
            }
            Self::Stalled { seconds, in_flight } => {
                write!(f, "no reply for {seconds} seconds with {in_flight} requests in flight")
            }
        }
    }
}

impl std::error::Error for Error {}

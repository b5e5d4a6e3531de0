//! Requests to other HTTP servers: bounded, timed, without surprises.
//!
//! One [`Http`] holds the connections; a [`Channel`] adds the limits for one destination: time for a whole request, size
//! of an answer, requests at once. Always holds: no redirect is followed, no proxy of the environment is used, no
//! certificate goes unchecked, and nothing but loopback is spoken to without TLS. Queries, forms and bodies may carry
//! secrets, so errors name the scheme and host of an address only.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Url, redirect};
use tokio::sync::Semaphore;

#[cfg(test)]
pub(crate) mod stub;

/// Time for a connection and its TLS handshake; a channel's own time may be shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a channel allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time for a whole request: waiting for its turn, connecting, sending, reading the answer.
    pub request_timeout: Duration,
    /// Greatest length of an answer's body.
    pub response_bytes_max: u64,
    /// Requests at once; further ones wait within their time.
    pub requests_max: usize,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The address does not parse or is not HTTP.
    BadUrl(String),
    /// The address is `http://` and not on this machine; it names scheme and host.
    Insecure(String),
    /// The request took longer than its time.
    Timeout(Duration),
    /// No connection: name unknown, refused, TLS failed.
    Connect(String),
    /// The answer's body is longer than this.
    TooLong(u64),
    /// What came is not HTTP, or ended early.
    Protocol(String),
    /// The answer came with a status that is not 200.
    Status(u16),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl(cause) => write!(f, "not an address of HTTP: {cause}"),
            Self::Insecure(origin) => {
                write!(f, "{origin}: https is required unless the host is on this machine")
            }
            Self::Timeout(limit) => write!(f, "no answer within {limit:?}"),
            Self::Connect(cause) => write!(f, "no connection: {cause}"),
            Self::TooLong(max) => write!(f, "the answer is longer than {max} bytes"),
            Self::Protocol(cause) => write!(f, "the answer is broken: {cause}"),
            Self::Status(status) => write!(f, "the answer has status {status}"),
        }
    }
}

impl std::error::Error for HttpError {}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status of HTTP.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Response {
    /// The body, if the status is exactly 200.
    pub fn ok(self) -> Result<Vec<u8>, HttpError> {
        if self.status == 200 { Ok(self.body) } else { Err(HttpError::Status(self.status)) }
    }
}

/// Names and values of a query or a form.
pub type Params<'a> = [(&'a str, &'a str)];

/// The shared client: connections and TLS sessions.
#[derive(Clone, Debug)]
pub struct Http(Client);

impl Http {
    /// A client without connections.
    pub fn new() -> Result<Self, HttpError> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("lycosa/", env!("CARGO_PKG_VERSION")))
            .build();
        client.map(Self).map_err(|e| HttpError::Connect(cause(&e)))
    }

    /// A way to one destination, with limits of its own.
    pub fn channel(&self, limits: Limits) -> Channel {
        let turns = Arc::new(Semaphore::new(limits.requests_max.min(Semaphore::MAX_PERMITS)));
        Channel { client: self.0.clone(), limits, turns }
    }
}

/// A way to one destination. Clones share the limits.
#[derive(Clone, Debug)]
pub struct Channel {
    client: Client,
    limits: Limits,
    /// One permit for each request at once.
    turns: Arc<Semaphore>,
}

impl Channel {
    /// Asks for `url` with `query` appended, encoded.
    pub async fn get(&self, url: &str, query: &Params<'_>) -> Result<Response, HttpError> {
        self.send(self.client.get(checked(url)?).query(query)).await
    }

    /// Sends `form`, encoded, to `url`.
    pub async fn post_form(&self, url: &str, form: &Params<'_>) -> Result<Response, HttpError> {
        self.send(self.client.post(checked(url)?).form(form)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, HttpError> {
        let exchange = async {
            let _turn = self.turns.acquire().await.expect("the semaphore is never closed");
            self.exchange(request).await
        };
        let limit = self.limits.request_timeout;
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(HttpError::Timeout(limit)))
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Response, HttpError> {
        let mut response = request.send().await.map_err(|e| self.error(&e))?;
        let status = response.status().as_u16();
        let max = self.limits.response_bytes_max;
        if response.content_length().is_some_and(|len| len > max) {
            return Err(HttpError::TooLong(max));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.error(&e))? {
            if (body.len() + chunk.len()) as u64 > max {
                return Err(HttpError::TooLong(max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status, body })
    }

    fn error(&self, error: &reqwest::Error) -> HttpError {
        match error {
            e if e.is_timeout() => {
                HttpError::Timeout(CONNECT_TIMEOUT.min(self.limits.request_timeout))
            }
            e if e.is_connect() => HttpError::Connect(cause(e)),
            e if e.is_builder() => HttpError::BadUrl(cause(e)),
            e => HttpError::Protocol(cause(e)),
        }
    }
}

/// The innermost cause, which unlike the error itself names no address.
fn cause(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.last().map_or_else(String::new, ToString::to_string)
}

/// `url` with `query` appended; the query of `url` itself stays in front.
///
/// Encodes what would change the meaning of a query and leaves `:`, `/`, `?`, `,` and the like readable.
pub fn url_with(url: &str, query: &Params<'_>) -> String {
    let mut out = url.to_owned();
    for (place, (name, value)) in query.iter().enumerate() {
        out.push(if place > 0 || url.contains('?') { '&' } else { '?' });
        encode(&mut out, name);
        out.push('=');
        encode(&mut out, value);
    }
    out
}

/// Source: RFC 3986 section 3.4, without `&`, `=`, `+` and `;`, which have a meaning inside queries.
fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || b"-._~:@/?!$'()*,".contains(&b) => out.push(b.into()),
            b => out.extend(['%', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]),
        }
    }
}

const HEX: [char; 16] =
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];

/// Parses an address that may be spoken to.
fn checked(url: &str) -> Result<Url, HttpError> {
    let url = Url::parse(url).map_err(|e| HttpError::BadUrl(e.to_string()))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(HttpError::Insecure(url.origin().ascii_serialization())),
        scheme => Err(HttpError::BadUrl(format!("scheme {scheme}"))),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;

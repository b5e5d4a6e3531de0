//! Requests to other HTTP servers: bounded, timed, without surprises.
//!
//! One [`Http`] holds the connections; a [`Channel`] adds the limits for one destination: time for a whole request, size
//! of an answer, requests at once. All of it runs on a thread of its own, `http`, so that neither handshakes nor long
//! answers take time from who serves the database; whoever asks awaits the answer on its own thread. Always holds: no
//! redirect is followed, no proxy of the environment is used, no certificate goes unchecked, and nothing but loopback is
//! spoken to without TLS. A request that is not idempotent is sent once more only if it cannot have arrived. Queries,
//! forms, headers and bodies may carry secrets, so errors name the scheme and host of an address only.

mod metrics;
mod resolver;
#[cfg(test)]
pub(crate) mod stub;
mod url;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, header, redirect};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

pub use metrics::{Counted, Metrics};
pub use url::{check, form_encoded, url_with};

use resolver::Resolver;
use url::checked;

/// Time for a connection and its TLS handshake; a channel's own time may be shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time that a connection is kept for the next request. Shorter than servers keep theirs, so that a request which cannot
/// be sent twice does not meet a connection that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// Time between the two attempts of a request that is repeated.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Threads that look up names, which may block. They are made when there is something to do.
const RESOLVERS_MAX: usize = 64;

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

impl HttpError {
    /// The word that metrics have for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BadUrl(_) => "url",
            Self::Insecure(_) => "insecure",
            Self::Timeout(_) => "timeout",
            Self::Connect(_) => "connect",
            Self::TooLong(_) => "too_long",
            Self::Protocol(_) => "protocol",
            Self::Status(_) => "status",
        }
    }
}

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

/// Who a request says that it comes from.
#[derive(Clone, Copy)]
pub enum Authorization<'a> {
    /// A name and a password, both as they are.
    Basic(&'a str, &'a str),
    /// A scheme of one word, `Bearer` for example, and a token.
    Token(&'a str, &'a str),
}

/// A request to make.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The address.
    pub url: &'a str,
    /// Parameters to append to the address, encoded.
    pub query: &'a Params<'a>,
    /// The parameters of a POST, encoded; none makes it a GET.
    pub form: Option<&'a Params<'a>>,
    /// The header of that name.
    pub authorization: Option<Authorization<'a>>,
    /// Whether it does no harm to send it twice.
    pub is_idempotent: bool,
}

impl<'a> Request<'a> {
    /// A GET that must not be sent twice.
    pub fn get(url: &'a str) -> Self {
        Self { url, query: &[], form: None, authorization: None, is_idempotent: false }
    }
}

/// The shared client: connections, TLS sessions, the thread that serves them.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    thread: Arc<Thread>,
}

/// The runtime of the thread; it ends without waiting for anybody.
#[derive(Debug)]
struct Thread(Option<Runtime>);

impl Drop for Thread {
    fn drop(&mut self) {
        self.0.take().expect("taken here only").shutdown_background();
    }
}

impl Http {
    /// A client without connections.
    pub fn new() -> Result<Self, HttpError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(RESOLVERS_MAX)
            .thread_name("http")
            .enable_all()
            .build();
        let runtime = runtime.map_err(|e| HttpError::Connect(e.to_string()))?;
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Resolver::new(resolver::look_up)))
            .user_agent(concat!("lycosa/", env!("CARGO_PKG_VERSION")))
            .build();
        let client = client.map_err(|e| HttpError::Connect(cause(&e)))?;
        Ok(Self { client, thread: Arc::new(Thread(Some(runtime))) })
    }

    /// A way to one destination, with limits of its own.
    pub fn channel(&self, limits: Limits) -> Channel {
        let turns = Arc::new(Semaphore::new(limits.requests_max.min(Semaphore::MAX_PERMITS)));
        Channel { http: self.clone(), limits, turns, metrics: Arc::default() }
    }

    /// Runs `work` on the thread; it is given up when the future is dropped.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, HttpError>> + Send + 'static,
    ) -> Result<T, HttpError> {
        let runtime = self.thread.0.as_ref().expect("taken at the end only");
        let mut task = Task(runtime.spawn(work));
        let ended = |e: tokio::task::JoinError| Err(HttpError::Protocol(e.to_string()));
        (&mut task.0).await.unwrap_or_else(ended)
    }
}

/// What runs on the thread for somebody who waits.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A way to one destination. Clones share the limits.
#[derive(Clone, Debug)]
pub struct Channel {
    http: Http,
    limits: Limits,
    /// One permit for each request at once.
    turns: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Channel {
    /// Asks for `url` with `query` appended, encoded.
    pub async fn get(&self, url: &str, query: &Params<'_>) -> Result<Response, HttpError> {
        self.send(&Request { query, ..Request::get(url) }).await
    }

    /// Sends `form`, encoded, to `url`.
    pub async fn post_form(&self, url: &str, form: &Params<'_>) -> Result<Response, HttpError> {
        self.send(&Request { form: Some(form), ..Request::get(url) }).await
    }

    /// What was counted of the requests of this channel.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Makes a request and gives whatever answer comes.
    pub async fn send(&self, request: &Request<'_>) -> Result<Response, HttpError> {
        let _flight = self.metrics.begin();
        let result = match self.build(request) {
            Ok(built) => {
                let (channel, is_idempotent) = (self.clone(), request.is_idempotent);
                self.http.run(async move { channel.in_time(built, is_idempotent).await }).await
            }
            Err(error) => Err(error),
        };
        match &result {
            Ok(response) if response.status == 200 => {}
            Ok(response) => self.metrics.count_error(HttpError::Status(response.status).kind()),
            Err(error) => self.metrics.count_error(error.kind()),
        }
        result
    }

    fn build(&self, request: &Request<'_>) -> Result<reqwest::Request, HttpError> {
        let (client, url) = (&self.http.client, checked(request.url)?);
        let builder = match request.form {
            Some(form) => client.post(url).form(form),
            None => client.get(url),
        };
        let mut builder = builder.query(request.query).header(header::ACCEPT, "application/json");
        builder = match request.authorization {
            Some(Authorization::Basic(name, password)) => builder.basic_auth(name, Some(password)),
            Some(Authorization::Token(scheme, token)) => {
                builder.header(header::AUTHORIZATION, format!("{scheme} {token}"))
            }
            None => builder,
        };
        builder.build().map_err(|e| self.error(&e))
    }

    /// One or two attempts, which share the time of the request.
    async fn in_time(
        &self,
        request: reqwest::Request,
        is_idempotent: bool,
    ) -> Result<Response, HttpError> {
        let attempts = async {
            let _turn = self.turns.acquire().await.expect("the semaphore is never closed");
            let again = request.try_clone();
            let first = self.exchange(request).await;
            match again {
                Some(again) if is_worth_another(&first, is_idempotent) => {
                    self.metrics.retry();
                    tokio::time::sleep(RETRY_PAUSE).await;
                    self.exchange(again).await
                }
                _ => first,
            }
        };
        let limit = self.limits.request_timeout;
        tokio::time::timeout(limit, attempts).await.unwrap_or(Err(HttpError::Timeout(limit)))
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Response, HttpError> {
        let mut response = self.http.client.execute(request).await.map_err(|e| self.error(&e))?;
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

/// Whether another attempt may help and does no harm.
fn is_worth_another(result: &Result<Response, HttpError>, is_idempotent: bool) -> bool {
    match result {
        // Without a connection nothing has arrived.
        Err(HttpError::Connect(_)) => true,
        Err(HttpError::Protocol(_)) => is_idempotent,
        Ok(response) => is_idempotent && matches!(response.status, 502..=504),
        Err(_) => false,
    }
}

/// The innermost cause, which unlike the error itself names no address.
fn cause(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.last().map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests;

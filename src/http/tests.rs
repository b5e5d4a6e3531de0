use super::stub::{Answer, Stub};
use super::*;

const LIMITS: Limits =
    Limits { request_timeout: Duration::from_secs(20), response_bytes_max: 1000, requests_max: 4 };

/// Long enough to connect on loopback and ask, short enough to wait for.
const SHORT: Limits = Limits { request_timeout: Duration::from_millis(300), ..LIMITS };

fn channel(limits: Limits) -> Channel {
    Http::new().unwrap().channel(limits)
}

fn answering(status: u16, body: &str) -> Result<Response, HttpError> {
    Ok(Response { status, body: body.into() })
}

#[tokio::test]
async fn parameters_are_encoded() {
    let stub = Stub::start(|_| Answer::new(200, "fine")).await;
    let channel = channel(LIMITS);
    let params = [("a b", "c&d=e"), ("u", "http://x/?y#z"), ("e", "\u{e9}")];
    let encoded = "a+b=c%26d%3De&u=http%3A%2F%2Fx%2F%3Fy%23z&e=%C3%A9";

    assert_eq!(channel.get(&stub.url("/get"), &params).await, answering(200, "fine"));
    assert_eq!(channel.post_form(&stub.url("/post"), &params).await, answering(200, "fine"));
    assert_eq!(stub.lines(), [format!("GET /get?{encoded}"), "POST /post".to_owned()]);
    let post = stub.requests().pop().unwrap();
    assert!(post.ends_with(&format!("\r\n\r\n{encoded}")), "{post}");
    assert!(post.to_lowercase().contains("content-type: application/x-www-form-urlencoded"));
}

#[test]
fn queries_for_people_encode_what_would_change_them() {
    let check = |url: &str, value: &str, expected: &str| {
        let whole = url_with(url, &[("k", value), ("l", "")]);
        assert_eq!(whole, format!("{expected}&l="));
        let parsed = reqwest::Url::parse(&whole).unwrap();
        let read = parsed.query_pairs().find(|(name, _)| name == "k").unwrap().1.into_owned();
        assert_eq!(read, value, "must read back from {whole}");
    };
    check("https://x/y", "http://z:1/?a,b", "https://x/y?k=http://z:1/?a,b");
    check("https://x/y?z=1", "1", "https://x/y?z=1&k=1");
    check("https://x/y", "a b&c=d#e+f%g;h", "https://x/y?k=a%20b%26c%3Dd%23e%2Bf%25g%3Bh");
    check("https://x/y", "\u{e9}\r\n\"<>", "https://x/y?k=%C3%A9%0D%0A%22%3C%3E");
}

#[tokio::test]
async fn other_statuses_and_redirects_are_answers_but_not_ok() {
    for status in [201, 302, 404, 500] {
        let stub = Stub::start(move |_| {
            let head = format!("HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\n");
            Answer::Bytes(format!("{head}Content-Length: 1\r\n\r\nx").into())
        })
        .await;
        let response = channel(LIMITS).get(&stub.url("/"), &[]).await;
        assert_eq!(response, answering(status, "x"));
        assert_eq!(response.unwrap().ok(), Err(HttpError::Status(status)));
        assert_eq!(stub.lines(), ["GET /"], "status {status} was followed");
    }
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_limit_and_no_longer() {
    let max = LIMITS.response_bytes_max as usize;
    let check = async |head: &'static str, len: usize, expected: Result<usize, HttpError>| {
        let stub = Stub::start(move |_| {
            let mut bytes = format!("HTTP/1.1 200 OK\r\n{head}\r\n").into_bytes();
            bytes.resize(bytes.len() + len, b'x');
            Answer::Bytes(bytes)
        })
        .await;
        let response = channel(LIMITS).get(&stub.url("/"), &[]).await;
        assert_eq!(response.map(|response| response.body.len()), expected, "{head:?} {len}");
    };
    let too_long = Err(HttpError::TooLong(LIMITS.response_bytes_max));
    check("", max, Ok(max)).await;
    check("", max + 1, too_long.clone()).await;
    check("", 1 << 22, too_long.clone()).await;
    check("Content-Length: 1000\r\n", max, Ok(max)).await;
    check("Content-Length: 99999999999\r\n", 10, too_long).await;
}

#[tokio::test]
async fn silence_ends_in_a_timeout() {
    let stub = Stub::start(|_| Answer::Silence).await;
    let response = channel(SHORT).get(&stub.url("/"), &[]).await;
    assert_eq!(response, Err(HttpError::Timeout(SHORT.request_timeout)));
    assert!(stub.lines().len() <= 1, "it is not sent again");
}

#[tokio::test]
async fn a_request_waits_for_its_turn_within_its_time() {
    let stub = Stub::start(|_| Answer::Silence).await;
    let channel = channel(Limits { requests_max: 1, ..SHORT });
    let url = stub.url("/");
    let first = channel.get(&url, &[]);
    let second = channel.get(&url, &[]);
    let (first, second) = tokio::join!(first, second);
    let timeout = Err(HttpError::Timeout(SHORT.request_timeout));
    assert_eq!((first, second), (timeout.clone(), timeout));
    assert!(stub.lines().len() <= 1, "the second request must not have been sent");
}

#[tokio::test]
async fn what_is_not_http_is_an_error_of_its_own() {
    for bytes in
        [&b"SSH-2.0-OpenSSH\r\n"[..], b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"]
    {
        let stub = Stub::start(|_| Answer::Bytes(bytes.to_vec())).await;
        let response = channel(LIMITS).get(&stub.url("/"), &[]).await;
        assert!(matches!(response, Err(HttpError::Protocol(_))), "{bytes:?}: {response:?}");
    }
}

#[tokio::test]
async fn a_trickle_ends_in_a_timeout() {
    let stub = Stub::start(|_| Answer::Trickle).await;
    let response = channel(SHORT).get(&stub.url("/"), &[]).await;
    assert_eq!(response, Err(HttpError::Timeout(SHORT.request_timeout)));
}

#[tokio::test]
async fn only_what_does_no_harm_is_sent_twice() {
    let check = async |first: &'static [u8], request: Request<'static>, attempts: usize| {
        let answered = std::sync::atomic::AtomicUsize::new(0);
        let stub = Stub::start(move |_| {
            match answered.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 => Answer::Bytes(first.to_vec()),
                _ => Answer::new(200, "fine"),
            }
        })
        .await;
        let (channel, url) = (channel(LIMITS), stub.url("/"));
        let response = channel.send(&Request { url: &url, ..request }).await;
        assert_eq!(stub.lines().len(), attempts, "{response:?}");
        let counted = channel.metrics().counted();
        assert_eq!((counted.requests, counted.retries), (1, attempts as u64 - 1));
        assert_eq!(counted.errors.len(), usize::from(attempts == 1));
    };
    let busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    let wrong = b"HTTP/1.1 500 Wrong\r\nContent-Length: 0\r\n\r\n";
    let get = Request { is_idempotent: true, ..Request::get("") };
    let post = Request { form: Some(&[]), ..Request::get("") };
    check(busy, get, 2).await;
    check(b"", get, 2).await;
    check(wrong, get, 1).await;
    check(busy, post, 1).await;
    check(b"", post, 1).await;
    check(busy, Request::get(""), 1).await;
}

#[tokio::test]
async fn who_asks_is_said_in_a_header() {
    let stub = Stub::start(|_| Answer::new(200, "fine")).await;
    let (channel, url) = (channel(LIMITS), stub.url("/"));
    for authorization in [Authorization::Basic("a", "b"), Authorization::Token("OAuth", "t")] {
        let request = Request { authorization: Some(authorization), ..Request::get(&url) };
        channel.send(&request).await.unwrap();
    }
    let seen = stub.requests();
    assert!(seen[0].contains("authorization: Basic YTpi\r\n"), "{}", seen[0]);
    assert!(seen[1].contains("authorization: OAuth t\r\n"), "{}", seen[1]);
    let bad = Request {
        authorization: Some(Authorization::Token("Bearer", "a\nb")),
        ..Request::get(&url)
    };
    let refused = channel.send(&bad).await.unwrap_err();
    assert!(matches!(refused, HttpError::BadUrl(_)), "{refused:?}");
}

#[tokio::test]
async fn who_stops_waiting_ends_the_request() {
    let stub = Stub::start(|_| Answer::Silence).await;
    let channel = channel(Limits { requests_max: 1, ..LIMITS });
    let url = stub.url("/");
    for sent in 1..=3 {
        let arrived = async {
            while stub.lines().len() < sent {
                tokio::task::yield_now().await;
            }
        };
        // Each has the only turn, which the one before has given back by going away.
        tokio::select! {
            () = arrived => {}
            response = channel.get(&url, &[]) => panic!("{response:?}"),
        }
    }
    assert_eq!(channel.metrics().counted().in_flight, 0);
}

#[tokio::test]
async fn no_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let response = channel(LIMITS).get(&format!("http://{address}/?secret"), &[]).await;
    assert!(matches!(response, Err(HttpError::Connect(_))), "{response:?}");
    assert!(!response.unwrap_err().to_string().contains("secret"));

    let plain = Stub::start(|_| Answer::new(200, "")).await;
    let response = channel(SHORT).get(&format!("https://{}/", plain.address), &[]).await;
    assert!(response.is_err(), "a server without TLS must not pass: {response:?}");
}

#[test]
fn https_is_required_except_on_this_machine() {
    let check = |url: &str, allowed: bool| assert_eq!(checked(url).is_ok(), allowed, "{url}");
    check("https://graph.facebook.com/me", true);
    check("http://127.0.0.1:8000/", true);
    check("http://127.1.2.3/", true);
    check("http://[::1]:80/", true);
    check("http://localhost/", true);
    check("http://localhost.example.com/", false);
    check("http://127.0.0.1@example.com/", false);
    check("http://graph.facebook.com/me", false);
    check("http://10.0.0.1/", false);
    check("ftp://127.0.0.1/", false);
    check("nowhere", false);
    let refused = checked("http://user:pass@example.com/path?code=secret").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "http://example.com: https is required unless the host is on this machine",
    );
}

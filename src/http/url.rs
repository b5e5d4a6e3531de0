//! Addresses: what may be spoken to, and queries that are appended.

use reqwest::Url;

use super::{HttpError, Params};

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

/// `text` as a form has it: everything but letters, digits and `-`, `_`, `.`, `~` as `%` and two digits.
///
/// Source: RFC 6749 section 2.3.1, for the two halves of Basic.
pub fn form_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => out.push(b.into()),
            b => out.extend(escape(b)),
        }
    }
    out
}

/// Source: RFC 3986 section 3.4, without `&`, `=`, `+` and `;`, which have a meaning inside queries.
fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || b"-._~:@/?!$'()*,".contains(&b) => out.push(b.into()),
            b => out.extend(escape(b)),
        }
    }
}

fn escape(byte: u8) -> [char; 3] {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    ['%', HEX[usize::from(byte >> 4)].into(), HEX[usize::from(byte & 15)].into()]
}

/// Checks that an address may be spoken to: HTTPS, or this machine.
///
/// # Errors
/// [`HttpError::BadUrl`], [`HttpError::Insecure`].
pub fn check(url: &str) -> Result<(), HttpError> {
    checked(url).map(drop)
}

/// Parses an address that may be spoken to.
pub(super) fn checked(url: &str) -> Result<Url, HttpError> {
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

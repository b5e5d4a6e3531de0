//! Addresses to listen on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use serde_norway::Value;

use super::options::Limits;
use super::value::{OptionType, Refused, list_from_text, read_list, read_map};

impl OptionType for Vec<SocketAddr> {
    fn allowed(_: &Limits) -> String {
        "host:port, a port, or a list of {uri: 'host:port'}".to_owned()
    }

    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        let allowed = Self::allowed(limits);
        let one = |value: &Value| -> Result<SocketAddr, Refused> {
            let uri = match value {
                Value::Mapping(_) => {
                    read_map(value, &["uri"])?.next().map_or(value, |(_, uri)| uri)
                }
                _ => value,
            };
            let text = String::read(uri, limits).ok();
            text.and_then(|text| address(&text)).ok_or_else(|| Refused::new(uri, allowed.as_str()))
        };
        let list = match value {
            Value::Sequence(_) => read_list(value, &allowed, one)?,
            _ => vec![one(value)?],
        };
        if list.is_empty() { Err(Refused::new(value, allowed)) } else { Ok(list) }
    }

    fn from_text(text: &str) -> Value {
        match serde_norway::from_str(text) {
            Ok(Value::Sequence(items)) if items.iter().all(Value::is_mapping) => {
                Value::Sequence(items)
            }
            _ => list_from_text(text),
        }
    }
}

/// Reads `host:port`, or a port alone; names are looked up.
fn address(text: &str) -> Option<SocketAddr> {
    if let Ok(port) = text.parse::<u16>() {
        return Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port));
    }
    let text =
        text.strip_prefix("*:").map_or_else(|| text.to_owned(), |port| format!("0.0.0.0:{port}"));
    text.to_socket_addrs().ok()?.min_by_key(SocketAddr::is_ipv6)
}

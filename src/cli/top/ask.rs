//! One question to a daemon, and as much of its answer as a terminal shows.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};

/// The longest an answer may take: it comes from memory.
const PATIENCE: Duration = Duration::from_secs(3);
/// An answer has some 20 KB; more than this is from something else.
const MOST_BYTES: u64 = 4 << 20;

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    host: String,
    port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") {
            return Err(
                "the daemon speaks http; a tunnel or proxy in front of it may speak https".to_owned(),
            );
        }
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let place = rest.split('/').next().unwrap_or_default();
        let wanted = "an address such as http://127.0.0.1:9464";
        let (host, port) = match place.rsplit_once(':') {
            // The colons of a bare IPv6 address are no port's.
            Some((host, port)) if !place.ends_with(']') => {
                (host, port.parse().map_err(|_| wanted.to_owned())?)
            }
            _ => (place, 9464),
        };
        if host.is_empty() {
            return Err(wanted.to_owned());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

/// As much of `/api/v1/status` as is shown.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Picture {
    pub(super) summary: Summary,
    pub(super) version: String,
    pub(super) domain: String,
    #[serde(deserialize_with = "time")]
    pub(super) time: Timestamp,
    pub(super) uptime_seconds: u64,
    pub(super) rate: Rate,
    pub(super) history: History,
    pub(super) totals: Totals,
    pub(super) lanes: Vec<Lane>,
    pub(super) rejected: Vec<Rejected>,
    pub(super) keyring: Keyring,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Summary {
    pub(super) state: String,
    pub(super) level: String,
    pub(super) text: String,
    pub(super) also: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Rate {
    pub(super) in_per_second: f64,
    pub(super) rejected_per_second: f64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct History {
    #[serde(rename = "in")]
    pub(super) read: Vec<u64>,
    pub(super) lag: Vec<Option<u64>>,
    pub(super) freshness: Vec<Option<f64>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Totals {
    #[serde(rename = "in")]
    pub(super) read: u64,
    pub(super) rejected: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Lane {
    pub(super) lane: u64,
    pub(super) partitions: Vec<Partition>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Partition {
    pub(super) topic: String,
    #[serde(rename = "partition")]
    pub(super) number: i32,
    pub(super) lag: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Rejected {
    pub(super) reason: String,
    pub(super) records: u64,
    pub(super) last: Option<Place>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Place {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Keyring {
    pub(super) fingerprint: String,
    pub(super) in_use: Option<String>,
    pub(super) epochs: Vec<Epoch>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Epoch {
    pub(super) id: String,
    pub(super) state: String,
    #[serde(deserialize_with = "time")]
    pub(super) activate_at: Timestamp,
    pub(super) kcv: String,
    pub(super) records: u64,
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}

/// Asks once.
///
/// # Errors
///
/// Nobody answered, or something that is no status.
pub(super) fn ask(address: &Address) -> Result<Picture, String> {
    let answer = fetch(address).map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer in HTTP")?;
    let code = head.split(' ').nth(1).unwrap_or_default();
    if code != "200" {
        return Err(format!("the answer is {code}: no cdrveil listens there"));
    }
    serde_json::from_str(body).map_err(|error| format!("the answer is no status of a cdrveil: {error}"))
}

fn fetch(address: &Address) -> io::Result<String> {
    let host = address.host.trim_start_matches('[').trim_end_matches(']');
    let place = (host, address.port).to_socket_addrs()?.next();
    let place = place.ok_or_else(|| io::Error::other("no such host"))?;
    let mut stream = TcpStream::connect_timeout(&place, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET /api/v1/status HTTP/1.1\r\nHost: {}:{}\r\nConnection: close\r\n\r\n",
        address.host, address.port
    )?;
    let mut answer = String::new();
    stream.take(MOST_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_type_them() {
        for (typed, meant) in [
            ("http://127.0.0.1:9464", Ok("http://127.0.0.1:9464")),
            ("http://127.0.0.1:9464/", Ok("http://127.0.0.1:9464")),
            ("http://localhost:80/api/v1/status", Ok("http://localhost:80")),
            ("node-3:9000", Ok("http://node-3:9000")),
            ("node-3", Ok("http://node-3:9464")),
            ("[::1]:9464", Ok("http://[::1]:9464")),
            ("http://[::1]", Ok("http://[::1]:9464")),
            ("https://node-3", Err(())),
            ("http://", Err(())),
            ("node-3:port", Err(())),
        ] {
            let address = typed.parse::<Address>();
            assert_eq!(
                address.as_ref().map(ToString::to_string).map_err(|_| ()),
                meant.map(str::to_owned),
                "{typed}"
            );
        }
    }

    #[test]
    fn nobody_there_is_told() {
        let address = Address {
            host: "127.0.0.1".to_owned(),
            port: 1,
        };
        assert!(ask(&address).unwrap_err().contains("refused"));
    }
}

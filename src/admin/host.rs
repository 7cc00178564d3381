//! Against DNS rebinding: a page from elsewhere, whose name its owner makes point at 127.0.0.1, would be allowed to
//! read what we answer to the browser of whoever opened it. A listener on loopback has no other name than loopback's.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const REFUSAL: &str = "this listener is on loopback and answers as localhost, 127.0.0.1 or [::1] only: \
    let a proxy send one of these as Host, or set [admin] listen to another address\n";

/// Answers who asks for loopback, or for no name at all (HTTP/1.0: no browser).
pub(super) async fn only_loopback(request: Request, next: Next) -> Response {
    if names_loopback(request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, REFUSAL).into_response()
    }
}

fn names_loopback(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::HOST)
        .iter()
        .all(|host| host.to_str().is_ok_and(is_loopback))
}

/// `host` or `host:port` (RFC 9110, 7.2); an IPv6 address stands in brackets.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let address = bare.unwrap_or(host).parse::<IpAddr>();
    // RFC 6761, 6.3: `localhost` and whatever ends with it never leaves the machine.
    let host = host.to_ascii_lowercase();
    address.is_ok_and(|address| address.is_loopback()) || host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_s_own_names_are_taken() {
        for (host, taken) in [
            ("localhost", true),
            ("LocalHost:9464", true),
            ("cdrveil.localhost:80", true),
            ("127.0.0.1:9464", true),
            ("127.9.9.9", true),
            ("[::1]:9464", true),
            ("[::1]", true),
            ("localhost.example.net:9464", false),
            ("notlocalhost", false),
            ("127.0.0.1.example.net", false),
            ("192.0.2.1:9464", false),
            ("[2001:db8::1]:9464", false),
            ("user@localhost", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(host), taken, "{host}");
        }
    }
}

//! HTTP for operators: `/metrics` `/livez` `/readyz` `/api/v1/status` `/`.
//!
//! Read-only by construction: the routes know GET (and HEAD) alone and hold a
//! handle that only reads. Nothing shown here can contain a record's content.

mod connections;
mod host;
mod page;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde::{Deserialize, Deserializer, de};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::telemetry::{Now, ReadyCheck, Telemetry};
use connections::Bounded;

/// Prometheus text format 0.0.4, as scrapers ask for it.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How often the histograms are tidied: the period metrics-exporter-prometheus takes by itself.
const UPKEEP: Duration = Duration::from_secs(5);

/// `[admin]` as typed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminSettings {
    /// Where to listen; loopback unless told otherwise, because there is no login.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
}

/// The standard library's message names neither the key nor what is missing.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    const LISTEN: &str = "[admin] listen is an IP address and a port, such as \"127.0.0.1:9464\"";
    struct Text;
    impl de::Visitor<'_> for Text {
        type Value = SocketAddr;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(LISTEN)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<SocketAddr, E> {
            text.parse().map_err(|_| E::custom(LISTEN))
        }
    }
    deserializer.deserialize_str(Text)
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9464)),
        }
    }
}

/// A listening server.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    /// Gone once its end was told.
    task: Option<JoinHandle<io::Result<()>>>,
}

impl Serving {
    /// Where it listens: the port that was found when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for its end, which the `shutdown` future brings, at most for `budget`: a client that
    /// never reads its answer must not hold the daemon back.
    ///
    /// # Errors
    ///
    /// What the listener failed with.
    pub async fn finished(self, budget: Duration) -> io::Result<()> {
        let Some(mut task) = self.task else {
            return Ok(());
        };
        let Ok(ended) = tokio::time::timeout(budget, &mut task).await else {
            task.abort();
            return Ok(());
        };
        ended.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Waits for an end that nobody asked for; never comes back otherwise. May be dropped while it waits.
    pub async fn ended(&mut self) -> io::Error {
        let Some(task) = &mut self.task else {
            return std::future::pending().await;
        };
        let ended = task.await;
        self.task = None;
        match ended {
            Ok(Ok(())) => io::Error::other("it returned"),
            Ok(Err(error)) => error,
            Err(error) => io::Error::other(error),
        }
    }
}

/// Binds and serves on the current tokio runtime until `shutdown` completes.
///
/// # Errors
///
/// The address cannot be bound (in use, not ours, not allowed).
pub async fn serve(
    listen: SocketAddr,
    telemetry: Telemetry,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<Serving> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let mut routes = routes(telemetry.clone());
    if address.ip().is_loopback() {
        routes = routes.layer(middleware::from_fn(host::only_loopback));
    }
    let listener = Bounded::new(listener, connections::MOST, connections::QUIET);
    let server = axum::serve(listener, routes).with_graceful_shutdown(shutdown);
    let task = tokio::spawn(async move {
        tokio::select! {
            end = server.into_future() => end,
            never = upkeep(telemetry) => match never {},
        }
    });
    Ok(Serving {
        address,
        task: Some(task),
    })
}

async fn upkeep(telemetry: Telemetry) -> Infallible {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        telemetry.upkeep();
    }
}

fn routes(telemetry: Telemetry) -> Router {
    Router::new()
        .merge(page::routes())
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/api/v1/status", get(status))
        .fallback(async || {
            (
                StatusCode::NOT_FOUND,
                "no such address; / lists those there are\n",
            )
        })
        .layer(middleware::map_response(with_headers))
        .with_state(telemetry)
}

async fn metrics(State(telemetry): State<Telemetry>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, METRICS_TYPE)],
        telemetry.metrics(Now::read()),
    )
}

/// That this answers shows the event loop alive; the lanes are threads of their own. Kafka is not
/// asked: a restart cannot mend a broker.
async fn livez(State(telemetry): State<Telemetry>) -> (StatusCode, String) {
    match telemetry.silent_lane(Now::read()) {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some((lane, silence)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("lane {lane} gave no sign of life for {} s\n", silence.as_secs()),
        ),
    }
}

async fn readyz(State(telemetry): State<Telemetry>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let checks = telemetry.checks(Now::read());
    let ready = checks.iter().all(|check| check.ok);
    let verbose = query.is_some_and(|query| {
        query
            .split('&')
            .any(|part| part == "verbose" || part.starts_with("verbose="))
    });
    let code = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    // Who is told "not ready" wants to know why, asked for or not.
    let body = if ready && !verbose {
        "ok\n".to_owned()
    } else {
        verbose_text(&checks, ready)
    };
    (code, body)
}

/// The form of Kubernetes' own `/readyz?verbose`.
fn verbose_text(checks: &[ReadyCheck], ready: bool) -> String {
    let mut text = String::new();
    for check in checks {
        text.push_str(&check.to_string());
        text.push('\n');
    }
    text.push_str(if ready {
        "readyz check passed\n"
    } else {
        "readyz check failed\n"
    });
    text
}

async fn status(State(telemetry): State<Telemetry>) -> impl IntoResponse {
    Json(telemetry.status(Now::read()))
}

async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // The page's own files say what they need; nothing else needs anything.
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'"));
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use tokio::runtime::Runtime;
    use tokio::sync::oneshot;

    use super::*;
    use crate::telemetry::{EpochFacts, EpochStatus, KeyringFacts, LaneState, Setup, UnixMillis};

    /// A served telemetry with one lane; everything ends with the runtime.
    struct Site {
        runtime: Runtime,
        telemetry: Telemetry,
        serving: Serving,
        stop: oneshot::Sender<()>,
    }

    fn site(started: Now) -> Site {
        let setup = Setup {
            domain: "billing".to_owned(),
            guarantee: "exactly-once".to_owned(),
            lanes: 1,
            raw_topics: vec!["cdr.raw".to_owned()],
            rejection_reasons: &["format"],
            skip_reasons: &["header"],
        };
        let telemetry = Telemetry::new(setup, started);
        let runtime = Runtime::new().unwrap();
        let (stop, stopped) = oneshot::channel();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let shutdown = async { drop(stopped.await) };
        let serving = runtime
            .block_on(serve(listen, telemetry.clone(), shutdown))
            .unwrap();
        Site {
            runtime,
            telemetry,
            serving,
            stop,
        }
    }

    fn make_ready(telemetry: &Telemetry) {
        telemetry.lane_state(0, LaneState::Running);
        telemetry.assigned(0, &[(0, 0)], Now::read());
        let epoch = EpochFacts {
            id: "2026-11".to_owned(),
            activate_at: UnixMillis(0),
            until: None,
            kcv: "9fc082d4".to_owned(),
            status: EpochStatus::Enabled,
        };
        let facts = KeyringFacts {
            fingerprint: "aa".to_owned(),
            epochs: vec![epoch],
        };
        telemetry.keyring_loaded(facts, Now::read());
    }

    impl Site {
        /// Sends a request's line and headers; the whole answer.
        fn send(&self, request: &str) -> String {
            let mut socket = TcpStream::connect(self.serving.address()).unwrap();
            let request = format!("{request}\r\nConnection: close\r\n\r\n");
            socket.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).unwrap();
            answer
        }

        fn ask(&self, method: &str, path: &str) -> (u16, String) {
            let answer = self.send(&format!("{method} {path} HTTP/1.1\r\nHost: localhost"));
            (answer[9..12].parse().unwrap(), answer)
        }

        fn get(&self, path: &str) -> (u16, String) {
            let (code, answer) = self.ask("GET", path);
            (code, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
        }
    }

    #[test]
    fn every_address_answers_with_its_type_and_the_safety_headers() {
        let site = site(Now::read());
        make_ready(&site.telemetry);
        for (path, code, content_type) in [
            ("/", 200, "text/plain; charset=utf-8"),
            ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"),
            ("/livez", 200, "text/plain; charset=utf-8"),
            ("/readyz", 200, "text/plain; charset=utf-8"),
            ("/api/v1/status", 200, "application/json"),
            ("/page.css", 200, "text/css; charset=utf-8"),
            ("/page.js", 200, "text/javascript; charset=utf-8"),
            ("/nowhere", 404, "text/plain; charset=utf-8"),
        ] {
            let (found, answer) = site.ask("GET", path);
            let answer = answer.to_lowercase();
            assert_eq!(found, code, "{path}");
            for line in [
                format!("content-type: {content_type}\r\n"),
                "cache-control: no-store\r\n".to_owned(),
                "x-content-type-options: nosniff\r\n".to_owned(),
                "x-frame-options: deny\r\n".to_owned(),
                "content-security-policy: default-src 'none'".to_owned(),
            ] {
                assert!(answer.contains(&line), "{path}: {line} in {answer}");
            }
        }
    }

    #[test]
    fn a_browser_gets_the_page_and_everybody_else_the_list_of_addresses() {
        let site = site(Now::read());
        let answer = site.send("GET / HTTP/1.1\r\nAccept: text/html,*/*;q=0.8\r\nHost: localhost");
        assert!(
            answer.contains("content-type: text/html; charset=utf-8\r\n"),
            "{answer}"
        );
        assert!(answer.contains("vary: accept\r\n"), "{answer}");
        assert!(answer.contains("script-src 'self'"), "{answer}");
        assert!(answer.contains("<!doctype html>"), "{answer}");
        let (_, list) = site.get("/");
        assert!(list.contains("/api/v1/status"), "{list}");
    }

    #[test]
    fn nothing_can_be_changed_over_http() {
        let site = site(Now::read());
        for path in ["/", "/page.js", "/metrics", "/livez", "/readyz", "/api/v1/status"] {
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                assert_eq!(site.ask(method, path).0, 405, "{method} {path}");
            }
            assert_ne!(site.ask("HEAD", path).0, 405, "HEAD {path}");
        }
    }

    #[test]
    fn a_name_that_was_made_to_point_here_gets_no_answer() {
        let site = site(Now::read());
        for path in ["/", "/metrics", "/readyz", "/api/v1/status"] {
            let answer = site.send(&format!("GET {path} HTTP/1.1\r\nHost: rebound.example.net:9464"));
            assert!(answer.starts_with("HTTP/1.1 421 "), "{path}: {answer}");
            assert!(answer.contains("localhost, 127.0.0.1 or [::1] only"), "{answer}");
        }
    }

    #[test]
    fn readyz_says_why_not_and_lists_its_checks_on_request() {
        let site = site(Now::read());
        let (code, body) = site.get("/readyz");
        assert_eq!(code, 503);
        assert!(body.contains("[+]config ok\n"), "{body}");
        assert!(body.contains("[-]keyring not loaded\n"), "{body}");
        assert!(body.ends_with("readyz check failed\n"), "{body}");

        make_ready(&site.telemetry);
        assert_eq!(site.get("/readyz"), (200, "ok\n".to_owned()));
        let (code, body) = site.get("/readyz?verbose");
        assert_eq!(code, 200);
        assert_eq!(body.matches("[+]").count(), 8, "{body}");
        assert!(body.ends_with("readyz check passed\n"), "{body}");

        site.telemetry.drain();
        assert_eq!(site.get("/readyz").0, 503);
        assert_eq!(site.get("/livez").0, 200, "draining is alive");
    }

    #[test]
    fn livez_fails_when_a_lane_is_silent() {
        let long_ago = std::time::Instant::now()
            .checked_sub(Duration::from_secs(60))
            .unwrap();
        let site = site(Now {
            monotonic: long_ago,
            ..Now::read()
        });
        let (code, body) = site.get("/livez");
        assert_eq!(code, 503);
        assert!(body.starts_with("lane 0 gave no sign of life"), "{body}");
        site.telemetry.beat(0, Now::read());
        assert_eq!(site.get("/livez"), (200, "ok\n".to_owned()));
    }

    #[test]
    fn status_is_json_with_the_promised_members() {
        let site = site(Now::read());
        make_ready(&site.telemetry);
        let status: serde_json::Value = serde_json::from_str(&site.get("/api/v1/status").1).unwrap();
        assert_eq!(status["domain"], "billing");
        assert_eq!(status["ready"], true);
        assert_eq!(status["lanes"][0]["state"], "running");
        assert_eq!(status["keyring"]["epochs"][0]["state"], "active");
        assert_eq!(status["totals"]["in"], 0);
    }

    #[test]
    fn shutdown_ends_the_server_even_with_a_client_that_hangs() {
        let site = site(Now::read());
        let mut hanging = TcpStream::connect(site.serving.address()).unwrap();
        hanging.write_all(b"GET /metrics HTTP/1.1\r\nHost:").unwrap();
        site.stop.send(()).unwrap();
        let ended = site
            .runtime
            .block_on(site.serving.finished(Duration::from_millis(200)));
        assert!(ended.is_ok());
    }

    #[test]
    fn settings_default_to_loopback_and_refuse_unknown_keys() {
        let read = |text: &str| toml::from_str::<AdminSettings>(text);
        assert_eq!(read("").unwrap().listen.to_string(), "127.0.0.1:9464");
        assert_eq!(
            read("listen = \"[::1]:9000\"").unwrap().listen.to_string(),
            "[::1]:9000"
        );
        assert!(read("port = 9000").is_err());
        assert!(read("listen = \"localhost\"").is_err());
    }
}

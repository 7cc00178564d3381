//! The operator's page on `/`: three files built into the program, no outside address.
//!
//! Invariant: the browser runs nothing but these files and asks nobody but this daemon, by the policy they come with.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// For who asks without a browser.
const INDEX: &str = "\
cdrveil

/                a page for browsers
/metrics         Prometheus metrics
/livez           200 while the lanes give signs of life
/readyz          200 when records flow or could; ?verbose lists the checks
/api/v1/status   the whole picture as JSON
";

const PAGE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// Own files and own status only; nothing inline, no frame around it. The icon is a `data:` address.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page and its files.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(index))
        .route("/page.css", get(async || file(STYLE, "text/css; charset=utf-8")))
        .route(
            "/page.js",
            get(async || file(SCRIPT, "text/javascript; charset=utf-8")),
        )
}

/// A browser names HTML in what it accepts; `curl` and scripts get the list of addresses.
async fn index(headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let mut response = if accepts.is_some_and(|accepts| accepts.contains("text/html")) {
        file(PAGE, "text/html; charset=utf-8")
    } else {
        INDEX.into_response()
    };
    let vary = HeaderValue::from_static("accept");
    response.headers_mut().insert(header::VARY, vary);
    response
}

fn file(text: &'static str, content_type: &'static str) -> Response {
    let headers: [(HeaderName, &str); 2] = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_inline_and_no_address_leads_outside() {
        for inline in ["<style", " style=", "onclick", "onload", "<script>"] {
            assert!(!PAGE.contains(inline), "{inline}");
        }
        let namespace = "http://www.w3.org/2000/svg";
        for text in [PAGE, STYLE, SCRIPT] {
            let text = text.replace(namespace, "");
            for outside in ["http:", "https:", "\"//", "@import", "url(", "eval(", "innerHTML"] {
                assert!(!text.contains(outside), "{outside}");
            }
        }
    }

    #[test]
    fn the_page_is_small() {
        let bytes = PAGE.len() + STYLE.len() + SCRIPT.len();
        assert!(
            bytes < 36_000,
            "{bytes}: with a status of ten minutes it is to stay below 60 KB"
        );
    }
}

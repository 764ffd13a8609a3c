//! The status page: files that are in the program, the JSON behind it, and events as it changes.
//!
//! Nothing comes from elsewhere: the page works where there is no internet, and its policy lets the
//! browser load nothing but these paths.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_core::Stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::http::Answers;

/// The page, `/status.json` and `/events`.
pub(crate) fn routes() -> Router<Answers> {
    let mut router = Router::new().route("/status.json", get(status)).route("/events", get(events));
    for (path, content_type, text) in FILES {
        let file = move || async move { ([(header::CONTENT_TYPE, *content_type)], *text) };
        router = router.route(path, get(file));
    }
    router.layer(map_response(with_policy))
}

async fn status(State(answers): State<Answers>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], (answers.status)()).into_response()
}

async fn events(State(answers): State<Answers>) -> Response {
    let Ok(place) = Arc::clone(&answers.pages).try_acquire_owned() else {
        let why = "too many pages are open here: close one\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], why)
            .into_response();
    };
    let mut every = interval(answers.every);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Sse::new(Events { status: answers.status, every, _place: place }).into_response()
}

/// One status after another, for as long as somebody listens.
struct Events {
    status: Arc<dyn Fn() -> String + Send + Sync>,
    every: Interval,
    _place: OwnedSemaphorePermit,
}

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ready!(self.every.poll_tick(context));
        let event = Event::default().retry(RETRY_AFTER).data((self.status)());
        Poll::Ready(Some(Ok(event)))
    }
}

async fn with_policy(mut response: Response) -> Response {
    for (name, value) in POLICY {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Where, what, and the file.
const FILES: &[(&str, &str, &str)] = &[
    ("/", "text/html; charset=utf-8", include_str!("../assets/page/index.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("../assets/page/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("../assets/page/page.js")),
    ("/icon.svg", "image/svg+xml", include_str!("../assets/page/icon.svg")),
    ("/uplot.css", "text/css; charset=utf-8", include_str!("../assets/uplot/uPlot.min.css")),
    (
        "/uplot.js",
        "text/javascript; charset=utf-8",
        include_str!("../assets/uplot/uPlot.iife.min.js"),
    ),
    ("/uplot-license.txt", "text/plain; charset=utf-8", include_str!("../assets/uplot/LICENSE")),
];

/// What the browser may do with a page that shows names strangers chose: next to nothing.
const POLICY: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // A program of another version may answer at the same address tomorrow.
    (header::CACHE_CONTROL, "no-cache"),
];

/// A browser that lost its connection asks again after this.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::http::{bind, serve};

    fn start() -> (SocketAddr, JoinHandle<std::io::Result<()>>) {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let number = AtomicU32::new(0);
        let status = move || format!("{{\"number\":{}}}", number.fetch_add(1, Ordering::Relaxed));
        let answers = Answers::new(Vec::new, || true, status);
        let answers = answers.with_events_every(Duration::from_millis(1));
        (address, tokio::spawn(serve(listener, answers, std::future::pending())))
    }

    async fn open(address: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut answer = String::new();
        open(address, path).await.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test(flavor = "current_thread")]
    async fn every_file_comes_with_the_policy_and_asks_for_nothing_from_elsewhere() {
        let (address, server) = start();
        for (path, content_type, text) in FILES {
            let answer = ask(address, path).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer:.80}");
            assert!(answer.contains(content_type), "{path}: {answer:.400}");
            assert!(answer.contains("default-src 'none'; script-src 'self'"), "{path}");
            assert!(answer.ends_with(text), "{path}");
        }
        let (_, _, html) = FILES[0];
        for forbidden in ["http:", "https:", "style=", "onclick", "<style", "javascript:"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        server.abort();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn events_follow_each_other() {
        let (address, server) = start();
        assert!(ask(address, "/status.json").await.ends_with("\r\n\r\n{\"number\":0}"));
        let mut lines = BufReader::new(open(address, "/events").await).lines();
        let mut heard = Vec::new();
        while heard.len() < 3 {
            let line = lines.next_line().await.unwrap().unwrap();
            heard.extend(line.strip_prefix("data: ").map(str::to_owned));
        }
        assert_eq!(heard, ["{\"number\":1}", "{\"number\":2}", "{\"number\":3}"]);
        server.abort();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn pages_that_are_open_leave_room_for_others() {
        let (address, server) = start();
        let mut open_pages = Vec::new();
        let refused = loop {
            let mut page = BufReader::new(open(address, "/events").await);
            let mut first = String::new();
            page.read_line(&mut first).await.unwrap();
            if !first.starts_with("HTTP/1.1 200") {
                break first;
            }
            open_pages.push(page);
        };
        assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
        assert_eq!(open_pages.len(), 8);
        assert!(ask(address, "/-/healthy").await.starts_with("HTTP/1.1 200"));
        server.abort();
    }
}

//! `/metrics`, `/-/healthy`, `/-/ready` and a status page over HTTP, for those who may ask.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::get;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, TEXT_FORMAT, TextEncoder};
use tokio::sync::Semaphore;

use crate::connection::Bounded;
use crate::page;
use crate::token::Token;

/// Where metrics are served: `127.0.0.1:9464`, `[::1]:9464`, or `:9464` for loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpAddress(pub SocketAddr);

/// No such address for metrics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address for metrics: write `127.0.0.1:9464`, or `:9464` for loopback")]
pub struct HttpAddressError(String);

/// What is answered.
#[derive(Clone)]
pub struct Answers {
    gather: Arc<dyn Fn() -> Vec<MetricFamily> + Send + Sync>,
    is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
    pub(crate) status: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) every: Duration,
    /// Pages that may be open at a time.
    pub(crate) pages: Arc<Semaphore>,
    token: Option<Token>,
    unauthorized: Option<IntCounter>,
}

impl Answers {
    /// `/metrics` shows what `gather` gives; `/-/ready` is 200 while `is_ready` says so;
    /// `/status.json` and the page show `status`, a line of JSON.
    pub fn new(
        gather: impl Fn() -> Vec<MetricFamily> + Send + Sync + 'static,
        is_ready: impl Fn() -> bool + Send + Sync + 'static,
        status: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            gather: Arc::new(gather),
            is_ready: Arc::new(is_ready),
            status: Arc::new(status),
            every: EVENT_EVERY,
            pages: Arc::new(Semaphore::new(MAX_PAGES)),
            token: None,
            unauthorized: None,
        }
    }

    /// Everything but the probes is for those who show `token`; others are `counted`.
    #[must_use]
    pub fn with_token(self, token: Option<Token>, counted: IntCounter) -> Self {
        Self { token, unauthorized: Some(counted), ..self }
    }

    /// A page that is open is told anew this often, once a second unless told otherwise.
    #[must_use]
    pub fn with_events_every(self, every: Duration) -> Self {
        Self { every, ..self }
    }
}

/// Takes the address, before anything else is started: a port in use is found at once.
///
/// # Errors
///
/// When the address is in use or not of this machine; the error names it.
pub fn bind(address: HttpAddress) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address.0).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot serve metrics at {address}: {error}"))
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves until `end` is ready. At most 32 connections at a time; a
/// request that does not come within its time is cut off.
///
/// # Errors
///
/// When the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    answers: Answers,
    end: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let listener = Bounded::new(tokio::net::TcpListener::from_std(listener)?);
    let server = axum::serve(listener, router(answers)).into_future();
    tokio::select! {
        ended = server => ended,
        // Requests under way are cut off: they are answered within a millisecond or never.
        () = end => Ok(()),
    }
}

fn router(answers: Answers) -> Router {
    let guard = from_fn_with_state(answers.clone(), guard);
    Router::new()
        .route("/metrics", get(metrics))
        .merge(page::routes())
        .route_layer(guard)
        .route("/-/healthy", get(|| async { "healthy\n" }))
        .route("/-/ready", get(ready))
        .with_state(answers)
}

/// Lets through who shows the token, if there is one.
async fn guard(State(answers): State<Answers>, request: Request, next: Next) -> Response {
    let Some(token) = &answers.token else { return next.run(request).await };
    let shown = request.headers().get(header::AUTHORIZATION);
    if shown.is_some_and(|shown| token.admits(shown.as_bytes())) {
        return next.run(request).await;
    }
    if let Some(count) = &answers.unauthorized {
        count.inc();
    }
    let ways = [
        (header::WWW_AUTHENTICATE, "Bearer realm=\"onecast\""),
        (header::WWW_AUTHENTICATE, "Basic realm=\"onecast\""),
    ];
    let why = "show the token of --metrics-token-file: Authorization: Bearer TOKEN\n";
    (StatusCode::UNAUTHORIZED, AppendHeaders(ways), why).into_response()
}

async fn metrics(State(answers): State<Answers>) -> Response {
    match TextEncoder::new().encode_to_string(&(answers.gather)()) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn ready(State(answers): State<Answers>) -> Response {
    if (answers.is_ready)() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
    }
}

impl FromStr for HttpAddress {
    type Err = HttpAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let port = text.strip_prefix(':').or_else(|| text.strip_prefix("localhost:"));
        let address = match port {
            Some(port) => {
                port.parse().ok().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            }
            None => text.parse().ok(),
        };
        address.map(Self).ok_or_else(|| HttpAddressError(text.to_owned()))
    }
}

impl HttpAddress {
    /// Whether others than this machine may ask.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let loopback = match self.0.ip() {
            IpAddr::V4(address) => address.is_loopback(),
            IpAddr::V6(address) => address.is_loopback(),
        };
        !loopback
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

/// As often as a person looks twice.
const EVENT_EVERY: Duration = Duration::from_secs(1);

/// Pages that are left open must not keep a scraper out: fewer than
/// [`MAX_CONNECTIONS`](crate::connection::MAX_CONNECTIONS).
const MAX_PAGES: usize = 8;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::registry::Registries;

    async fn ask(address: SocketAddr, path: &str) -> String {
        ask_with(address, path, "").await
    }

    async fn ask_with(address: SocketAddr, path: &str, header: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test(flavor = "current_thread")]
    async fn metrics_and_probes_answer() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let registries = Registries::new("publisher").unwrap();
        let is_ready = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_ready);
        let is_seen = move || seen.load(Ordering::Relaxed);
        let answers = Answers::new(move || registries.gather(), is_seen, || "{}".to_owned());
        let server = tokio::spawn(serve(listener, answers, std::future::pending()));
        let metrics = ask(address, "/metrics").await;
        assert!(metrics.contains("content-type: text/plain; version=0.0.4\r\n"), "{metrics}");
        assert!(metrics.contains("onecast_build_info{"), "{metrics}");
        assert!(ask(address, "/-/healthy").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/-/ready").await.starts_with("HTTP/1.1 503"));
        is_ready.store(true, Ordering::Relaxed);
        assert!(ask(address, "/-/ready").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/other").await.starts_with("HTTP/1.1 404"));
        server.abort();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn strangers_are_told_nothing_and_counted() {
        let path = std::env::temp_dir().join(format!("token-{}", std::process::id()));
        std::fs::write(&path, "a-token-of-some-length\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let token = Token::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let registries = Registries::new("publisher").unwrap();
        let counted = registries.unauthorized();
        let bearer = format!("Authorization: {}\r\n", token.bearer());
        let answers = Answers::new(move || registries.gather(), || true, || "{}".to_owned());
        let answers = answers.with_token(Some(token), counted.clone());
        let server = tokio::spawn(serve(listener, answers, std::future::pending()));
        let all = ["/metrics", "/", "/status.json", "/events", "/page.js"];
        for path in all {
            let answer = ask(address, path).await;
            assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
            assert!(answer.contains("www-authenticate: Bearer realm=\"onecast\"\r\n"), "{answer}");
            assert!(answer.contains("www-authenticate: Basic realm=\"onecast\"\r\n"), "{answer}");
        }
        let wrong = "Authorization: Bearer a-token-of-some-lengti\r\n";
        assert!(ask_with(address, "/metrics", wrong).await.starts_with("HTTP/1.1 401"));
        assert_eq!(counted.get(), all.len() as u64 + 1);
        for path in ["/-/healthy", "/-/ready"] {
            assert!(ask(address, path).await.starts_with("HTTP/1.1 200"), "{path}");
        }
        let metrics = ask_with(address, "/metrics", &bearer).await;
        assert!(metrics.contains("\nonecast_http_unauthorized_total 6\n"), "{metrics}");
        assert!(ask_with(address, "/", &bearer).await.starts_with("HTTP/1.1 200"));
        server.abort();
    }

    #[test]
    fn a_port_alone_means_loopback() {
        let parsed = |text: &str| text.parse::<HttpAddress>().map(|address| address.to_string());
        assert_eq!(parsed(":9464").unwrap(), "127.0.0.1:9464");
        assert_eq!(parsed("localhost:1").unwrap(), "127.0.0.1:1");
        assert_eq!(parsed("[::1]:9464").unwrap(), "[::1]:9464");
        assert!(parsed("9464").is_err() && parsed("host:1").is_err() && parsed(":x").is_err());
        assert!("0.0.0.0:1".parse::<HttpAddress>().unwrap().is_open());
    }

    #[test]
    fn an_address_in_use_is_named() {
        let taken = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = HttpAddress(taken.local_addr().unwrap());
        let error = bind(address).unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}

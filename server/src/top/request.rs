//! A request of HTTP as short as can be.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};
use host::http::HttpAddress;
use host::token::Token;

/// The body that `path` has at `address`.
///
/// # Errors
///
/// When nobody answers there, or not with a body.
pub(super) fn get(
    address: HttpAddress,
    path: &str,
    token: Option<&Token>,
) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address.0, PATIENCE).with_context(|| {
        format!("nobody answers at {address}: does a publisher run with --metrics {address}?")
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let shown = token.map(|token| format!("Authorization: {}\r\n", token.bearer()));
    let shown = shown.unwrap_or_default();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{shown}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    let read = stream.take(LONGEST).read_to_string(&mut answer);
    read.with_context(|| format!("{address} did not answer to its end"))?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        Some((head, _)) if head.starts_with("HTTP/1.1 401") => {
            bail!("{address} wants the token that it was given: name its --metrics-token-file")
        }
        _ => bail!("{address} has no {path}: is it the --metrics address of a publisher?"),
    }
}

/// Longer than a program that is alive takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than any status has.
const LONGEST: u64 = 16 << 20;

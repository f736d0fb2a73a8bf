//! Loopback: a free port, and the least HTTP client that can fetch a page.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// The longest that one connection or read may take.
const LIMIT: Duration = Duration::from_secs(5);

/// A port of 127.0.0.1 that nobody listens on now.
///
/// Another process may take it before the caller does; where a program can report the port that it
/// got, let it listen on port 0 instead.
///
/// # Errors
/// The kernel gives no port.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free loopback port")?;
    Ok(listener.local_addr()?.port())
}

/// Fetches `path` with HTTP/1.0 and returns the body of a 200 answer.
///
/// # Errors
/// Nobody listens, the answer is not 200, or it takes longer than five seconds.
pub fn fetch(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .with_context(|| format!("no answer from {address}"))?;
    body(&String::from_utf8_lossy(&answer)).with_context(|| format!("http://{address}{path}"))
}

fn body(answer: &str) -> Result<String> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the answer is not HTTP")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("the server answered `{status}`");
    }
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_200_has_a_body() {
        assert_eq!(
            body("HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello\r\n").unwrap(),
            "hello\r\n"
        );
        let refused = body("HTTP/1.0 404 Not Found\r\n\r\nno").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the server answered `HTTP/1.0 404 Not Found`"
        );
        assert!(body("SSH-2.0-OpenSSH").is_err());
    }

    #[test]
    fn nobody_listens_on_a_free_port() {
        let port = free_port().unwrap();
        let error = fetch(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "/").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot connect to 127.0.0.1:{port}")
        );
    }
}

//! Probes that the daemon runs by itself: it connects to a unit, or fetches a page from it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use podspec::{HttpCheck, Unit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// So much of an answer is read to find its status.
const ANSWER_BYTES_MAX: usize = 4_096;

/// Where a unit is reached that knows itself by this port.
///
/// A port that is bound to every address is reached at the loopback address; a port that is not
/// published is assumed to be the process's own.
#[must_use]
pub fn address(unit: &Unit, port: u16, bind: IpAddr) -> (SocketAddr, bool) {
    let exposed = unit
        .expose
        .iter()
        .find(|expose| expose.target_port == Some(port));
    let host_port = exposed
        .and_then(|expose| expose.host_port)
        .map_or(port, names::HostPort::get);
    let interface = exposed
        .and_then(|expose| expose.host_interface)
        .unwrap_or(bind);
    let reachable = if interface.is_unspecified() {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        interface
    };
    (
        SocketAddr::new(reachable, host_port),
        exposed.is_some_and(|expose| expose.send_proxy),
    )
}

/// Succeeds when the address accepts a connection.
///
/// # Errors
/// Why it did not, for people.
pub async fn tcp(address: SocketAddr, limit: Duration) -> Result<(), String> {
    within(limit, TcpStream::connect(address))
        .await
        .map(drop)
        .map_err(|error| format!("{address}: {error}"))
}

/// Succeeds when the page is answered with a status from 200 to 399. A unit that wants the PROXY
/// protocol gets its shortest header, which names no client.
///
/// # Errors
/// Why it did not, for people.
pub async fn http(
    address: SocketAddr,
    check: &HttpCheck,
    send_proxy: bool,
    limit: Duration,
) -> Result<(), String> {
    let path = &check.path;
    let status = within(limit, fetch(address, path, send_proxy)).await;
    match status {
        Ok(200..=399) => Ok(()),
        Ok(status) => Err(format!("http://{address}{path}: answered {status}")),
        Err(error) => Err(format!("http://{address}{path}: {error}")),
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| {
        io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", limit.as_secs()),
        )
    };
    timeout(limit, work).await.map_err(late)?
}

async fn fetch(address: SocketAddr, path: &str, send_proxy: bool) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let proxy = if send_proxy { "PROXY UNKNOWN\r\n" } else { "" };
    let request = format!(
        "{proxy}GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: simplenetesd\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') && answer.len() < ANSWER_BYTES_MAX {
        if stream.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    status(&answer)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    words
        .next()
        .filter(|version| version.starts_with("HTTP/"))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn the_status_stands_in_the_first_line() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 200"), Some(200));
        for text in [
            &b"SSH-2.0-OpenSSH\r\n"[..],
            b"",
            b"HTTP/1.1\r\n",
            b"HTTP/1.1 abc\r\n",
            b"\xff\n",
        ] {
            assert_eq!(status(text), None);
        }
    }

    async fn check(answer: &'static str, expected: Result<(), &str>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let page = HttpCheck {
            port: 80,
            path: "/health".into(),
        };
        let (outcome, ()) = tokio::join!(http(address, &page, false, LIMIT), server);
        let expected = expected.map_err(|end| format!("http://{address}/health: {end}"));
        assert_eq!(outcome, expected);
    }

    #[tokio::test]
    async fn pages() {
        check("HTTP/1.1 200 OK\r\n\r\nbody", Ok(())).await;
        check("HTTP/1.1 302 Found\r\n\r\n", Ok(())).await;
        check("HTTP/1.1 503 Busy\r\n\r\n", Err("answered 503")).await;
        check("", Err("the answer is not HTTP")).await;
    }

    #[tokio::test]
    async fn connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(tcp(address, LIMIT).await, Ok(()));
        drop(listener);
        assert!(tcp(address, LIMIT).await.is_err());
    }
}

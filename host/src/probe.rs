//! Probes that the daemon runs by itself: it connects to a unit, or fetches a page from it.

mod target;

use std::io;
use std::time::Duration;

use names::SendProxy;
use podspec::HttpCheck;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

pub use target::Target;

/// So much of an answer is read to find its status.
const ANSWER_BYTES_MAX: usize = 4_096;

/// Succeeds when the target accepts a connection.
///
/// # Errors
/// Why it did not, for people.
pub async fn tcp(target: Target, limit: Duration) -> Result<(), String> {
    let tried = target.describe(target.address);
    within(limit, target.connect())
        .await
        .map(drop)
        .map_err(|error| format!("{tried}: {error}"))
}

/// Succeeds when the page is answered with a status from 200 to 399. A unit that wants the PROXY
/// protocol gets its shortest header, which names no client.
///
/// # Errors
/// Why it did not, for people.
pub async fn http(target: Target, check: &HttpCheck, limit: Duration) -> Result<(), String> {
    let path = &check.path;
    let tried = target.describe(format_args!("http://{}{path}", target.address));
    match within(limit, fetch(target, path)).await {
        Ok(200..=399) => Ok(()),
        Ok(status) => Err(format!("{tried}: answered {status}")),
        Err(error) => Err(format!("{tried}: {error}")),
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

async fn fetch(target: Target, path: &str) -> io::Result<u16> {
    let Target {
        address,
        send_proxy,
        ..
    } = target;
    let mut stream = target.connect().await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: simplenetesd\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    let request = [shortest_header(send_proxy), request.as_bytes()].concat();
    stream.write_all(&request).await?;
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') && answer.len() < ANSWER_BYTES_MAX {
        if stream.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    status(&answer)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

/// Of whoever speaks for itself, which names no addresses.
fn shortest_header(wanted: SendProxy) -> &'static [u8] {
    match wanted {
        SendProxy::None => b"",
        SendProxy::V1 => b"PROXY UNKNOWN\r\n",
        SendProxy::V2 => b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    }
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
        for wanted in SendProxy::ALL {
            check_one(answer, expected, wanted).await;
        }
    }

    async fn check_one(answer: &'static str, expected: Result<(), &str>, wanted: SendProxy) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            let asked = request[..length].strip_prefix(shortest_header(wanted));
            let begins = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:";
            assert!(asked.unwrap().starts_with(begins));
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let page = HttpCheck {
            port: 80,
            path: "/health".into(),
        };
        let mut target = Target::of(address);
        target.send_proxy = wanted;
        let (outcome, ()) = tokio::join!(http(target, &page, LIMIT), server);
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
        assert_eq!(tcp(Target::of(address), LIMIT).await, Ok(()));
        drop(listener);
        assert!(tcp(Target::of(address), LIMIT).await.is_err());
    }
}

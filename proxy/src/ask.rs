//! Asks the proxy that runs with a proxy.conf, at its METRICSSOCKET.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use sns_proxy::SocketPath;
use sns_proxy::config::beside;

/// How long each step of an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long an answer may be, in bytes.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
const HEADERS_MAX: usize = 16;

/// The socket of the proxy that runs with this file.
pub(crate) fn socket(file: &Path) -> anyhow::Result<PathBuf> {
    let config = sns_proxy::read_config(file)?;
    let Some(path) = config.metrics_socket else {
        bail!(
            "cannot ask the proxy of {0}: it names no METRICSSOCKET. Write `METRICSSOCKET metrics.sock` into it, \
             and send the proxy SIGHUP",
            file.display()
        );
    };
    Ok(beside(file, &path))
}

/// The process that answers there.
pub(crate) fn pid(socket: &Path) -> anyhow::Result<i32> {
    let stream = connected(socket)?;
    let peer = rustix::net::sockopt::socket_peercred(&stream)
        .with_context(|| format!("cannot see who answers at {}", socket.display()))?;
    Ok(peer.pid.as_raw_nonzero().get())
}

/// What is answered to a GET of `target`.
pub(crate) fn get(socket: &Path, target: &str) -> anyhow::Result<String> {
    asked(socket, "GET", target)
}

/// What is answered to a POST to `target`.
pub(crate) fn post(socket: &Path, target: &str) -> anyhow::Result<String> {
    asked(socket, "POST", target)
}

fn connected(socket: &Path) -> anyhow::Result<UnixStream> {
    let connected = SocketPath::of(socket).and_then(|short| UnixStream::connect(short.path()));
    connected.with_context(|| {
        format!(
            "cannot ask the proxy at {}. Does it run, as the same user, and has it read METRICSSOCKET",
            socket.display()
        )
    })
}

fn asked(socket: &Path, method: &str, target: &str) -> anyhow::Result<String> {
    let at = || format!("cannot ask the proxy at {}", socket.display());
    let mut stream = connected(socket)?;
    let mut answer = Vec::new();
    let mut exchange = || -> std::io::Result<()> {
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_write_timeout(Some(ANSWER_MAX))?;
        let request = format!("{method} {target} HTTP/1.1\r\nHost: proxy\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        (&mut stream)
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut answer)?;
        Ok(())
    };
    exchange().with_context(|| format!("{}, try again", at()))?;
    body(&answer).with_context(at)
}

/// The body of a whole answer.
fn body(answer: &[u8]) -> anyhow::Result<String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(length)) = head.parse(answer) else {
        bail!("what it answers is not HTTP: METRICSSOCKET names the socket of something else");
    };
    let body = String::from_utf8_lossy(answer.get(length..).unwrap_or_default());
    if head.code != Some(200) {
        bail!(
            "it answers {}: {}",
            head.code.unwrap_or_default(),
            body.trim_end()
        );
    }
    let promised = head
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let promised = promised.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
    if promised.is_some_and(|promised: usize| promised != answer.len().saturating_sub(length)) {
        bail!("it broke off within its answer, try again");
    }
    Ok(body.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let check = |answer: &str, expected: &str| {
            let found = body(answer.as_bytes()).unwrap_or_else(|error| error.to_string());
            assert_eq!(found, expected, "{answer:?}");
        };
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc");
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
            "it broke off within its answer, try again",
        );
        check(
            "HTTP/1.1 408 Request Timeout\r\n\r\nlate\n",
            "it answers 408: late",
        );
        let foreign =
            "what it answers is not HTTP: METRICSSOCKET names the socket of something else";
        check("SSH-2.0-OpenSSH\r\n", foreign);
        check("", foreign);
    }
}

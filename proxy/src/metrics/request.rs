//! What is asked at the socket, and the answer: as much of HTTP/1.1 as `curl --unix-socket` and Prometheus need.
//!
//! Pure: bytes in, what they ask for out; a body in, bytes out. One request for each connection, without a body.

/// How long a request may be, in bytes.
pub(super) const REQUEST_MAX: usize = 8 << 10;
/// How many lines it may have.
const HEADERS_MAX: usize = 64;

/// What somebody wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Metrics,
    /// Of this cluster port, or all.
    Connections(Option<u16>),
    /// That whoever asks goes on with what this proxy carries.
    Upgrade,
}

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// There is more to come.
    Partial,
    Whole(Wanted),
    /// Something that is not answered, with what is said to it.
    Refused(Status, &'static str),
}

/// Status lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Fine,
    Bad,
    NotFound,
    NotAllowed,
    Conflict,
    Timeout,
    TooLong,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Fine => "200 OK",
            Self::Bad => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::NotAllowed => "405 Method Not Allowed",
            Self::Conflict => "409 Conflict",
            Self::Timeout => "408 Request Timeout",
            Self::TooLong => "431 Request Header Fields Too Large",
        }
    }
}

/// Understands a request.
pub(super) fn parse(bytes: &[u8]) -> Asked {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if bytes.len() < REQUEST_MAX => return Asked::Partial,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Asked::Refused(Status::TooLong, "the request is longer than 8 KiB\n");
        }
        Err(_) => return Asked::Refused(Status::Bad, "this is not HTTP/1.1\n"),
    }
    if (request.method, request.path) == (Some("POST"), Some("/upgrade")) {
        return Asked::Whole(Wanted::Upgrade);
    }
    if request.method != Some("GET") {
        return Asked::Refused(Status::NotAllowed, "only GET is answered\n");
    }
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match path {
        "/metrics" => Asked::Whole(Wanted::Metrics),
        "/connections" => connections(query),
        _ => Asked::Refused(
            Status::NotFound,
            "there are /metrics, /connections and /connections?port=NUMBER\n",
        ),
    }
}

fn connections(query: &str) -> Asked {
    if query.is_empty() {
        return Asked::Whole(Wanted::Connections(None));
    }
    let port = query
        .strip_prefix("port=")
        .and_then(|port| port.parse().ok());
    match port {
        Some(port) => Asked::Whole(Wanted::Connections(Some(port))),
        None => Asked::Refused(Status::Bad, "write /connections?port=NUMBER\n"),
    }
}

/// An answer, whole.
pub(super) fn answer(status: Status, kind: &str, body: &str) -> Vec<u8> {
    let allow = if status == Status::NotAllowed {
        "Allow: GET\r\n"
    } else {
        ""
    };
    format!(
        "HTTP/1.1 {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}Connection: close\r\n\r\n{body}",
        status.line(),
        body.len(),
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &Asked) {
        assert_eq!(parse(text.as_bytes()), *expected, "{text:?}");
    }

    #[test]
    fn requests() {
        let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: proxy\r\n\r\n");
        check(&get("/metrics"), &Asked::Whole(Wanted::Metrics));
        check(&get("/metrics?x"), &Asked::Whole(Wanted::Metrics));
        check(
            &get("/connections"),
            &Asked::Whole(Wanted::Connections(None)),
        );
        check(
            &get("/connections?port=61000"),
            &Asked::Whole(Wanted::Connections(Some(61000))),
        );
        check("GET /metrics HTTP/1.1\r\nHost:", &Asked::Partial);
        check("", &Asked::Partial);
        let refused = |text: &str, expected: Status| match parse(text.as_bytes()) {
            Asked::Refused(status, _) => assert_eq!(status, expected, "{text:?}"),
            other => panic!("{text:?}: {other:?}"),
        };
        refused(&get("/"), Status::NotFound);
        refused(&get("/connections?port=x"), Status::Bad);
        refused("POST /metrics HTTP/1.1\r\n\r\n", Status::NotAllowed);
        refused("\x16\x03\x01\x02\r\n\r\n", Status::Bad);
        let long = format!("GET /metrics HTTP/1.1\r\nA: {}", "a".repeat(REQUEST_MAX));
        refused(&long, Status::TooLong);
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(100));
        refused(&many, Status::TooLong);
    }

    #[test]
    fn answers() {
        let text = String::from_utf8(answer(Status::NotAllowed, "text/plain", "no\n")).unwrap();
        let expected = "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\
                        Allow: GET\r\nConnection: close\r\n\r\nno\n";
        assert_eq!(text, expected);
    }
}

//! An event as a record for machines: its kind in `snake_case`, its fields, and the sentence that people read.

use serde_json::{Map, Value, json};

use super::{Event, FileNews, MetricsNews, PeerNews, PortNews, Warning};

/// How much of a second is told.
fn seconds(time: std::time::Duration) -> Value {
    // Whole ones stay whole: 5, not 5.0.
    if time.subsec_nanos() == 0 {
        json!(time.as_secs())
    } else {
        json!(time.as_secs_f64())
    }
}

impl Event {
    /// The event as one JSON object: `level`, `event` (its kind), what it is about, and `message`, the sentence.
    /// Whoever writes it down adds the time. Kinds and fields only grow.
    ///
    /// Fields, each where it makes sense: `cluster_port`, `backend` (address of a pod's host port), `proxy`
    /// (address of another host's proxy), `client` (address), `address` (of an own port), `path`, `failures` (in a
    /// row), `seconds`, `count`, `max`, `busy`, `warning`, `ports`, `hosts`, `error`.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let (kind, fields) = self.parts();
        let mut record = Map::new();
        record.insert("level".into(), json!(self.level().to_string()));
        record.insert("event".into(), json!(kind));
        if let Value::Object(fields) = fields {
            record.extend(fields);
        }
        record.insert("message".into(), json!(self.to_string()));
        record
    }

    /// Its kind, and its fields as an object.
    fn parts(&self) -> (&'static str, Value) {
        match self {
            Self::Port(at, news) => news.parts(&json!(at)),
            Self::File(path, news) => news.parts(&json!(path.display().to_string())),
            Self::Metrics(path, news) => news.parts(&json!(path.display().to_string())),
            Self::Peer(proxy, news) => news.parts(&json!(proxy)),
            Self::Stranger(client, why) => (
                "stranger",
                json!({ "client": client, "error": why.to_string() }),
            ),
            Self::KeysRefused(why) => ("keys_refused", json!({ "error": why })),
            Self::Unknown(proxies) => ("proxies_unknown", json!({ "proxies": proxies })),
            Self::WorkerLost => ("worker_lost", json!({})),
            Self::NoAddress => ("no_address", json!({})),
            Self::Barred(ports) => ("ports_barred", json!({ "ports": ports })),
            Self::Routes { ports, peers } => {
                ("routes_changed", json!({ "count": ports, "hosts": peers }))
            }
            Self::BackendFailed(port, backend, why) => (
                "backend_failed",
                json!({ "cluster_port": port, "backend": backend, "error": why.to_string() }),
            ),
            Self::Ejected {
                port,
                backend,
                failures,
                time,
            } => (
                "backend_ejected",
                json!({
                    "cluster_port": port, "backend": backend, "failures": failures, "seconds": seconds(*time),
                }),
            ),
            Self::Readmitted {
                port,
                backend,
                failures,
                away,
            } => (
                "backend_readmitted",
                json!({
                    "cluster_port": port, "backend": backend, "failures": failures, "seconds": seconds(*away),
                }),
            ),
            Self::PeerFailed(port, proxy, why) => (
                "proxy_failed",
                json!({ "cluster_port": port, "proxy": proxy, "error": why.to_string() }),
            ),
            Self::NotServed { .. }
            | Self::NoHeader { .. }
            | Self::BadRequest(_)
            | Self::NoRequest(_)
            | Self::LeftOut(..)
            | Self::Opened(..)
            | Self::Broken(..)
            | Self::Draining(_)
            | Self::Upgrading(_)
            | Self::NotUpgraded(..)
            | Self::Succeeded(_)
            | Self::ServesOut(..)
            | Self::ServedOut
            | Self::Tracked { .. }
            | Self::Cut(_) => self.parts_of_connections(),
        }
    }

    /// Those about connections, and who carries them.
    fn parts_of_connections(&self) -> (&'static str, Value) {
        match self {
            Self::NotServed { port, client, busy } => (
                "not_served",
                json!({ "cluster_port": port, "client": client, "busy": busy }),
            ),
            Self::NoHeader { port, client, why } => (
                "no_header",
                json!({ "cluster_port": port, "client": client, "error": why.to_string() }),
            ),
            Self::BadRequest(client) => ("bad_request", json!({ "client": client })),
            Self::NoRequest(client) => ("no_request", json!({ "client": client })),
            Self::LeftOut(warning, count) => (
                "warnings_left_out",
                json!({ "warning": warning.name(), "count": count }),
            ),
            Self::Opened(port, client) => (
                "connection_opened",
                json!({ "cluster_port": port, "client": client }),
            ),
            Self::Broken(port, client, why) => (
                "connection_broken",
                json!({ "cluster_port": port, "client": client, "error": why.to_string() }),
            ),
            Self::Draining(open) => ("draining", json!({ "count": open })),
            Self::Upgrading(program) => (
                "upgrading",
                json!({ "path": program.display().to_string() }),
            ),
            Self::NotUpgraded(program, why) => (
                "not_upgraded",
                json!({ "path": program.display().to_string(), "error": why }),
            ),
            Self::Succeeded(program) => (
                "succeeded",
                json!({ "path": program.display().to_string() }),
            ),
            Self::ServesOut(open, limit) => (
                "serves_out",
                json!({ "count": open, "seconds": seconds(*limit) }),
            ),
            Self::ServedOut => ("served_out", json!({})),
            Self::Tracked { count, max } => (
                "conntrack_nearly_full",
                json!({ "count": count, "max": max }),
            ),
            Self::Cut(open) => ("connections_cut", json!({ "count": open })),
            // All others stand in `parts`.
            _ => ("other", json!({})),
        }
    }
}

impl Warning {
    /// The kind of the events that are left out.
    fn name(self) -> &'static str {
        match self {
            Self::Backend => "backend_failed",
            Self::Peer => "proxy_failed",
            Self::NotServed => "not_served",
            Self::NoHeader => "no_header",
            Self::BadRequest => "bad_request",
            Self::Stranger => "stranger",
            Self::CannotAccept => "cannot_accept",
        }
    }
}

impl PeerNews {
    fn parts(&self, proxy: &Value) -> (&'static str, Value) {
        match self {
            Self::Joined => ("proxy_joined", json!({ "proxy": proxy })),
            Self::Silent => ("proxy_silent", json!({ "proxy": proxy })),
            Self::Unreachable(why) => (
                "proxy_unreachable",
                json!({ "proxy": proxy, "error": why.to_string() }),
            ),
        }
    }
}

impl PortNews {
    fn parts(&self, at: &Value) -> (&'static str, Value) {
        match self {
            Self::Opened => ("port_opened", json!({ "address": at })),
            Self::Closed => ("port_closed", json!({ "address": at })),
            Self::CannotOpen(why) => ("cannot_listen", json!({ "address": at, "error": why })),
            Self::CannotAccept(why) => (
                "cannot_accept",
                json!({ "address": at, "error": why.to_string() }),
            ),
        }
    }
}

impl MetricsNews {
    fn parts(&self, path: &Value) -> (&'static str, Value) {
        match self {
            Self::Opened => ("metrics_opened", json!({ "path": path })),
            Self::Closed => ("metrics_closed", json!({ "path": path })),
            Self::CannotOpen(why) => ("cannot_show_metrics", json!({ "path": path, "error": why })),
        }
    }
}

impl FileNews {
    fn parts(&self, path: &Value) -> (&'static str, Value) {
        match self {
            Self::Refused(why) => ("file_refused", json!({ "path": path, "error": why })),
            Self::Missing => ("file_missing", json!({ "path": path })),
            Self::Fine => ("file_fine", json!({ "path": path })),
            Self::CannotWatch(why) => ("cannot_watch", json!({ "path": path, "error": why })),
            Self::SettingsRefused(problems) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                (
                    "settings_refused",
                    json!({ "path": path, "error": problems.join("\n") }),
                )
            }
            Self::SettingsRead => ("settings_read", json!({ "path": path })),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;

    fn check(event: &Event, expected: &str) {
        let record = Value::Object(event.to_json());
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(record, expected, "{event:?}");
    }

    #[test]
    fn ejections_and_readmissions_tell_everything() {
        let (port, backend) = (61000, "10.0.0.1:30000".parse().unwrap());
        check(
            &Event::Ejected {
                port,
                backend,
                failures: 3,
                time: Duration::from_secs(5),
            },
            r#"{"level": "warning", "event": "backend_ejected", "cluster_port": 61000, "backend": "10.0.0.1:30000",
                "failures": 3, "seconds": 5,
                "message": "backend 10.0.0.1:30000 of cluster port 61000 comes last for 5 s"}"#,
        );
        check(
            &Event::Readmitted {
                port,
                backend,
                failures: 4,
                away: Duration::from_millis(15_250),
            },
            r#"{"level": "info", "event": "backend_readmitted", "cluster_port": 61000,
                "backend": "10.0.0.1:30000", "failures": 4, "seconds": 15.25,
                "message": "backend 10.0.0.1:30000 of cluster port 61000 answers again"}"#,
        );
    }

    #[test]
    fn every_event_has_a_kind_of_its_own() {
        let at: SocketAddr = "10.0.0.1:1".parse().unwrap();
        let path = || std::path::PathBuf::from("/p");
        let error = || io::Error::from(io::ErrorKind::TimedOut);
        let text = || "why".to_owned();
        let (port, busy, time) = (1, true, Duration::ZERO);
        let events = [
            Event::Port(at, PortNews::Opened),
            Event::Port(at, PortNews::Closed),
            Event::Port(at, PortNews::CannotOpen(text())),
            Event::Port(at, PortNews::CannotAccept(error())),
            Event::Metrics(path(), MetricsNews::Opened),
            Event::Metrics(path(), MetricsNews::Closed),
            Event::Metrics(path(), MetricsNews::CannotOpen(text())),
            Event::WorkerLost,
            Event::NoAddress,
            Event::Barred(vec![1]),
            Event::Routes { ports: 1, peers: 2 },
            Event::File(path(), FileNews::Refused(text())),
            Event::File(path(), FileNews::Missing),
            Event::File(path(), FileNews::Fine),
            Event::File(path(), FileNews::CannotWatch(text())),
            Event::File(path(), FileNews::SettingsRefused(Vec::new())),
            Event::File(path(), FileNews::SettingsRead),
            Event::BackendFailed(port, at, error()),
            Event::Ejected {
                port,
                backend: at,
                failures: 3,
                time,
            },
            Event::Readmitted {
                port,
                backend: at,
                failures: 3,
                away: time,
            },
            Event::PeerFailed(port, at, error()),
            Event::NotServed {
                port,
                client: at,
                busy,
            },
            Event::BadRequest(at),
            Event::NoRequest(at),
            Event::LeftOut(Warning::Peer, 1),
            Event::Opened(port, at),
            Event::Broken(port, at, error()),
            Event::Draining(1),
            Event::Succeeded(path()),
            Event::ServesOut(1, time),
            Event::ServedOut,
            Event::Tracked { count: 1, max: 1 },
            Event::Cut(1),
        ];
        let mut kinds: Vec<&str> = events.iter().map(|event| event.parts().0).collect();
        assert!(!kinds.contains(&"other"), "{kinds:?}");
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), events.len());
    }
}

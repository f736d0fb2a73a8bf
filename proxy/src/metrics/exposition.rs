//! The metrics of a proxy by name. Names and labels are promised to dashboards: they only grow.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::connections::pod_of;
use super::histogram::{Histogram, Sum};
use super::text::{Labels, Text};
use super::{BackendTally, Board, Counter, PortTally, Sources, Way};
use crate::conntrack::{FOLDER, Tracked};
use crate::health::Standing;
use crate::table::{Routes, Slot};

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";
const HISTOGRAM: &str = "histogram";

/// All metrics as text.
pub(crate) fn render(sources: &Sources) -> String {
    let mut text = Text::default();
    about_the_process(&mut text);
    about_the_kernel(&mut text);
    about_settings(&mut text, sources);
    about_connections(&mut text, sources);
    about_ports(&mut text, sources);
    about_backends(&mut text, sources);
    text.finish()
}

fn about_the_process(text: &mut Text) {
    text.family("sns_proxy_build_info", GAUGE, "The version that runs.");
    text.sample(&[("version", &env!("CARGO_PKG_VERSION"))], 1);
    if let Some(seconds) = super::process::start_time() {
        text.single(
            "sns_proxy_start_time_seconds",
            GAUGE,
            "When the process was started, in seconds since 1970.",
            format_args!("{seconds:.2}"),
        );
    }
    if let Some(open) = super::process::open_descriptors() {
        text.single(
            "sns_proxy_open_descriptors",
            GAUGE,
            "Open file descriptors; a connection takes two, and more while it is spliced.",
            open,
        );
    }
    if let Some(limit) = super::process::descriptors_max() {
        text.single(
            "sns_proxy_descriptors_limit",
            GAUGE,
            "How many file descriptors may be open.",
            limit,
        );
    }
}

fn about_the_kernel(text: &mut Text) {
    let Some(tracked) = Tracked::read(FOLDER.as_ref()) else {
        return;
    };
    text.single(
        "sns_proxy_conntrack_entries",
        GAUGE,
        "Connections that the kernel tracks in the network of the proxy, where it tracks any.",
        tracked.count,
    );
    text.single(
        "sns_proxy_conntrack_entries_limit",
        GAUGE,
        "How many it can track; new ones are lost when there are so many.",
        tracked.max,
    );
}

fn about_settings(text: &mut Text, sources: &Sources) {
    let status = sources.status.borrow();
    let relay = usize::from(status.relay.is_some());
    text.single(
        "sns_proxy_config_reads_total",
        COUNTER,
        "How many times proxy.conf was read, with or without success.",
        status.config_reads,
    );
    text.single(
        "sns_proxy_listeners_open",
        GAUGE,
        "Open ports: cluster ports, and the one for other proxies.",
        status.cluster_ports.len() + relay,
    );
    text.single(
        "sns_proxy_listeners_failed",
        GAUGE,
        "Ports that cannot be opened, and are tried again.",
        status.failed.len(),
    );
    text.single(
        "sns_proxy_peers",
        GAUGE,
        "Proxies of other hosts that are known.",
        status.peers.len(),
    );
    text.single(
        "sns_proxy_workers",
        GAUGE,
        "Threads that carry connections.",
        sources.boards.len(),
    );
}

fn about_connections(text: &mut Text, sources: &Sources) {
    let sum = |pick: fn(&Board) -> &Counter| -> u64 {
        sources.boards.iter().map(|board| pick(board).get()).sum()
    };
    let order = std::sync::atomic::Ordering::Relaxed;
    text.single(
        "sns_proxy_connections_active",
        GAUGE,
        "Connections now, also those that wait, dial or come from other proxies.",
        sources.counts.open.load(order),
    );
    text.single(
        "sns_proxy_connections_queued",
        GAUGE,
        "Clients that wait for a place at a full backend now.",
        sources.counts.queued.load(order),
    );
    text.single(
        "sns_proxy_relay_accepts_total",
        COUNTER,
        "Clients of other hosts that their proxies have asked for a backend.",
        sum(|board| &board.relay_accepts),
    );
    text.single(
        "sns_proxy_accept_failures_total",
        COUNTER,
        "Connections that could not be accepted, mostly for want of descriptors.",
        sum(|board| &board.not_accepted),
    );
    text.single(
        "sns_proxy_refused_requests_total",
        COUNTER,
        "Connections to the port for proxies that did not ask for a cluster port.",
        sum(|board| &board.refused),
    );
    text.single(
        "sns_proxy_broken_connections_total",
        COUNTER,
        "Connections that one side broke off.",
        sum(|board| &board.broken),
    );
    text.family(
        "sns_proxy_queue_wait_seconds",
        HISTOGRAM,
        "How long clients that got a place after waiting were connected before.",
    );
    text.histogram(&[], &added(sources, |board| &board.waits));
    text.family(
        "sns_proxy_connect_seconds",
        HISTOGRAM,
        "How long it took to reach a backend: inside its pod's network, at its host port, or through another proxy.",
    );
    for way in Way::ALL {
        let sum = added(sources, |board| board.connects(way));
        text.histogram(&[("way", &way.name())], &sum);
    }
}

fn added(sources: &Sources, pick: impl Fn(&Board) -> &Histogram) -> Sum {
    let mut sum = Sum::default();
    for board in &sources.boards {
        pick(board).add_to(&mut sum);
    }
    sum
}

/// What all boards say of each cluster port that is open, has backends, or had connections.
fn about_ports(text: &mut Text, sources: &Sources) {
    let mut ports: BTreeMap<Option<u16>, Vec<Arc<PortTally>>> = BTreeMap::new();
    let open: Vec<u16> = {
        let status = sources.status.borrow();
        status.cluster_ports.iter().map(SocketAddr::port).collect()
    };
    let routed = Arc::clone(&sources.routes.borrow());
    for port in open.into_iter().chain(routed.ports()) {
        ports.entry(Some(port)).or_default();
    }
    for (port, tally) in sources.boards.iter().flat_map(|board| board.ports.all()) {
        ports.entry(port).or_default().push(tally);
    }
    let mut family = |name, help, samples: &[PortSample<'_>]| {
        text.family(name, COUNTER, help);
        for (port, tallies) in &ports {
            let port = port.map_or_else(|| "other".to_owned(), |port| port.to_string());
            for (labels, pick) in samples {
                let mut all: Vec<(&str, &dyn std::fmt::Display)> = vec![("cluster_port", &port)];
                all.extend_from_slice(labels);
                let value: u64 = tallies.iter().map(|tally| pick(tally).get()).sum();
                text.sample(&all, value);
            }
        }
    };
    family(
        "sns_proxy_accepts_total",
        "Clients that were accepted at a cluster port.",
        &[(&[], |tally| &tally.accepts)],
    );
    family(
        "sns_proxy_bytes_total",
        "Bytes from clients (up) and to them (down), copied or spliced, which is without a copy.",
        &BYTES,
    );
    family(
        "sns_proxy_turned_away_total",
        "Clients that were reset because all backends are full (busy), or none answers.",
        &[
            (&[("reason", &"busy")], |tally| &tally.busy),
            (&[("reason", &"unanswered")], |tally| &tally.unanswered),
        ],
    );
    family(
        "sns_proxy_retries_total",
        "Second and further choices that were dialled after one that failed.",
        &[(&[], |tally| &tally.retries)],
    );
    family(
        "sns_proxy_hedges_total",
        "Second and further choices that were dialled beside one that was silent.",
        &[(&[], |tally| &tally.hedges)],
    );
}

/// More labels, and the number that belongs to them.
type PortSample<'a> = (Labels<'a>, fn(&PortTally) -> &Counter);

const BYTES: [PortSample<'static>; 4] = [
    (&[("direction", &"up"), ("way", &"copied")], |tally| {
        &tally.up.copied
    }),
    (&[("direction", &"up"), ("way", &"spliced")], |tally| {
        &tally.up.spliced
    }),
    (&[("direction", &"down"), ("way", &"copied")], |tally| {
        &tally.down.copied
    }),
    (&[("direction", &"down"), ("way", &"spliced")], |tally| {
        &tally.down.spliced
    }),
];

type BackendKey = Option<(u16, SocketAddr)>;

type Slots<'a> = BTreeMap<(u16, SocketAddr), Vec<&'a Slot>>;

/// What all boards, and the routes, say of each backend and each other proxy.
fn about_backends(text: &mut Text, sources: &Sources) {
    let mut backends: BTreeMap<BackendKey, Vec<Arc<BackendTally>>> = BTreeMap::new();
    let routes = Arc::clone(&sources.routes.borrow());
    let slots = named(&routes);
    for key in slots.keys() {
        backends.entry(Some(*key)).or_default();
    }
    for (key, tally) in sources.boards.iter().flat_map(|board| board.backends.all()) {
        backends.entry(key).or_default().push(tally);
    }
    let names: BTreeMap<BackendKey, Vec<(&str, String)>> = backends
        .keys()
        .map(|key| (*key, labels_of(*key, &slots)))
        .collect();
    let mut counters = |name, help, pick: fn(&BackendTally) -> &Counter| {
        text.family(name, COUNTER, help);
        for (key, tallies) in &backends {
            let value: u64 = tallies.iter().map(|tally| pick(tally).get()).sum();
            sample(text, names.get(key), value);
        }
    };
    counters(
        "sns_proxy_connects_total",
        "Connections to a backend or another proxy that were made.",
        |tally| &tally.connects,
    );
    counters(
        "sns_proxy_connect_failures_total",
        "Backends and other proxies that did not answer when they were dialled.",
        |tally| &tally.failures,
    );
    counters(
        "sns_proxy_ejections_total",
        "How often a backend has come last, because it failed several times in a row.",
        |tally| &tally.ejections,
    );
    counters(
        "sns_proxy_readmissions_total",
        "How often a backend that came last has answered again.",
        |tally| &tally.readmissions,
    );
    let now = sources.began.elapsed().as_millis();
    let now_ms = u64::try_from(now).unwrap_or(u64::MAX);
    let mut gauges = |name, help, value: &dyn Fn(&Slot) -> u32| {
        text.family(name, GAUGE, help);
        for (key, slots) in &slots {
            let sum = slots.iter().map(|slot| u64::from(value(slot))).sum();
            sample(text, names.get(&Some(*key)), sum);
        }
    };
    gauges(
        "sns_proxy_backend_connections_active",
        "Connections that a backend of this host has now.",
        &|slot| slot.load(now_ms).active,
    );
    gauges(
        "sns_proxy_backend_connections_max",
        "Connections that a backend of this host may have.",
        &|slot| slot.max_conn,
    );
    gauges(
        "sns_proxy_backend_ejected",
        "1 while a backend comes last, or is to be tried again.",
        &|slot| u32::from(slot.load(now_ms).standing != Standing::Good),
    );
}

/// All backends of this host. Those that others know by one name are told together.
fn named(routes: &Routes) -> Slots<'_> {
    let mut slots = Slots::new();
    for port in routes.ports() {
        for slot in routes.slots(port) {
            slots.entry((port, slot.name())).or_default().push(slot);
        }
    }
    slots
}

fn labels_of(key: BackendKey, slots: &Slots<'_>) -> Vec<(&'static str, String)> {
    let Some((port, backend)) = key else {
        let other = || "other".to_owned();
        return vec![("cluster_port", other()), ("backend", other())];
    };
    let mut labels = vec![
        ("cluster_port", port.to_string()),
        ("backend", backend.to_string()),
    ];
    let known = slots.get(&(port, backend)).and_then(|slots| slots.first());
    let pod = known.and_then(|slot| pod_of(slot));
    labels.extend(pod.map(|pod| ("pod", pod.to_string())));
    labels
}

fn sample(text: &mut Text, labels: Option<&Vec<(&str, String)>>, value: u64) {
    let labels: Vec<(&str, &dyn std::fmt::Display)> = labels
        .into_iter()
        .flatten()
        .map(|(name, value)| (*name, value as &dyn std::fmt::Display))
        .collect();
    text.sample(&labels, value);
}

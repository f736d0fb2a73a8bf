//! Which backend and which host a client reaches, and what happens when some do not answer.

use std::time::Duration;

use sns_proxy::Patience;
use tokio::net::TcpListener;

use crate::cluster::{Host, PORT, UNHURRIED, address, open_everywhere, open_with, rest};

/// More than enough for every order of two or three to have come up.
const TRIES: usize = 20;

async fn answers(host: &Host) -> Vec<String> {
    let mut answers = Vec::new();
    for _ in 0..TRIES {
        answers.push(rest(&mut host.connect(PORT).await).await);
    }
    answers.sort();
    answers.dedup();
    answers
}

/// An address of which nobody answers.
async fn nobody() -> std::net::SocketAddr {
    TcpListener::bind((address(), 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

/// A host with one pod that says its name.
async fn named(name: &'static str, max_conn: u32) -> Host {
    let host = Host::start().await;
    host.mapped(max_conn, false).await.answering(name);
    host
}

#[tokio::test]
async fn two_pods_of_a_host_share_its_clients() {
    let host = Host::start().await;
    let (one, two) = (host.backend().await, host.backend().await);
    host.map(&[one.mapping(100, false), two.mapping(100, false)])
        .await;
    one.answering("one");
    two.answering("two");
    assert_eq!(answers(&host).await, ["one", "two"]);
}

#[tokio::test]
async fn a_killed_pod_is_skipped() {
    let host = Host::start().await;
    let (one, two) = (host.backend().await, host.backend().await);
    host.map(&[one.mapping(100, false), two.mapping(100, false)])
        .await;
    drop(one);
    two.answering("two");
    assert_eq!(answers(&host).await, ["two"]);
}

#[tokio::test]
async fn the_own_pod_comes_first() {
    let (near, far) = (named("near", 100).await, named("far", 100).await);
    near.meet(&[far.relay()]).await;
    assert_eq!(answers(&near).await, ["near"]);
}

#[tokio::test]
async fn other_hosts_share_the_clients_of_a_host_without_the_pod() {
    let (near, one, two) = (
        Host::start().await,
        named("one", 100).await,
        named("two", 100).await,
    );
    open_everywhere(&near, &[one.relay(), two.relay()]).await;
    assert_eq!(answers(&near).await, ["one", "two"]);
}

#[tokio::test]
async fn hosts_that_cannot_serve_are_skipped() {
    // One has no such pod, one's pod is dead, one is full, one is down; the last one serves.
    let (near, without, full) = (
        Host::start().await,
        Host::start().await,
        named("full", 0).await,
    );
    let (dead, serving) = (Host::start().await, named("serving", 100).await);
    drop(dead.mapped(10, false).await);
    let others = [
        without.relay(),
        dead.relay(),
        full.relay(),
        nobody().await,
        serving.relay(),
    ];
    open_with(&near, "LEGACY yes", &others).await;
    assert_eq!(answers(&near).await, ["serving"]);
}

#[tokio::test]
async fn a_full_host_hands_over_to_the_next() {
    let (near, far) = (named("near", 0).await, named("far", 100).await);
    near.meet(&[far.relay()]).await;
    assert_eq!(answers(&near).await, ["far"]);
}

#[tokio::test]
async fn a_client_that_nobody_serves_is_reset() {
    let mut near = Host::start().await;
    open_with(&near, "LEGACY yes", &[nobody().await]).await;
    near.resets(PORT).await;
    near.said("cluster port 61000: no backend answers").await;
}

#[tokio::test]
async fn not_every_client_that_nobody_serves_is_a_line_in_the_log() {
    let host = Host::with(Patience {
        ten_warnings_in: Duration::from_secs(3600),
        ..UNHURRIED
    })
    .await;
    drop(host.mapped(10, false).await);
    for _ in 0..TRIES {
        host.resets(PORT).await;
    }
    let warnings: Vec<_> = host
        .end()
        .await
        .into_iter()
        .filter(|line| line.starts_with("warning: "))
        .collect();
    let counted = |part: &str| warnings.iter().filter(|line| line.contains(part)).count();
    assert_eq!(counted("cluster port 61000: no backend answers"), 10);
    assert_eq!(
        counted("left out 10 more warnings of clients that nobody served"),
        1
    );
    assert_eq!(
        counted("left out 10 more warnings of backends that do not answer"),
        1
    );
    assert_eq!(counted("comes last for 5 s"), 1);
    assert_eq!(warnings.len(), 23, "{warnings:#?}");
}

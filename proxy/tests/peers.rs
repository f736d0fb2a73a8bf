//! Proxies that know each other by their keys: who is believed, what they tell each other, and what becomes of
//! clients meanwhile.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hostfiles::{Format as _, Peer, Peers, replace};
use proxykeys::ProxyKeys;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::cluster::{
    Backend, Host, PORT, UNHURRIED, hear, introduce, open_everywhere, open_with, rest, say, within,
};
use crate::wire::Wire;

/// Two hosts; the pod is on the other one and says its name.
async fn two() -> (Host, Host) {
    let (near, far) = (Host::start().await, Host::start().await);
    far.mapped(1000, false).await.answering("far");
    open_everywhere(&near, &[far.relay()]).await;
    (near, far)
}

/// A host with a pod behind a wire, and one whose clients get there.
async fn wired(settings: &str) -> (Host, Host, Backend, Wire) {
    let (near, far) = (Host::start().await, Host::start().await);
    // Before the two know each other: a client may come before a word about a pod.
    let backend = far.mapped(10, false).await;
    introduce(near.relay(), &[far.relay()]);
    let wire = Wire::to(far.relay()).await;
    near.write("clusterports.conf", &format!("{PORT}\n"));
    near.set(&format!("CLUSTERPORTSCONF clusterports.conf\n{settings}"))
        .await;
    let known: Option<Peers> =
        hostfiles::read_if_present(&near.folder.path().join("peers.conf")).unwrap();
    let keys = known.unwrap().keys_of(far.relay()).to_vec();
    let mut peers = vec![Peer {
        address: near.relay(),
        keys: keys.clone(),
    }];
    peers.push(Peer {
        address: wire.address,
        keys,
    });
    near.write("peers.conf", &Peers(peers).to_text());
    near.write(
        "hosts.conf",
        &format!("{}\n{}\n", near.relay(), wire.address),
    );
    near.until(|status| status.peers == [wire.address]).await;
    (near, far, backend, wire)
}

async fn is_reset(host: &Host) -> bool {
    let Ok(mut client) = TcpStream::connect((host.ip, PORT)).await else {
        return true;
    };
    let mut byte = [0];
    within(client.read(&mut byte)).await.is_err()
}

#[tokio::test]
async fn a_stranger_gets_nothing() {
    let mut host = Host::start().await;
    host.mapped(10, false).await.answering("pod");
    let line = format!("PROXY TCP4 1.2.3.4 1.2.3.4 123 {PORT}\r\n");
    let ticket = format!("SNS\u{1}{}", "x".repeat(200));
    for said in [line.as_str(), ticket.as_str()] {
        let mut stranger = within(TcpStream::connect(host.relay())).await.unwrap();
        say(&mut stranger, said).await;
        let mut answer = Vec::new();
        // It may be reset, because what it has said was not read to its end.
        let _ = within(stranger.read_to_end(&mut answer)).await;
        assert_eq!(answer, b"", "{said:?}");
        host.said("did not ask for a cluster port").await;
    }
}

#[tokio::test]
async fn a_proxy_whose_key_is_not_known_gets_nothing_and_knows_it() {
    let (mut near, mut far) = two().await;
    assert_eq!(rest(&mut near.connect(PORT).await).await, "far");
    // The other one does not know this one's new key.
    let other = ProxyKeys::generate().unwrap().to_text("of nobody");
    let path = near.folder.path().join("proxy-key.txt");
    replace(&path, other.as_bytes(), 0o600).unwrap();
    near.said("cannot talk with proxy").await;
    far.said("is no proxy of this cluster").await;
}

#[tokio::test]
async fn a_key_that_others_can_read_is_refused() {
    let mut host = Host::start().await;
    let path = host.folder.path().join("proxy-key.txt");
    let text = std::fs::read(&path).unwrap();
    replace(&path, &text, 0o644).unwrap();
    host.said("can be read by others").await;
}

#[tokio::test]
async fn proxies_without_keys_are_not_asked() {
    let (mut near, far) = (Host::start().await, Host::start().await);
    far.mapped(10, false).await.answering("far");
    near.write("clusterports.conf", &format!("{PORT}\n"));
    near.set("CLUSTERPORTSCONF clusterports.conf").await;
    near.write(
        "hosts.conf",
        &format!("{}\n{}\n", near.relay(), far.relay()),
    );
    near.said(&format!("not asking {}", far.relay())).await;
    near.resets(PORT).await;
}

#[tokio::test]
async fn what_a_host_has_is_told_as_it_changes() {
    let (mut near, far) = two().await;
    assert_eq!(rest(&mut near.connect(PORT).await).await, "far");
    far.map(&[]).await;
    within(async { while !is_reset(&near).await {} }).await;
    // It knows already: nobody was asked in vain.
    assert!(!near.has_said("failed for cluster port"));
    far.mapped(10, false).await.answering("again");
    within(async { while is_reset(&near).await {} }).await;
    assert_eq!(rest(&mut near.connect(PORT).await).await, "again");
}

#[tokio::test]
async fn what_the_client_says_is_not_held_back_until_the_other_proxy_has_answered() {
    let (near, _far, backend, wire) = wired("").await;
    // Once, so that the two know each other and a connection stands ready.
    let (mut client, mut server) = tokio::join!(near.connect(PORT), backend.accept());
    say(&mut client, "first").await;
    hear(&mut server, "first").await;
    wire.holds.send_replace(true);
    let mut client = near.connect(PORT).await;
    say(&mut client, "question").await;
    let mut server = backend.accept().await;
    hear(&mut server, "question").await;
    say(&mut server, "answer").await;
    wire.holds.send_replace(false);
    hear(&mut client, "answer").await;
    assert!(wire.carried("question"));
}

#[tokio::test]
async fn what_was_seen_on_the_wire_cannot_be_said_again() {
    let (near, far, backend, wire) = wired("").await;
    backend.answering("secret");
    assert_eq!(rest(&mut near.connect(PORT).await).await, "secret");
    let sent = wire.sent.lock().unwrap().clone();
    let mut tickets = 0;
    for bytes in sent.iter().filter(|bytes| bytes.starts_with(b"SNS")) {
        let mut thief = within(TcpStream::connect(far.relay())).await.unwrap();
        within(tokio::io::AsyncWriteExt::write_all(&mut thief, bytes))
            .await
            .unwrap();
        let mut answer = Vec::new();
        let _ = within(thief.read_to_end(&mut answer)).await;
        assert_eq!(answer, b"");
        tickets += 1;
    }
    assert!(tickets > 0);
}

#[tokio::test]
async fn encrypted_clients_are_not_seen_on_the_wire() {
    for (settings, seen) in [("", true), ("ENCRYPT yes", false)] {
        let (near, _far, backend, wire) = wired(settings).await;
        let (mut client, mut server) = tokio::join!(near.connect(PORT), backend.accept());
        say(&mut client, "nobody should know this").await;
        hear(&mut server, "nobody should know this").await;
        assert_eq!(wire.carried("nobody should know this"), seen, "{settings}");
    }
}

/// Has clients come one after the other until told to stop: how many came, and how many were not served.
async fn stream_of_clients(near: &Host, stop: &AtomicBool) -> (usize, usize) {
    let (came, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    while !stop.load(Ordering::Relaxed) {
        came.fetch_add(1, Ordering::Relaxed);
        let mut answer = String::new();
        let served = match TcpStream::connect((near.ip, PORT)).await {
            Ok(mut client) => within(client.read_to_string(&mut answer)).await.is_ok(),
            Err(_) => false,
        };
        if !served || answer.is_empty() {
            failed.fetch_add(1, Ordering::Relaxed);
        }
    }
    (came.into_inner(), failed.into_inner())
}

#[tokio::test]
async fn keys_change_without_one_client_that_is_not_served() {
    for settings in ["", "ENCRYPT yes"] {
        let (near, far) = (Host::start().await, Host::start().await);
        far.mapped(1000, false).await.answering("far");
        open_with(&near, settings, &[far.relay()]).await;
        assert_eq!(rest(&mut near.connect(PORT).await).await, "far");
        let stop = AtomicBool::new(false);
        let ((came, failed), ()) = tokio::join!(stream_of_clients(&near, &stop), async {
            rotate(&near, &far).await;
            rotate(&far, &near).await;
            stop.store(true, Ordering::Relaxed);
        });
        assert!(came > 0);
        assert_eq!(failed, 0, "of {came}");
    }
}

/// One gets a new key, the other learns of it later, and in the end the old one is gone.
async fn rotate(one: &Host, other: &Host) {
    let path = one.folder.path().join("proxy-key.txt");
    let keys = ProxyKeys::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let both = keys.renewed().unwrap();
    replace(&path, both.to_text("both").as_bytes(), 0o600).unwrap();
    sleep(Duration::from_millis(300)).await;
    know(other, one.relay(), &both).await;
    let newest = both.without_older();
    replace(&path, newest.to_text("newest").as_bytes(), 0o600).unwrap();
    sleep(Duration::from_millis(300)).await;
    know(other, one.relay(), &newest).await;
}

async fn know(host: &Host, address: SocketAddr, keys: &ProxyKeys) {
    let path = host.folder.path().join("peers.conf");
    let read: Option<Peers> = hostfiles::read_if_present(&path).unwrap();
    let mut peers = read.unwrap();
    for peer in &mut peers.0 {
        if peer.address == address {
            peer.keys = keys.public().collect();
        }
    }
    replace(&path, peers.to_text().as_bytes(), 0o644).unwrap();
    sleep(Duration::from_millis(300)).await;
}

#[tokio::test]
async fn a_host_that_ends_is_left_in_time() {
    let (near, one, two) = (
        Host::start().await,
        Host::start().await,
        Host::start().await,
    );
    one.mapped(1000, false).await.answering("one");
    two.mapped(1000, false).await.answering("two");
    open_everywhere(&near, &[one.relay(), two.relay()]).await;
    let mut seen = std::collections::BTreeSet::new();
    within(async {
        while seen.len() < 2 {
            seen.insert(rest(&mut near.connect(PORT).await).await);
        }
    })
    .await;
    let stop = AtomicBool::new(false);
    let ((came, failed), ()) = tokio::join!(stream_of_clients(&near, &stop), async {
        one.end().await;
        sleep(Duration::from_millis(300)).await;
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(failed, 0, "of {came}");
    assert_eq!(rest(&mut near.connect(PORT).await).await, "two");
}

#[tokio::test]
async fn a_host_that_has_much_to_do_is_helped() {
    let (near, far) = (Host::with(UNHURRIED).await, Host::start().await);
    let own = near.mapped(1000, false).await;
    far.mapped(1000, false).await.answering("far");
    near.meet(&[far.relay()]).await;
    let mut held = Vec::new();
    for _ in 0..40 {
        let client = near.connect(PORT).await;
        let taken = tokio::time::timeout(Duration::from_millis(500), own.accept()).await;
        match taken {
            Ok(server) => held.push((client, server)),
            Err(_) => return,
        }
    }
    panic!("the host took all of them");
}

#[tokio::test]
async fn whoever_is_taken_out_can_use_nothing_that_he_was_given() {
    let (near, far, backend, wire) = wired("").await;
    backend.answering("far");
    assert_eq!(rest(&mut near.connect(PORT).await).await, "far");
    // Connections that were let in before stand ready on the wire.
    sleep(Duration::from_millis(200)).await;
    assert!(wire.sent.lock().unwrap().len() > 2);
    let path = far.folder.path().join("peers.conf");
    let read: Option<Peers> = hostfiles::read_if_present(&path).unwrap();
    let others = read
        .unwrap()
        .0
        .into_iter()
        .filter(|peer| peer.address != near.relay());
    replace(&path, Peers(others.collect()).to_text().as_bytes(), 0o644).unwrap();
    within(async {
        while !is_reset(&near).await {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for _ in 0..10 {
        assert!(is_reset(&near).await);
    }
}

//! Proxies of ours and of the original in one cluster, in both directions.

use std::net::SocketAddr;

use hostfiles::replace;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::cluster::{Host, PORT, address, hear, open_with, rest, say, within};
use crate::original::Original;
use crate::stream::piece;

const HEADER: &str = "PROXY TCP4 203.0.113.7 198.51.100.2 50000 443\r\n";

async fn pod() -> (TcpListener, SocketAddr) {
    let pod = TcpListener::bind((address(), 0)).await.unwrap();
    let at = pod.local_addr().unwrap();
    (pod, at)
}

async fn accepted(pod: &TcpListener) -> TcpStream {
    within(pod.accept()).await.unwrap().0
}

/// A host of ours that asks these.
async fn asking(hosts: &[SocketAddr]) -> Host {
    let near = Host::start().await;
    open_with(&near, "LEGACY yes", hosts).await;
    near
}

/// The header that a pod gets of a client that brought none.
fn made(client: &TcpStream) -> String {
    let (from, to) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    format!(
        "PROXY TCP4 {} {} {} {}\r\n",
        from.ip(),
        to.ip(),
        from.port(),
        to.port()
    )
}

#[tokio::test]
async fn our_clients_reach_pods_of_the_original() {
    let (original, (pod, at)) = (Original::start().await, pod().await);
    original.map(PORT, at, 10, false);
    let near = asking(&[original.relay]).await;
    // Whoever speaks first is heard first, and nothing is held back.
    let (mut client, mut server) = tokio::join!(near.connect(PORT), accepted(&pod));
    say(&mut server, "welcome").await;
    hear(&mut client, "welcome").await;
    say(&mut client, "question").await;
    hear(&mut server, "question").await;
    say(&mut server, "answer").await;
    server.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await, "answer");
    // A header that the pod does not want is taken away on this side.
    let (mut client, mut server) = tokio::join!(near.connect(PORT), accepted(&pod));
    say(&mut client, &format!("{HEADER}hello")).await;
    hear(&mut server, "hello").await;
}

#[tokio::test]
async fn pods_of_the_original_get_the_header_that_they_want() {
    let (original, (pod, at)) = (Original::start().await, pod().await);
    original.map(PORT, at, 10, true);
    let near = asking(&[original.relay]).await;
    let (mut client, mut server) = tokio::join!(near.connect(PORT), accepted(&pod));
    say(&mut client, "hello").await;
    hear(&mut server, &format!("{}hello", made(&client))).await;
    let (mut client, mut server) = tokio::join!(near.connect(PORT), accepted(&pod));
    say(&mut client, &format!("{HEADER}hello")).await;
    hear(&mut server, &format!("{HEADER}hello")).await;
}

#[tokio::test]
async fn an_original_that_is_full_or_has_nothing_or_hangs_is_left_for_the_next() {
    let (full, empty, good) = (
        Original::start().await,
        Original::start().await,
        Original::start().await,
    );
    let (silent, _held) = (TcpListener::bind((address(), 0)).await.unwrap(), ());
    let ((busy_pod, busy), (pod, at)) = (pod().await, pod().await);
    full.map(PORT, busy, 1, false);
    // One whose pod is gone counts as nothing.
    empty.map(PORT, "127.0.0.1:1".parse().unwrap(), 1, false);
    good.map(PORT, at, 100, false);
    let near = asking(&[full.relay]).await;
    let _first = tokio::join!(near.connect(PORT), accepted(&busy_pod));
    near.resets(PORT).await;
    let hosts = [
        full.relay,
        empty.relay,
        silent.local_addr().unwrap(),
        good.relay,
    ];
    near.meet(&hosts).await;
    for _ in 0..10 {
        let (mut client, mut server) = tokio::join!(near.connect(PORT), accepted(&pod));
        say(&mut client, "question").await;
        hear(&mut server, "question").await;
    }
}

#[tokio::test]
async fn clients_of_the_original_reach_our_pods() {
    for send_proxy in [false, true] {
        let far = Host::start().await;
        far.set("LEGACY yes").await;
        let backend = far.mapped(10, send_proxy).await;
        let near = Original::listen(PORT, vec![far.relay()]).await;
        // Without a word of the client, so that it waits as long as it waits.
        let connected = || within(TcpStream::connect(near));
        let (client, mut server) = tokio::join!(connected(), backend.accept());
        let mut client = client.unwrap();
        say(&mut server, "welcome").await;
        hear(&mut client, "welcome").await;
        say(&mut client, "question").await;
        let own = client.peer_addr().unwrap();
        let header = if send_proxy {
            format!("PROXY TCP4 {0} {0} {1} {1}\r\n", own.ip(), own.port())
        } else {
            String::new()
        };
        hear(&mut server, &format!("{header}question")).await;
        server.shutdown().await.unwrap();
        assert_eq!(rest(&mut client).await, "");
        // With one of its own.
        let (client, mut server) = tokio::join!(connected(), backend.accept());
        let mut client = client.unwrap();
        say(&mut client, &format!("{HEADER}hello")).await;
        let kept = if send_proxy { HEADER } else { "" };
        hear(&mut server, &format!("{kept}hello")).await;
    }
}

#[tokio::test]
async fn the_original_goes_on_when_we_are_full_or_have_nothing() {
    let (empty, full, good) = (
        Host::start().await,
        Host::start().await,
        Host::start().await,
    );
    for host in [&empty, &full, &good] {
        host.set("LEGACY yes").await;
    }
    let busy = full.mapped(1, false).await;
    good.mapped(1000, false).await.answering("good");
    let only = Original::listen(PORT, vec![full.relay()]).await;
    let _first = tokio::join!(TcpStream::connect(only), busy.accept());
    let mut second = TcpStream::connect(only).await.unwrap();
    assert_eq!(rest(&mut second).await, "");
    let all = vec![empty.relay(), full.relay(), good.relay()];
    let near = Original::listen(PORT, all).await;
    let mut third = TcpStream::connect(near).await.unwrap();
    say(&mut third, "q").await;
    let mut answer = String::new();
    // The pod leaves without having heard the question.
    let _ = within(third.read_to_string(&mut answer)).await;
    assert_eq!(answer, "good");
}

/// Sends a stream one way: whether it arrived.
async fn crosses(from: TcpStream, to: TcpStream) -> bool {
    let (_keep, mut out) = from.into_split();
    let (mut into, _keep_too) = to.into_split();
    let sending = async {
        let mut digest = Sha256::new();
        for number in 0..50 {
            let piece = piece(number);
            out.write_all(&piece).await.unwrap();
            digest.update(&piece);
        }
        out.shutdown().await.unwrap();
        digest.finalize()
    };
    let receiving = async {
        let (mut digest, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
        while let Ok(count @ 1..) = into.read(&mut buffer).await {
            digest.update(&buffer[..count]);
        }
        digest.finalize()
    };
    let (sent, received) = tokio::join!(within(sending), within(receiving));
    sent == received
}

#[tokio::test]
async fn every_byte_of_a_stream_crosses_both_kinds_of_proxies() {
    let (original, (pod, at)) = (Original::start().await, pod().await);
    original.map(PORT, at, 10, false);
    let near = asking(&[original.relay]).await;
    for up in [true, false] {
        let (client, server) = tokio::join!(near.connect(PORT), accepted(&pod));
        let (from, to) = if up {
            (client, server)
        } else {
            (server, client)
        };
        assert!(crosses(from, to).await, "{up}");
    }
    let far = Host::start().await;
    far.set("LEGACY yes").await;
    let backend = far.mapped(10, false).await;
    let entrance = Original::listen(PORT, vec![far.relay()]).await;
    for up in [true, false] {
        let (client, server) = tokio::join!(TcpStream::connect(entrance), backend.accept());
        let client = client.unwrap();
        let (from, to) = if up {
            (client, server)
        } else {
            (server, client)
        };
        assert!(crosses(from, to).await, "{up}");
    }
}

#[tokio::test]
async fn a_client_of_ipv6_reaches_pods_of_the_original() {
    let (original, (pod, at)) = (Original::start().await, pod().await);
    original.map(PORT, at, 10, false);
    let near = Host::start().await;
    near.write("clusterports.conf", &format!("{PORT}\n"));
    near.write("hosts.conf", &format!("[::1]:32767\n{}\n", original.relay));
    let conf = "HOSTSCONF hosts.conf\nPORTSCONF portmappings.conf\nCLUSTERPORTSCONF clusterports.conf\n\
                LEGACY yes\n";
    replace(
        &near.folder.path().join("proxy.conf"),
        conf.as_bytes(),
        0o644,
    )
    .unwrap();
    near.proxy.reload().await;
    near.until(|status| status.cluster_ports.iter().any(SocketAddr::is_ipv6))
        .await;
    let connected = within(TcpStream::connect(("::1", PORT)));
    let (client, mut server) = tokio::join!(connected, accepted(&pod));
    let mut client = client.unwrap();
    say(&mut client, "question").await;
    hear(&mut server, "question").await;
    say(&mut server, "answer").await;
    hear(&mut client, "answer").await;
}

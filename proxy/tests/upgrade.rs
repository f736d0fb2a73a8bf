//! One proxy takes over what another one carries, and nobody notices.

use sha2::{Digest as _, Sha256};
use testkit::soak::count;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cluster::{
    Hops, Host, PORT, Path, UNHURRIED, hear, open_everywhere, path, reached, rest, say, within,
};
use crate::stream::piece;

async fn upgrade(hosts: Vec<Host>) -> Vec<Host> {
    let mut upgraded = Vec::new();
    for host in hosts {
        upgraded.push(host.upgrade().await);
    }
    upgraded
}

#[tokio::test]
async fn a_conversation_goes_on() {
    for hops in Hops::ALL {
        let Path {
            mut client,
            mut server,
            mut hosts,
        } = path(hops, false).await;
        for _ in 0..count(20) {
            say(&mut client, "question").await;
            hosts = upgrade(hosts).await;
            hear(&mut server, "question").await;
            say(&mut server, "answer").await;
            hosts = upgrade(hosts).await;
            hear(&mut client, "answer").await;
        }
        // A side that has said all has done so for the next proxy too.
        client.shutdown().await.unwrap();
        assert_eq!(rest(&mut server).await, "", "{hops:?}");
        hosts = upgrade(hosts).await;
        say(&mut server, "last words").await;
        drop(server);
        assert_eq!(rest(&mut client).await, "last words", "{hops:?}");
        drop(hosts);
    }
}

#[tokio::test]
async fn every_byte_of_a_stream_arrives() {
    for hops in Hops::ALL {
        let Path {
            client,
            server,
            mut hosts,
        } = path(hops, false).await;
        let (mut client_in, client_out) = client.into_split();
        let (mut server_in, server_out) = server.into_split();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let send = |mut out: tokio::net::tcp::OwnedWriteHalf| {
            let stopped = stopped.clone();
            tokio::spawn(async move {
                let mut digest = Sha256::new();
                for number in 0.. {
                    let piece = piece(number);
                    out.write_all(&piece).await.unwrap();
                    digest.update(&piece);
                    if *stopped.borrow() {
                        break;
                    }
                }
                out.shutdown().await.unwrap();
                digest.finalize()
            })
        };
        let (up, down) = (send(client_out), send(server_out));
        let receive = async |from: &mut tokio::net::tcp::OwnedReadHalf| {
            let (mut digest, mut buffer) = (Sha256::new(), vec![0; 256 << 10]);
            while let Ok(count @ 1..) = from.read(&mut buffer).await {
                digest.update(&buffer[..count]);
            }
            digest.finalize()
        };
        let (above, below, ()) =
            tokio::join!(receive(&mut server_in), receive(&mut client_in), async {
                for _ in 0..count(100) {
                    hosts = upgrade(std::mem::take(&mut hosts)).await;
                    tokio::task::yield_now().await;
                }
                stop.send_replace(true);
            });
        assert_eq!(above, within(up).await.unwrap(), "{hops:?}");
        assert_eq!(below, within(down).await.unwrap(), "{hops:?}");
    }
}

#[tokio::test]
async fn a_header_that_has_begun_is_still_one() {
    let (near, _far, backend) = reached(Hops::One, true, UNHURRIED).await;
    let (mut client, mut server) = tokio::join!(near.connect(PORT), backend.accept());
    say(&mut client, "PROXY TCP4 9.9.9.9 ").await;
    let near = near.upgrade().await;
    say(&mut client, "8.8.8.8 7 6\r\nrest").await;
    hear(&mut server, "PROXY TCP4 9.9.9.9 8.8.8.8 7 6\r\nrest").await;
    drop(near);
}

#[tokio::test]
async fn max_conn_is_still_exact() {
    let host = Host::start().await;
    let backend = host.mapped(1, false).await;
    let (client, server) = tokio::join!(host.connect(PORT), backend.accept());
    let host = host.upgrade().await;
    host.until(|status| !status.cluster_ports.is_empty()).await;
    host.resets(PORT).await;
    drop((client, server));
    within(async {
        loop {
            let Ok(mut client) = TcpStream::connect((host.ip, PORT)).await else {
                continue;
            };
            tokio::select! {
                _ = backend.accept() => return,
                _ = client.read_u8() => {}
            }
        }
    })
    .await;
}

#[tokio::test]
async fn clients_that_come_meanwhile_are_served() {
    let (near, far) = (Host::start().await, Host::start().await);
    far.mapped(1000, false).await.answering("far");
    open_everywhere(&near, &[far.relay()]).await;
    assert_eq!(rest(&mut near.connect(PORT).await).await, "far");
    let (ip, mut hosts) = (near.ip, vec![near, far]);
    let clients = tokio::spawn(async move {
        for _ in 0..count(3000) {
            let mut client = within(TcpStream::connect((ip, PORT))).await.unwrap();
            assert_eq!(rest(&mut client).await, "far");
        }
    });
    while !clients.is_finished() {
        hosts = upgrade(hosts).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    clients.await.unwrap();
}

#[tokio::test]
async fn a_client_that_waits_for_a_place_still_does() {
    let host = Host::start().await;
    host.set("QUEUE 10\nQUEUEWAIT 60").await;
    let backend = host.mapped(1, false).await;
    let first = tokio::join!(host.connect(PORT), backend.accept());
    let mut second = host.connect(PORT).await;
    say(&mut second, "waiting").await;
    let host = host.upgrade().await;
    drop(first);
    let mut server = backend.accept().await;
    hear(&mut server, "waiting").await;
    drop(server);
    assert_eq!(rest(&mut second).await, "");
    drop(host);
}

//! Clients that find all backends full: they wait for a place, in order, so many and so long as is said.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::cluster::{Backend, Host, PORT, hear, rest, say, within};

/// A host whose only backend takes one connection, and clients wait as `settings` say.
async fn full(settings: &str) -> (Host, Backend, TcpStream, TcpStream) {
    let host = Host::start().await;
    host.configure(settings);
    host.proxy.reload().await;
    host.until(|status| status.config_reads == 2).await;
    let backend = host.mapped(1, false).await;
    let (client, server) = tokio::join!(host.connect(PORT), backend.accept());
    (host, backend, client, server)
}

#[tokio::test]
async fn who_came_first_is_served_first() {
    let (host, backend, client, server) = full("QUEUE 10\nQUEUEWAIT 3600").await;
    let mut waiting = Vec::new();
    for number in 0..3 {
        let mut client = host.connect(PORT).await;
        say(&mut client, &number.to_string()).await;
        waiting.push(client);
    }
    // What they say is not lost, and each is served when the one before has left.
    drop((client, server));
    for (number, client) in waiting.into_iter().enumerate() {
        let mut server = backend.accept().await;
        hear(&mut server, &number.to_string()).await;
        drop((client, server));
    }
}

#[tokio::test]
async fn no_more_wait_than_may() {
    let (mut host, backend, client, server) = full("QUEUE 1\nQUEUEWAIT 3600").await;
    let mut waits = host.connect(PORT).await;
    say(&mut waits, "me").await;
    // The proxy has taken the first one before the second one: it listens with one thread, or tells both apart.
    host.resets(PORT).await;
    host.said("cluster port 61000: all backends are full").await;
    drop((client, server));
    hear(&mut backend.accept().await, "me").await;
}

#[tokio::test]
async fn nobody_waits_for_ever() {
    let (mut host, _backend, _client, _server) = full("QUEUE 10\nQUEUEWAIT 0").await;
    host.resets(PORT).await;
    host.said("cluster port 61000: all backends are full").await;
    let (mut host, _backend, _client, _server) = full("QUEUE 10\nQUEUEWAIT 1").await;
    host.resets(PORT).await;
    host.said("cluster port 61000: all backends are full").await;
}

#[tokio::test]
async fn one_that_leaves_gives_its_place_in_the_queue_to_the_next() {
    let (host, backend, client, server) = full("QUEUE 1\nQUEUEWAIT 3600").await;
    let left = host.connect(PORT).await;
    crate::cluster::break_off(left);
    // Its place is free a moment later.
    let mut next = within(async {
        loop {
            let Ok(mut next) = TcpStream::connect((host.ip, PORT)).await else {
                continue;
            };
            let reset = next.read_u8();
            let patience = std::time::Duration::from_millis(200);
            if tokio::time::timeout(patience, reset).await.is_err() {
                return next;
            }
        }
    })
    .await;
    say(&mut next, "next").await;
    drop((client, server));
    hear(&mut backend.accept().await, "next").await;
}

#[tokio::test]
async fn a_higher_limit_serves_those_who_wait() {
    let (host, backend, _client, _server) = full("QUEUE 10\nQUEUEWAIT 3600").await;
    let mut waits = host.connect(PORT).await;
    say(&mut waits, "me").await;
    host.map(&[backend.mapping(2, false)]).await;
    hear(&mut backend.accept().await, "me").await;
}

#[tokio::test]
async fn what_a_client_has_said_before_it_waited_is_not_lost() {
    let (near, far) = (Host::start().await, Host::start().await);
    far.mapped(0, false).await.answering("far");
    near.set("QUEUE 10\nQUEUEWAIT 60").await;
    let own = near.mapped(1, false).await;
    near.meet(&[far.relay()]).await;
    let held = tokio::join!(near.connect(PORT), own.accept());
    // Often enough for the other host to have been asked while there was something to pass on.
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut client = near.connect(PORT).await;
        say(&mut client, "first words").await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        waiting.push(client);
    }
    drop(held);
    // A place is free again when both sides have ended.
    let over: Vec<_> = waiting
        .into_iter()
        .map(|mut client| tokio::spawn(async move { rest(&mut client).await }))
        .collect();
    // One that asks the other host meanwhile may be overtaken.
    for _ in 0..over.len() {
        let mut server = own.accept().await;
        hear(&mut server, "first words").await;
    }
    for heard in over {
        assert_eq!(heard.await.unwrap(), "");
    }
}

//! maxConn: exact, whatever happens to the files.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::cluster::{Backend, Host, PORT, break_off, hear, say, within};

/// Connects, and makes sure that the backend has taken it.
async fn served(host: &Host, backend: &Backend) -> (TcpStream, TcpStream) {
    tokio::join!(host.connect(PORT), backend.accept())
}

async fn refused(host: &mut Host) {
    host.resets(PORT).await;
    host.said("cluster port 61000: all backends are full").await;
}

/// Tries until there is a place again; what ends at the client ends a moment later at the proxy.
async fn served_at_last(host: &Host, backend: &Backend) -> (TcpStream, TcpStream) {
    within(async {
        loop {
            // Who is reset at once may never know that it was connected.
            let Ok(mut client) = TcpStream::connect((host.ip, PORT)).await else {
                continue;
            };
            tokio::select! {
                server = backend.accept() => return (client, server),
                _ = client.read_u8() => {}
            }
        }
    })
    .await
}

#[tokio::test]
async fn no_more_than_max_conn() {
    let mut host = Host::start().await;
    let backend = host.mapped(2, false).await;
    let first = served(&host, &backend).await;
    let second = served(&host, &backend).await;
    refused(&mut host).await;
    refused(&mut host).await;
    // However a connection ends, its place is free again: in order, or broken off.
    drop(first);
    let third = served_at_last(&host, &backend).await;
    refused(&mut host).await;
    break_off(second.0);
    let _fourth = served_at_last(&host, &backend).await;
    refused(&mut host).await;
    drop(third);
}

#[tokio::test]
async fn a_reload_forgets_no_connection() {
    let mut host = Host::start().await;
    let backend = host.mapped(2, false).await;
    let (mut client, mut server) = served(&host, &backend).await;
    let other = "61001:30000:1:false".to_owned();
    // Another mapping comes; the limit sinks; the mapping leaves and comes back.
    host.map(&[backend.mapping(2, false), other.clone()]).await;
    host.map(&[backend.mapping(1, false), other.clone()]).await;
    refused(&mut host).await;
    host.map(&[other]).await;
    host.map(&[backend.mapping(1, false)]).await;
    refused(&mut host).await;
    host.proxy.reload().await;
    host.until(|status| status.config_reads == 2).await;
    refused(&mut host).await;
    say(&mut client, "still here").await;
    hear(&mut server, "still here").await;
}

#[tokio::test]
async fn a_full_backend_hands_over_to_the_next() {
    let mut host = Host::start().await;
    let (one, two) = (host.backend().await, host.backend().await);
    host.map(&[one.mapping(1, false), two.mapping(1, false)])
        .await;
    let _clients = (host.connect(PORT).await, host.connect(PORT).await);
    let _servers = (one.accept().await, two.accept().await);
    refused(&mut host).await;
}

//! PROXY headers: kept, made or stripped, with the real client's address, over one proxy and over two.

use std::time::Duration;

use sns_proxy::Patience;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::cluster::{
    Hops, Host, PORT, UNHURRIED, address, break_off, hear, open_with, reached, rest, say, within,
};
use crate::play::Act::{Ends, Hears, HearsAtLast, Says};
use crate::play::Who::{Client, Server};
use crate::play::{check, made};

const OWN: &str = "PROXY TCP4 203.0.113.7 198.51.100.2 50000 443\r\n";

/// Silence is over as soon as it is noticed.
const HURRIED: Patience = Patience {
    silence_max: Duration::from_millis(1),
    partial_max: Duration::from_millis(1),
    ..UNHURRIED
};

#[tokio::test]
async fn the_clients_own_header_is_kept_for_those_who_want_one() {
    check(
        true,
        UNHURRIED,
        &[
            (Client, Says(OWN)),
            (Client, Says("hello")),
            (Server, Hears(OWN)),
            (Server, Hears("hello")),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_header_of_version_2_is_translated_or_stripped() {
    let head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x07\xc6\x33\x64\x02\xc3\x50\x01\xbb";
    for (wants, expected) in [(true, format!("{OWN}hello")), (false, "hello".to_owned())] {
        for hops in Hops::ALL {
            let (near, _far, backend) = reached(hops, wants, UNHURRIED).await;
            let (mut client, mut server) = tokio::join!(near.connect(PORT), backend.accept());
            within(client.write_all(head)).await.unwrap();
            say(&mut client, "hello").await;
            hear(&mut server, &expected).await;
        }
    }
}

#[tokio::test]
async fn a_header_is_made_with_the_real_address_of_the_client() {
    check(
        true,
        UNHURRIED,
        &[(Client, Says("hello")), (Server, Hears("{made}hello"))],
    )
    .await;
}

#[tokio::test]
async fn a_header_is_made_for_a_client_that_says_nothing() {
    check(
        true,
        HURRIED,
        &[
            (Server, Hears("{made}")),
            // Its own one comes too late and must not be taken for what the client has to say.
            (
                Client,
                Says("PROXY TCP4 203.0.113.7 198.51.100.2 50000 443\r\nhello"),
            ),
            (Server, Hears("hello")),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_header_is_made_for_a_client_that_only_ends() {
    check(
        true,
        UNHURRIED,
        &[(Client, Ends), (Server, HearsAtLast("{made}"))],
    )
    .await;
}

#[tokio::test]
async fn a_header_is_stripped_for_those_who_want_none() {
    check(
        false,
        UNHURRIED,
        &[
            (Client, Says("PROXY TCP4 203.0.113.7")),
            (Client, Says(" 198.51.100.2 50000 443\r\n")),
            // Only the first one is a header.
            (Client, Says(OWN)),
            (Server, Hears(OWN)),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_only_looks_like_a_header_arrives() {
    check(
        false,
        HURRIED,
        &[(Client, Says("PROXY")), (Server, Hears("PROXY"))],
    )
    .await;
}

/// The proxy of the original, as far as it can be told apart.
#[tokio::test]
async fn another_proxy_is_told_the_client_and_may_speak_at_once() {
    let near = Host::with(HURRIED).await;
    let far = TcpListener::bind((address(), 0)).await.unwrap();
    open_with(&near, "LEGACY yes", &[far.local_addr().unwrap()]).await;
    let mut client = near.connect(PORT).await;
    let mut asked = within(far.accept()).await.unwrap().0;
    hear(&mut asked, &made(&client)).await;
    // What the server says comes in one piece with the answer, and the client says nothing at all.
    say(&mut asked, "SENDPROXY=true\r\nfirst ").await;
    hear(&mut client, "first ").await;
    say(&mut asked, "second").await;
    hear(&mut client, "second").await;
    hear(&mut asked, &made(&client)).await;
}

#[tokio::test]
async fn a_proxy_of_the_original_is_served() {
    let host = Host::start().await;
    host.set("LEGACY yes").await;
    let backend = host.mapped(1, true).await;
    let asked = format!("PROXY TCP4 1.2.3.4 1.2.3.4 123 {PORT}\r\n");

    let mut asker = within(TcpStream::connect(host.relay())).await.unwrap();
    // Not waiting for the answer is allowed.
    say(&mut asker, &format!("{asked}question")).await;
    hear(&mut asker, "SENDPROXY=true\r\n").await;
    let mut server = backend.accept().await;
    hear(&mut server, "question").await;

    let mut second = within(TcpStream::connect(host.relay())).await.unwrap();
    say(&mut second, &asked).await;
    assert_eq!(rest(&mut second).await, "BUSY\r\n");

    for nothing in [
        "PROXY TCP4 1.2.3.4 1.2.3.4 123 61001\r\n",
        "PROXY UNKNOWN\r\n",
        "GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut asker = within(TcpStream::connect(host.relay())).await.unwrap();
        say(&mut asker, nothing).await;
        assert_eq!(rest(&mut asker).await, "", "{nothing:?}");
    }
    break_off(server);
}

#[tokio::test]
async fn a_probe_of_the_port_for_proxies_is_no_warning() {
    let mut host = Host::start().await;
    for (said, told) in [
        ("", "debug: {} asked for nothing"),
        (
            "GET / HTTP/1.1\r\n",
            "warning: {} did not ask for a cluster port",
        ),
    ] {
        let mut asker = within(TcpStream::connect(host.relay())).await.unwrap();
        say(&mut asker, said).await;
        let from = asker.local_addr().unwrap().to_string();
        drop(asker);
        host.said(&told.replace("{}", &from)).await;
    }
}

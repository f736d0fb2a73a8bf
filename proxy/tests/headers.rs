//! PROXY headers: kept, made or stripped, with the real client's address, over one proxy and over two.

use std::time::Duration;

use sns_proxy::Patience;
use sns_proxy::header::Header;
use sns_proxy::table::Send;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::cluster::{
    Hops, Host, PORT, UNHURRIED, address, break_off, breaks, hear, open_everywhere, open_with,
    reached, rest, say, within,
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
async fn a_header_of_version_2_may_name_a_client_of_ipv6() {
    let ip = |last: u8| [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[last]].concat();
    let head = [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24".as_slice(),
        &ip(7),
        &ip(2),
        b"\xc3\x50\x01\xbb",
    ]
    .concat();
    let own = "PROXY TCP6 2001:db8::7 2001:db8::2 50000 443\r\n";
    for (wants, expected) in [(true, format!("{own}hello")), (false, "hello".to_owned())] {
        for hops in Hops::ALL {
            let (near, _far, backend) = reached(hops, wants, UNHURRIED).await;
            let (mut client, mut server) = tokio::join!(near.connect(PORT), backend.accept());
            within(client.write_all(&head)).await.unwrap();
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

const OWN_2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x07\xc6\x33\x64\x02\xc3\x50\x01\xbb";
/// The same with a field behind the addresses.
const OWN_MORE: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xcb\0\x71\x07\xc6\x33\x64\x02\xc3\x50\x01\xbb\x02\0\x01a";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// The header of version 2 that a proxy has to make for a client.
fn made_2(client: &TcpStream) -> Vec<u8> {
    let (from, to) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    Header::of(from, to).bytes(Send::V2)
}

async fn hear_bytes(stream: &mut TcpStream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    within(stream.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(bytes, expected);
}

/// A client and its server, which says this about headers.
async fn joined(host: &Host, headers: &str) -> (TcpStream, TcpStream) {
    let backend = host.described(headers).await;
    tokio::join!(host.connect(PORT), backend.accept())
}

#[tokio::test]
async fn a_target_that_wants_version_2_gets_it() {
    let host = Host::start().await;
    for (said, expected) in [
        (OWN.as_bytes(), OWN_2),
        (OWN_MORE, OWN_MORE),
        (b"PROXY UNKNOWN\r\n", LOCAL),
    ] {
        for accept in ["optional", "required"] {
            let (mut client, mut server) = joined(&host, &format!("in={accept} out=v2")).await;
            within(client.write_all(said)).await.unwrap();
            say(&mut client, "hello").await;
            hear_bytes(&mut server, expected).await;
            hear(&mut server, "hello").await;
        }
    }
    let (mut client, mut server) = joined(&host, "in=optional out=v2").await;
    say(&mut client, "hello").await;
    hear_bytes(&mut server, &made_2(&client)).await;
    hear(&mut server, "hello").await;
    let hurried = Host::with(HURRIED).await;
    let (client, mut server) = joined(&hurried, "in=optional out=v2").await;
    hear_bytes(&mut server, &made_2(&client)).await;
}

#[tokio::test]
async fn where_clients_bring_no_header_one_is_made_at_once() {
    // Nobody waits an hour.
    let host = Host::start().await;
    let (mut client, mut server) = joined(&host, "in=absent out=v1").await;
    hear(&mut server, &made(&client)).await;
    // What looks like a header is what the client has to say.
    say(&mut client, OWN).await;
    hear(&mut server, OWN).await;
    let (client, mut server) = joined(&host, "in=absent out=v2").await;
    hear_bytes(&mut server, &made_2(&client)).await;
    let (mut client, mut server) = joined(&host, "in=absent out=none").await;
    say(&mut client, "PROXY").await;
    hear(&mut server, "PROXY").await;
}

#[tokio::test]
async fn a_required_header_is_removed_and_the_server_is_heard_after_it() {
    let host = Host::start().await;
    let (mut client, mut server) = joined(&host, "in=required out=none").await;
    say(&mut server, "220 ready\r\n").await;
    let mut byte = [0];
    assert!(
        timeout(Duration::from_millis(200), client.peek(&mut byte))
            .await
            .is_err(),
        "nobody hears a word who may not be served"
    );
    say(&mut client, &format!("{OWN}hello")).await;
    hear(&mut server, "hello").await;
    hear(&mut client, "220 ready\r\n").await;
}

#[tokio::test]
async fn a_client_without_a_required_header_is_reset_and_told() {
    let mut host = Host::start().await;
    for (said, ends, why) in [
        ("GET / HTTP/1.1\r\n\r\n", false, "began with something else"),
        ("PROXY TCP", true, "ended without one"),
        ("", true, "ended without one"),
    ] {
        let (mut client, mut server) = joined(&host, "in=required out=v1").await;
        say(&mut client, said).await;
        if ends {
            client.shutdown().await.unwrap();
        }
        let from = client.local_addr().unwrap();
        breaks(&mut client).await;
        breaks(&mut server).await;
        host.said(&format!(
            "warning: cluster port {PORT}: its clients have to send a PROXY header; reset {from}, which {why}"
        ))
        .await;
    }
    let mut hurried = Host::with(Patience {
        header_max: Duration::from_millis(1),
        ..UNHURRIED
    })
    .await;
    for said in ["", "PROXY TCP"] {
        let backend = hurried.described("in=required out=none").await;
        let (mut client, mut server) = tokio::join!(hurried.connect(PORT), backend.accept());
        // It may have been reset already.
        let _ = client.write_all(said.as_bytes()).await;
        breaks(&mut client).await;
        breaks(&mut server).await;
        hurried.said("which sent none in time").await;
    }
}

#[tokio::test]
async fn a_proxy_that_asks_hears_only_that_a_header_is_wanted() {
    let host = Host::start().await;
    host.set("ENDPOINTSCONF endpoints.conf\nLEGACY yes").await;
    for (headers, expected) in [
        ("in=optional out=v2", "SENDPROXY=true\r\n"),
        ("in=required out=v1", "SENDPROXY=true\r\n"),
        ("in=required out=none", "SENDPROXY=false\r\n"),
    ] {
        let backend = host.described(headers).await;
        let mut asker = within(TcpStream::connect(host.relay())).await.unwrap();
        say(
            &mut asker,
            &format!("PROXY TCP4 1.2.3.4 1.2.3.4 123 {PORT}\r\nhello"),
        )
        .await;
        hear(&mut asker, expected).await;
        hear(&mut backend.accept().await, "hello").await;
    }
}

#[tokio::test]
async fn what_a_port_says_holds_for_clients_of_other_hosts_too() {
    let (near, far) = (Host::start().await, Host::start().await);
    let backend = far.described("in=required out=v2").await;
    open_everywhere(&near, &[far.relay()]).await;
    let (mut client, mut server) = tokio::join!(near.connect(PORT), backend.accept());
    say(&mut server, "not yet").await;
    say(&mut client, OWN).await;
    let header = OWN.trim_end().to_owned();
    let mut first = [0; 12];
    within(server.read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"\r\n\r\n\0\r\nQUIT\n", "{header}");
    hear(&mut client, "not yet").await;
    let mut other = near.connect(PORT).await;
    say(&mut other, "GET / HTTP/1.1").await;
    breaks(&mut other).await;
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

//! A proxy of the cluster that lies: nobody crashes, nothing grows without an end, nobody waits for longer than he would
//! for one that is broken, and clients are served by those who do what they say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hostfiles::{Format as _, Peer, Peers};
use rustix::process::{Resource, getrlimit, setrlimit};
use testkit::soak::count;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::cluster::{Host, PORT, hear, open_with, rest, say, within};
use crate::liar::{Caller, Liar, request};

/// What a liar does with clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Says what is no answer.
    Nonsense,
    /// Says nothing.
    Hangs,
    /// Hears the request, and leaves.
    Leaves,
    /// Says that it is full, although it says that it is not.
    Full,
    /// Says that it has nothing, although it says that it has.
    Denies,
}

/// What it tells of itself; the rest is said over and over.
struct Tale {
    first: String,
    then: String,
}

/// Tells and does that until the test is over.
fn lie(liar: Liar, tale: Tale, deed: Deed) {
    let tale = Arc::new(tale);
    tokio::spawn(async move {
        loop {
            // Whoever is not believed leaves.
            let Ok(caller) = liar.called().await else {
                continue;
            };
            let tale = Arc::clone(&tale);
            tokio::spawn(async move {
                // It ends when the other side does.
                let _ = match caller {
                    Caller::Talks(mut tls) => {
                        async {
                            tls.write_all(tale.first.as_bytes()).await?;
                            loop {
                                tls.write_all(tale.then.as_bytes()).await?;
                                tls.flush().await?;
                                if tale.then == BEAT {
                                    sleep(Duration::from_millis(200)).await;
                                } else if tale.then.is_empty() {
                                    return tls.read_to_end(&mut Vec::new()).await.map(drop);
                                }
                            }
                        }
                        .await
                    }
                    Caller::Plain(stream) => serve(stream, deed, 98).await,
                    Caller::Sealed(tls) => serve(*tls, deed, 98).await,
                };
            });
        }
    });
}

const BEAT: &str = "beat\n";

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    deed: Deed,
    asked: usize,
) -> std::io::Result<()> {
    // The ticket, and the request.
    stream.read_exact(&mut vec![0; asked]).await?;
    let answer = match deed {
        Deed::Nonsense => "?!",
        Deed::Full => "B",
        Deed::Denies => "N",
        Deed::Hangs => {
            let mut all = Vec::new();
            return stream.read_to_end(&mut all).await.map(drop);
        }
        Deed::Leaves => return Ok(()),
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.flush().await?;
    stream.shutdown().await
}

/// A tale of every port there is, with the biggest numbers, and as if all had nothing to do.
fn absurd() -> Tale {
    let most = u32::MAX;
    let has = |port: u16| format!("has {port} {most} 0 {most}\n");
    let all: String = (1..=u16::MAX).map(has).collect();
    Tale {
        first: format!("{all}complete\n"),
        then: BEAT.into(),
    }
}

fn ordinary() -> Tale {
    Tale {
        first: format!("has {PORT} 9 0 1000\ncomplete\n"),
        then: BEAT.into(),
    }
}

/// A host whose clients can be served by an honest host, or by the liar that is left to the test.
async fn between(settings: &str) -> (Host, Host, Liar) {
    let (near, far, liar) = (Host::start().await, Host::start().await, Liar::new().await);
    far.mapped(1000, false).await.answering("far");
    open_with(&near, settings, &[liar.address, far.relay()]).await;
    (near, far, liar)
}

/// Clients that listen first are all served by the honest host.
async fn all_are_served(near: &Host, clients: usize) {
    for _ in 0..clients {
        assert_eq!(rest(&mut near.connect(PORT).await).await, "far");
    }
}

#[tokio::test]
async fn whatever_it_does_clients_are_served_by_others() {
    for settings in ["", "ENCRYPT yes"] {
        for deed in [
            Deed::Nonsense,
            Deed::Hangs,
            Deed::Leaves,
            Deed::Full,
            Deed::Denies,
        ] {
            println!("{deed:?} {settings}");
            let (mut near, _far, liar) = between(settings).await;
            let name = format!("talking with proxy {}", liar.address);
            lie(liar, ordinary(), deed);
            near.said(&name).await;
            all_are_served(&near, 20).await;
        }
    }
}

#[tokio::test]
async fn of_clients_that_talk_first_it_gets_one() {
    tokio::join!(
        gets_one(Deed::Nonsense),
        gets_one(Deed::Hangs),
        gets_one(Deed::Leaves)
    );
}

async fn gets_one(deed: Deed) {
    let (mut near, far, liar) = (Host::start().await, Host::start().await, Liar::new().await);
    let pod = far.mapped(1000, false).await;
    tokio::spawn(async move {
        loop {
            let mut server = pod.accept().await;
            let mut question = [0; 8];
            // Two may have been dialled for a client.
            if server.read_exact(&mut question).await.is_ok() {
                let _ = server.write_all(b"far").await;
            }
        }
    });
    open_with(&near, "", &[liar.address, far.relay()]).await;
    let name = format!("talking with proxy {}", liar.address);
    lie(liar, ordinary(), deed);
    near.said(&name).await;
    let (mut lost, began) = (0, Instant::now());
    // For longer than it is remembered that it has failed.
    while began.elapsed() < Duration::from_secs(6) {
        let mut client = near.connect(PORT).await;
        say(&mut client, "question").await;
        let mut answer = String::new();
        lost += usize::from(within(client.read_to_string(&mut answer)).await.is_err());
    }
    // What it was told may not be told to anybody else, but it is told no more.
    assert!(lost <= 1, "{deed:?}: {lost}");
}

#[tokio::test]
async fn absurd_numbers_are_numbers() {
    let (mut near, _far, liar) = between("").await;
    let name = format!("talking with proxy {}", liar.address);
    lie(liar, absurd(), Deed::Denies);
    near.said(&name).await;
    let own = near.mapped(1000, false).await;
    // Its own pod is busy, so that all numbers are weighed.
    let mut held = Vec::new();
    for _ in 0..40 {
        let (mut client, mut server) = tokio::join!(near.connect(PORT), async {
            tokio::time::timeout(Duration::from_millis(200), own.accept())
                .await
                .ok()
        });
        match &mut server {
            Some(server) => say(server, "own").await,
            None => assert_eq!(rest(&mut client).await, "far"),
        }
        held.push((client, server));
    }
}

/// What this process holds in memory, in bytes.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_words_fills_nothing() {
    let (near, liar) = (Host::start().await, Liar::new().await);
    open_with(&near, "QUEUE 10\nQUEUEWAIT 3600", &[liar.address]).await;
    let first = format!("has {PORT} 1 1 1\ncomplete\n");
    // Each pair says that there is a place, and that there is none.
    let pair = format!("has {PORT} 1 0 1\nhas {PORT} 1 1 1\n");
    let words = Arc::new(AtomicUsize::new(0));
    let (said, over) = (Arc::clone(&words), Arc::new(AtomicBool::new(false)));
    let ends = Arc::clone(&over);
    tokio::spawn(async move {
        while let Ok(caller) = liar.called().await {
            let (first, pair) = (first.clone(), pair.repeat(1000));
            let (said, ends) = (Arc::clone(&said), Arc::clone(&ends));
            tokio::spawn(async move {
                match caller {
                    Caller::Talks(mut tls) => {
                        tls.write_all(first.as_bytes()).await.unwrap();
                        while !ends.load(Ordering::Relaxed)
                            && tls.write_all(pair.as_bytes()).await.is_ok()
                        {
                            said.fetch_add(2000, Ordering::Relaxed);
                        }
                        // Then it is silent, and leaves in the end.
                    }
                    Caller::Plain(stream) => drop(serve(stream, Deed::Full, 98).await),
                    Caller::Sealed(_) => {}
                }
            });
        }
    });
    // Ten clients wait, and look for a place whenever there may be one.
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push(near.connect(PORT).await);
    }
    let until = |more: usize| {
        let goal = words.load(Ordering::Relaxed) + more;
        let words = Arc::clone(&words);
        async move {
            within(async {
                while words.load(Ordering::Relaxed) < goal {
                    sleep(Duration::from_millis(10)).await;
                }
            })
            .await;
        }
    };
    until(100_000).await;
    let before = memory();
    until(usize::try_from(count(5_000_000)).unwrap()).await;
    let more = memory().saturating_sub(before);
    assert!(more < 64 << 20, "{more} bytes more");
    over.store(true, Ordering::Relaxed);
    // They have not been forgotten.
    near.mapped(1000, false).await.answering("own");
    for client in &mut waiting {
        assert_eq!(rest(client).await, "own");
    }
}

#[tokio::test]
async fn nonsense_and_half_a_word_end_the_conversation() {
    let long = "x".repeat(1 << 20);
    for (then, told) in [
        ("has 61000 0 0 0\n", "a line that no proxy says"),
        (long.as_str(), "invalid data"),
        ("has 61000 1 ", "is silent"),
        ("\u{fffd}\u{0}\n".repeat(3).as_str(), "talking with proxy"),
    ] {
        let (mut near, _far, liar) = between("").await;
        let mut tale = ordinary();
        tale.first.push_str(then);
        tale.then = if told == "talking with proxy" {
            BEAT.into()
        } else {
            String::new()
        };
        lie(liar, tale, Deed::Hangs);
        near.said(told).await;
        all_are_served(&near, 5).await;
    }
    // The same before it was ever believed to have anything.
    let (near, _far, liar) = between("").await;
    let tale = Tale {
        first: format!("has {PORT} 1 0 1\nhas"),
        then: String::new(),
    };
    lie(liar, tale, Deed::Hangs);
    all_are_served(&near, 5).await;
}

/// A connection that says this at the port for proxies: what it hears until it is closed.
async fn heard(near: &Host, bytes: &[u8]) -> Vec<u8> {
    let mut stream = within(TcpStream::connect(near.relay())).await.unwrap();
    within(stream.write_all(bytes)).await.unwrap();
    let mut answer = Vec::new();
    // It may be reset, because what it has said was not read to its end.
    let _ = within(stream.read_to_end(&mut answer)).await;
    answer
}

fn key_of(host: &Host) -> hostfiles::PeerKey {
    let text = std::fs::read_to_string(host.folder.path().join("proxy-key.txt")).unwrap();
    let keys = proxykeys::ProxyKeys::parse(&text).unwrap();
    keys.public().next().unwrap()
}

#[tokio::test]
async fn a_ticket_is_good_once_and_half_a_request_does_not_last() {
    let (near, liar) = (Host::start().await, Liar::new().await);
    near.mapped(1000, false).await.answering("own");
    near.meet(&[liar.address]).await;
    let talk = within(liar.converse(near.relay(), key_of(&near)))
        .await
        .unwrap();
    let asked = [talk.ticket(7), request(PORT)].concat();
    assert_eq!(heard(&near, &asked).await, b"Sown");
    for bytes in [
        asked.clone(),
        [talk.ticket(7), request(PORT)].concat(),
        // Numbers that nobody has reached, and a port that is none.
        [talk.ticket(u64::MAX), request(PORT)].concat(),
        [talk.ticket(8), request(0)].concat(),
        // Half a ticket, and half a request: nobody waits for ever.
        talk.ticket(9)[..30].to_vec(),
        [talk.ticket(10), request(PORT)[..20].to_vec()].concat(),
    ] {
        assert_eq!(heard(&near, &bytes).await, b"", "{bytes:?}");
    }
    // What only looks like TLS gets an alert of TLS.
    let alert = heard(&near, &[&[0x16, 3, 1][..], &[0; 5]].concat()).await;
    assert_eq!(alert[0], 21);
    // A port that is not here is refused, and the others are served as before.
    let asked = [talk.ticket(11), request(61001)].concat();
    assert_eq!(heard(&near, &asked).await, b"N");
    let asked = [talk.ticket(12), request(PORT)].concat();
    assert_eq!(heard(&near, &asked).await, b"Sown");
}

#[tokio::test]
async fn it_may_not_have_any_number_of_conversations_and_connections() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let (near, far, liar) = (Host::start().await, Host::start().await, Liar::new().await);
    near.mapped(1000, false).await.answering("own");
    near.meet(&[liar.address, far.relay()]).await;
    let key = key_of(&near);
    let mut talks = Vec::new();
    while let Ok(talk) = within(liar.converse(near.relay(), key)).await {
        talks.push(talk);
        assert!(talks.len() <= 16);
    }
    let mut ready = Vec::new();
    for number in 0.. {
        let mut stream = within(TcpStream::connect(near.relay())).await.unwrap();
        let ticket = talks[0].ticket(number);
        if within(stream.write_all(&ticket)).await.is_err() {
            break;
        }
        // Whoever is refused is told at once; the others hear nothing.
        let mut byte = [0];
        let refused = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut byte)).await;
        if refused.is_ok() {
            break;
        }
        ready.push(stream);
        assert!(number <= 1100);
    }
    assert!(ready.len() > 64, "{}", ready.len());
    // Each of them is still good, and makes room for another one.
    let mut one = ready.pop().unwrap();
    within(one.write_all(&request(PORT))).await.unwrap();
    hear(&mut one, "Sown").await;
    // Other proxies and clients notice nothing.
    open_with(&far, "", &[near.relay()]).await;
    assert_eq!(rest(&mut far.connect(PORT).await).await, "own");
    assert_eq!(rest(&mut near.connect(PORT).await).await, "own");
}

#[tokio::test]
async fn nobody_speaks_for_another_one() {
    let (mut near, far, liar) = (Host::start().await, Host::start().await, Liar::new().await);
    far.mapped(1000, false).await.answering("far");
    open_with(&near, "", &[liar.address, far.relay()]).await;
    // At its address another proxy should be, whose key is not the liar's; the liar's own one is known as well.
    let other = proxykeys::ProxyKeys::generate().unwrap();
    let path = near.folder.path().join("peers.conf");
    let read: Option<Peers> = hostfiles::read_if_present(&path).unwrap();
    let mut peers = read.unwrap();
    for peer in &mut peers.0 {
        if peer.address == liar.address {
            peer.keys = other.public().collect();
        }
    }
    peers.0.push(Peer {
        address: "127.0.0.1:1".parse().unwrap(),
        keys: vec![liar.public()],
    });
    near.write("peers.conf", &peers.to_text());
    let name = format!("cannot talk with proxy {}", liar.address);
    lie(liar, ordinary(), Deed::Nonsense);
    near.said(&name).await;
    near.forget();
    all_are_served(&near, 20).await;
    assert!(!near.has_said("failed for cluster port"));
}

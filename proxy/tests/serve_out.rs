//! A new program that cannot go on with the connections of the one before: it takes the ports, and the old one serves
//! out what it has.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use hostfiles::replace;
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};
use sns_proxy::Proxy;
use testkit::soak::count;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::cluster::{self, Hops, Host, PORT, breaks, hear, open_everywhere, rest, say, within};
use crate::program::PROGRAM;
use crate::stream::piece;
use crate::upgrade::Placed;

/// All hosts get a new program; the old ones join the others.
async fn succeed(hosts: Vec<Host>, old: &mut Vec<Proxy>) -> Vec<Host> {
    let mut successors = Vec::new();
    for host in hosts {
        let (host, before) = host.succeed().await;
        successors.push(host);
        old.push(before);
    }
    successors
}

#[tokio::test]
async fn a_conversation_goes_on_and_new_ones_begin() {
    for hops in Hops::ALL {
        let (near, far, backend) = cluster::reached(hops, false, cluster::UNHURRIED).await;
        let mut hosts: Vec<Host> = far.into_iter().chain([near]).collect();
        let (mut old, mut pairs) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let near = hosts.last().unwrap();
            pairs.push(tokio::join!(near.connect(PORT), backend.accept()));
            for (client, server) in &mut pairs {
                say(client, "question").await;
                hear(server, "question").await;
                say(server, "answer").await;
            }
            hosts = succeed(hosts, &mut old).await;
            for (client, _) in &mut pairs {
                hear(client, "answer").await;
            }
        }
        assert_eq!(old.len(), 3 * hops.count());
        for (client, server) in &mut pairs {
            client.shutdown().await.unwrap();
            assert_eq!(rest(server).await, "", "{hops:?}");
            say(server, "last words").await;
            server.shutdown().await.unwrap();
            assert_eq!(rest(client).await, "last words", "{hops:?}");
        }
        // Nothing is left for the old ones, and the others have let go of what stood ready.
        drop(pairs);
        for mut old in old {
            within(old.ended()).await;
        }
    }
}

#[tokio::test]
async fn a_half_said_header_and_a_half_closed_side_go_on() {
    let (near, _, backend) = cluster::reached(Hops::One, true, cluster::UNHURRIED).await;
    let (mut client, mut server) = tokio::join!(near.connect(PORT), backend.accept());
    say(&mut client, "PROXY TCP4 9.9.9.9 ").await;
    let (near, _old) = near.succeed().await;
    say(&mut client, "8.8.8.8 7 6\r\nrest").await;
    client.shutdown().await.unwrap();
    assert_eq!(
        rest(&mut server).await,
        "PROXY TCP4 9.9.9.9 8.8.8.8 7 6\r\nrest"
    );
    let (_near, _older) = near.succeed().await;
    say(&mut server, "last words").await;
    drop(server);
    assert_eq!(rest(&mut client).await, "last words");
}

#[tokio::test]
async fn clients_that_come_meanwhile_are_served() {
    for settings in ["", "ENCRYPT yes"] {
        let (near, far) = (Host::start().await, Host::start().await);
        far.mapped(1000, false).await.answering("far");
        open_everywhere(&near, &[far.relay()]).await;
        // The two have to find each other again and again, which takes what it takes.
        let patience = "QUEUE 10\nQUEUEWAIT 60";
        near.set(&format!(
            "CLUSTERPORTSCONF clusterports.conf\n{settings}\n{patience}"
        ))
        .await;
        assert_eq!(rest(&mut near.connect(PORT).await).await, "far");
        let (ip, mut hosts, mut old) = (near.ip, vec![near, far], Vec::new());
        let clients = tokio::spawn(async move {
            for _ in 0..count(3000) {
                let mut client = within(TcpStream::connect((ip, PORT))).await.unwrap();
                assert_eq!(rest(&mut client).await, "far");
            }
        });
        while !clients.is_finished() {
            hosts = succeed(hosts, &mut old).await;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        clients.await.unwrap();
        for mut old in old {
            within(old.ended()).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_waits_for_a_place_is_served_by_the_old_program() {
    let host = Host::start().await;
    host.set("QUEUE 10\nQUEUEWAIT 60").await;
    let backend = host.mapped(1, false).await;
    let first = tokio::join!(host.connect(PORT), backend.accept());
    let mut second = host.connect(PORT).await;
    say(&mut second, "waiting").await;
    let (_host, mut old) = host.succeed().await;
    drop(first);
    let mut server = backend.accept().await;
    hear(&mut server, "waiting").await;
    drop(server);
    assert_eq!(rest(&mut second).await, "");
    drop(second);
    within(old.ended()).await;
}

/// A program at `path` that says that it knows another form of the state; otherwise it is the real one at `real`.
fn of_another_format(path: &Path, real: &Path, more: &str) {
    fs::copy(PROGRAM, real).unwrap();
    fs::set_permissions(real, fs::Permissions::from_mode(0o755)).unwrap();
    let script = format!(
        "#!/bin/sh\ncase $1 in\nstate-format) echo 99 ;;\n{more}\n*) exec {} \"$@\" ;;\nesac\n",
        real.display()
    );
    replace(path, script.as_bytes(), 0o755).unwrap();
}

impl Placed {
    /// Has it go on as a program of another format: where that stands.
    fn replaced(&mut self, name: &str) -> PathBuf {
        let real = self.folder.path().join(name);
        of_another_format(&self.program(), &real, "");
        self.running.signal(Signal::HUP);
        self.running.said("takes over the ports");
        self.running.said("serves out");
        self.running.said("routing 1 cluster ports");
        assert_eq!(self.program(), real);
        real
    }

    /// The children of the process, dead ones too.
    fn children(&self) -> Vec<u32> {
        let pid = self.running.child.id();
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        text.split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect()
    }

    async fn until_childless(&self) {
        within(async {
            while !self.children().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// Sends until told to stop: what was sent, as a digest.
async fn send(mut out: OwnedWriteHalf, stopped: watch::Receiver<bool>) -> Vec<u8> {
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
    digest.finalize().to_vec()
}

async fn receive(mut from: OwnedReadHalf) -> Vec<u8> {
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 256 << 10]);
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        digest.update(&buffer[..count]);
    }
    digest.finalize().to_vec()
}

/// A client that asks and is answered, over and over; how many times.
async fn converse(
    mut client: TcpStream,
    mut server: TcpStream,
    stopped: watch::Receiver<bool>,
) -> usize {
    let mut rounds = 0;
    while !*stopped.borrow() {
        say(&mut client, "question").await;
        hear(&mut server, "question").await;
        say(&mut server, "answer").await;
        hear(&mut client, "answer").await;
        rounds += 1;
    }
    rounds
}

/// Clients that come one after the other, each to a connection of its own; how many.
async fn come(ip: std::net::IpAddr, pod: TcpListener, stopped: watch::Receiver<bool>) -> usize {
    tokio::spawn(async move {
        while let Ok((mut server, _)) = pod.accept().await {
            tokio::spawn(async move {
                let mut question = [0; 3];
                // One that was being dialled when the programs changed is dialled once more.
                if server.read_exact(&mut question).await.is_ok() {
                    let _ = server.write_all(b"seen").await;
                    if &question == b"own" {
                        let _ = server.read_u8().await;
                    }
                }
            });
        }
    });
    let mut served = 0;
    while !*stopped.borrow() {
        let mut client = within(TcpStream::connect((ip, PORT))).await.unwrap();
        say(&mut client, "new").await;
        assert_eq!(rest(&mut client).await, "seen");
        served += 1;
    }
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_conversations_and_newcomers_cross_two_programs_of_other_formats() {
    let mut placed = Placed::start().await;
    let pid = placed.running.child.id();
    let (stop, stopped) = watch::channel(false);
    let mut streams = Vec::new();
    for _ in 0..4 {
        let (client, server) = placed.joined().await;
        let (client_in, client_out) = client.into_split();
        let (server_in, server_out) = server.into_split();
        for (out, from) in [(client_out, server_in), (server_out, client_in)] {
            let sent = tokio::spawn(send(out, stopped.clone()));
            streams.push((sent, tokio::spawn(receive(from))));
        }
    }
    let (client, server) = placed.joined().await;
    let talk = tokio::spawn(converse(client, server, stopped.clone()));
    let (mut half, mut other) = placed.joined().await;
    half.shutdown().await.unwrap();
    assert_eq!(rest(&mut other).await, "");
    let pod = std::mem::replace(
        &mut placed.pod,
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let (ip, seen) = (placed.ip, stopped.clone());
    let newcomers = tokio::spawn(come(ip, pod, seen));
    let mut held = Vec::new();
    for name in ["second", "third"] {
        // Each program has a connection that was never another one's.
        let mut client = TcpStream::connect((ip, PORT)).await.unwrap();
        say(&mut client, "own").await;
        hear(&mut client, "seen").await;
        held.push(client);
        placed.replaced(name);
        assert_eq!(placed.running.child.id(), pid);
    }
    assert_eq!(placed.children().len(), 2);
    say(&mut other, "last words").await;
    drop(other);
    assert_eq!(rest(&mut half).await, "last words");
    drop(held);
    stop.send_replace(true);
    for (sent, received) in streams {
        assert_eq!(within(sent).await.unwrap(), within(received).await.unwrap());
    }
    assert!(within(talk).await.unwrap() > 0);
    assert!(within(newcomers).await.unwrap() > 0);
    // They end with the last of their connections, and leave nothing.
    placed.until_childless().await;
    placed.running.signal(Signal::TERM);
    assert!(placed.running.child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_the_old_program_has_an_end() {
    let mut placed = Placed::with("UPGRADEDRAIN 0").await;
    let (mut client, mut server) = placed.joined().await;
    of_another_format(&placed.program(), &placed.folder.path().join("second"), "");
    placed.running.signal(Signal::HUP);
    placed.running.said("reset 1 connections");
    breaks(&mut client).await;
    breaks(&mut server).await;
    placed.until_childless().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_one_for_both_programs() {
    let mut placed = Placed::with("DRAIN 60").await;
    let (mut client, mut server) = placed.joined().await;
    placed.replaced("second");
    let (mut newer, mut its_server) = placed.joined().await;
    placed.running.signal(Signal::TERM);
    placed.running.said("waiting for 1 open connections");
    placed.running.said("waiting for 1 open connections");
    for (client, server) in [(&mut client, &mut server), (&mut newer, &mut its_server)] {
        say(client, "still here").await;
        hear(server, "still here").await;
    }
    drop((client, server, newer, its_server));
    assert!(placed.running.child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_new_program_cannot() {
    let mut placed = Placed::start().await;
    let (mut client, mut server) = placed.joined().await;
    let path = placed.program();
    let real = placed.folder.path().join("real");
    for more in [
        "rehearse) exit 1 ;;",
        "rehearse) kill -SEGV $$ ;;",
        // It is gone when it is to be executed.
        "rehearse) read -r _ < /dev/null; /bin/rm \"$0\"; exec REAL \"$@\" ;;",
    ] {
        let more = more.replace("REAL", &real.display().to_string());
        of_another_format(&path, &real, &more);
        placed.running.signal(Signal::HUP);
        placed.running.said("not going on as");
        say(&mut client, "still here").await;
        hear(&mut server, "still here").await;
        let (mut client, mut server) = placed.joined().await;
        say(&mut client, "new").await;
        hear(&mut server, "new").await;
    }
    placed.until_childless().await;
}

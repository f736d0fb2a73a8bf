//! One proxy takes over what another one carries, and nobody notices.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use hostfiles::replace;
use rustix::process::{Resource, Signal, getrlimit, setrlimit};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use testkit::soak::count;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::cluster::{
    self, Hops, Host, PORT, UNHURRIED, address, hear, open_everywhere, path, reached, rest, say,
    within,
};
use crate::program::{PROGRAM, Running, command_of};
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
        let cluster::Path {
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
        let cluster::Path {
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

/// The program in a folder, where another one can take its place, with one pod.
pub(crate) struct Placed {
    pub(crate) folder: TempDir,
    pub(crate) ip: IpAddr,
    pub(crate) running: Running,
    pub(crate) pod: TcpListener,
}

impl Placed {
    pub(crate) async fn start() -> Self {
        Self::with("").await
    }

    pub(crate) async fn with(settings: &str) -> Self {
        let (folder, ip) = (TempDir::new().unwrap(), address());
        let pod = TcpListener::bind((ip, 0)).await.unwrap();
        let write = |name: &str, text: &str| {
            replace(&folder.path().join(name), text.as_bytes(), 0o644).unwrap();
        };
        let port = pod.local_addr().unwrap().port();
        write("ports.conf", &format!("{PORT}:{port}:100:false\n"));
        write(
            "proxy.conf",
            &format!(
                "HOSTSCONF hosts.conf\nPORTSCONF ports.conf\nHOST {ip}\nMETRICSSOCKET metrics.sock\n\
                 {settings}\n"
            ),
        );
        let program = folder.path().join("sns-proxy");
        std::fs::copy(PROGRAM, &program).unwrap();
        let conf = folder.path().join("proxy.conf");
        let mut running = Running::of(command_of(&program, &[&conf]));
        running.said(&format!("listening on {ip}:{PORT}"));
        Self {
            folder,
            ip,
            running,
            pod,
        }
    }

    pub(crate) async fn joined(&self) -> (TcpStream, TcpStream) {
        let (client, server) = tokio::join!(TcpStream::connect((self.ip, PORT)), self.pod.accept());
        (client.unwrap(), server.unwrap().0)
    }

    /// The program that the process is now.
    pub(crate) fn program(&self) -> std::path::PathBuf {
        std::fs::read_link(format!("/proc/{}/exe", self.running.child.id())).unwrap()
    }

    pub(crate) fn conf(&self) -> std::path::PathBuf {
        self.folder.path().join("proxy.conf")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_calls_goes_on_with_the_connections() {
    let mut placed = Placed::start().await;
    let (mut client, mut server) = placed.joined().await;
    let newer = placed.folder.path().join("newer");
    std::fs::copy(PROGRAM, &newer).unwrap();
    say(&mut client, "before").await;
    let first = placed.folder.path().join("sns-proxy");
    // The same one twice as well.
    for program in [&newer, &newer, &newer, &first] {
        let asked = command_of(program, &[Path::new("upgrade"), &placed.conf()]).output();
        let asked = asked.unwrap();
        assert!(asked.status.success(), "{asked:?}");
        assert_eq!(placed.program(), *program);
        placed.running.said("going on as");
        placed.running.said("routing 1 cluster ports");
    }
    hear(&mut server, "before").await;
    say(&mut server, "after").await;
    hear(&mut client, "after").await;
    let (mut client, mut server) = placed.joined().await;
    say(&mut client, "new").await;
    hear(&mut server, "new").await;
    // Signals mean what they meant before.
    drop((client, server));
    placed.running.signal(Signal::TERM);
    assert!(placed.running.child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_goes_on_as_the_program_that_stands_there_now() {
    let mut placed = Placed::start().await;
    let (mut client, mut server) = placed.joined().await;
    let path = placed.folder.path().join("sns-proxy");
    let before = std::fs::metadata(&path).unwrap().ino();
    // A program does not mind what follows it.
    let other = [std::fs::read(PROGRAM).unwrap(), b"another one".to_vec()].concat();
    replace(&path, &other, 0o755).unwrap();
    placed.running.signal(Signal::HUP);
    placed.running.said("going on as");
    placed.running.said("routing 1 cluster ports");
    let now = std::fs::metadata(format!("/proc/{}/exe", placed.running.child.id())).unwrap();
    assert_ne!(now.ino(), before);
    say(&mut client, "question").await;
    hear(&mut server, "question").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_go_on_is_not_let() {
    let mut placed = Placed::start().await;
    let (mut client, mut server) = placed.joined().await;
    let path = placed.folder.path().join("sns-proxy");
    for (script, told) in [
        (
            "#!/bin/sh\n[ $1 = state-format ] && echo 99\n",
            "of format 99 only",
        ),
        // It says that it could do everything.
        ("#!/bin/sh\necho 1\n", "cannot go on with what is carried"),
        ("#!/bin/sh\necho 99\n", "cannot go on with what is carried"),
        ("#!/bin/sh\nexit 1\n", "is no sns-proxy"),
        (
            "#!/bin/sh\n[ $1 = check ] && { echo no sense >&2; exit 1; }\necho 1\n",
            "no sense",
        ),
        ("not a program", "cannot try"),
    ] {
        replace(&path, script.as_bytes(), 0o755).unwrap();
        placed.running.signal(Signal::HUP);
        placed.running.said(told);
    }
    say(&mut client, "still here").await;
    hear(&mut server, "still here").await;
    let nobody = command_of(
        Path::new(PROGRAM),
        &[Path::new("upgrade"), Path::new("/nowhere")],
    );
    assert!(!{ nobody }.output().unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_go_on() {
    // Both ends of all connections are in this process.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut placed = Placed::start().await;
    replace(
        &placed.folder.path().join("ports.conf"),
        format!(
            "{PORT}:{}:100000:false\n",
            placed.pod.local_addr().unwrap().port()
        )
        .as_bytes(),
        0o644,
    )
    .unwrap();
    placed.running.signal(Signal::HUP);
    placed.running.said("is in force");
    let mut pairs = Vec::new();
    for _ in 0..count(5000) {
        pairs.push(placed.joined().await);
    }
    for round in 0..3 {
        let path = placed.folder.path().join(format!("round{round}"));
        std::fs::copy(PROGRAM, &path).unwrap();
        let asked = command_of(&path, &[Path::new("upgrade"), &placed.conf()]).output();
        assert!(asked.unwrap().status.success());
    }
    for (client, server) in &mut pairs {
        say(client, "question").await;
        hear(server, "question").await;
        say(server, "answer").await;
        hear(client, "answer").await;
    }
}

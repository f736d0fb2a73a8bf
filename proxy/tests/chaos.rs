//! Clients that come while everything around them changes, or runs out.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hostfiles::replace;
use tempfile::TempDir;
use testkit::soak::count;
use tokio::time::sleep;

use crate::cluster::{Host, PORT, address, hear, rest, say};
use crate::program::{PROGRAM, Running, command_of};

#[tokio::test]
async fn ten_changes_a_second_cost_no_client() {
    let host = Host::start().await;
    let held = host.backend().await;
    let stays = host.backend().await;
    let (one, other) = (stays.mapping(1000, false), "61001:30000:1:false".to_owned());
    let long = held.mapping(1000, false);
    host.map(&[long]).await;
    let (mut client, mut server) = tokio::join!(host.connect(PORT), held.accept());
    host.map(std::slice::from_ref(&one)).await;
    stays.answering("pod");
    let over = AtomicBool::new(false);
    let changes = async {
        for change in 0..count(300) {
            match change % 3 {
                0 => host.map(&[one.clone(), other.clone()]).await,
                1 => host.map(&[one.replace(":1000:", ":900:")]).await,
                _ => {
                    host.set(&format!("QUEUEWAIT {change}")).await;
                    host.map(std::slice::from_ref(&one)).await;
                }
            }
            sleep(Duration::from_millis(10)).await;
        }
        over.store(true, Ordering::Relaxed);
    };
    let clients = async {
        let mut served = 0;
        while !over.load(Ordering::Relaxed) {
            assert_eq!(rest(&mut host.connect(PORT).await).await, "pod");
            served += 1;
        }
        served
    };
    let ((), served) = tokio::join!(changes, clients);
    assert!(served > 0);
    // Whoever was connected before the first change still is.
    say(&mut client, "still here").await;
    hear(&mut server, "still here").await;
}

#[test]
fn a_proxy_without_descriptors_waits_until_there_are_some() {
    let (folder, ip) = (TempDir::new().unwrap(), address());
    let pod = TcpListener::bind((ip, 0)).unwrap();
    let write = |name: &str, text: &str| {
        replace(&folder.path().join(name), text.as_bytes(), 0o644).unwrap();
    };
    let port = pod.local_addr().unwrap().port();
    write("ports.conf", &format!("{PORT}:{port}:1000:false\n"));
    write(
        "proxy.conf",
        &format!("HOSTSCONF hosts.conf\nPORTSCONF ports.conf\nHOST {ip}\n"),
    );
    let script = format!(
        "ulimit -n 64; exec {PROGRAM} {}",
        folder.path().join("proxy.conf").display()
    );
    let shell = command_of(Path::new("/bin/sh"), &[Path::new("-c"), Path::new(&script)]);
    let mut running = Running::of(shell);
    running.said(&format!("listening on {ip}:{PORT}"));
    let clients: Vec<_> = (0..60)
        .map(|_| TcpStream::connect((ip, PORT)).unwrap())
        .collect();
    running.said("cannot take a connection");
    drop(clients);
    // It serves again as soon as there is room.
    let mut accepted = 0;
    pod.set_nonblocking(true).unwrap();
    let client = TcpStream::connect((ip, PORT)).unwrap();
    let own = client.local_addr().unwrap();
    let until = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        use std::io::{Read as _, Write as _};
        assert!(
            std::time::Instant::now() < until,
            "{accepted} were accepted"
        );
        let Ok((mut server, _)) = pod.accept() else {
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        accepted += 1;
        server.set_nonblocking(false).unwrap();
        // Those that have left have nothing to say.
        (&client).write_all(b"hello").unwrap();
        server
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let mut heard = [0; 5];
        if server.read_exact(&mut heard).is_ok() {
            assert_eq!(&heard, b"hello", "{own}");
            return;
        }
    }
}

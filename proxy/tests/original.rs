//! The original's proxy, written once more for the tests from a description of what it does on the wire, with nothing of
//! the program that is tested: both sides of its protocol, with its ways. What it gets wrong is written as it is where a
//! proxy of ours has to live with it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::cluster::address;

/// How long the asking side waits for a line.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// How long it waits for a client's header, when the pod wants one and when it does not.
const HEADER_MAX: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(1)];
/// The longest header.
const HEADER_BYTES_MAX: usize = 56;

/// A pod.
struct Mapping {
    port: u16,
    to: SocketAddr,
    max: u32,
    send_proxy: bool,
    active: Arc<AtomicU32>,
}

/// One proxy of the original; it runs until the test is over.
pub(crate) struct Original {
    /// Where it meets other proxies.
    pub(crate) relay: SocketAddr,
    mappings: Arc<Mutex<Vec<Mapping>>>,
}

impl Original {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((address(), 0)).await.unwrap();
        let original = Self {
            relay: listener.local_addr().unwrap(),
            mappings: Arc::default(),
        };
        let mappings = Arc::clone(&original.mappings);
        tokio::spawn(async move {
            while let Ok((asker, _)) = listener.accept().await {
                tokio::spawn(answer(asker, Arc::clone(&mappings)));
            }
        });
        original
    }

    /// Has one more pod.
    pub(crate) fn map(&self, port: u16, to: SocketAddr, max: u32, send_proxy: bool) {
        self.mappings.lock().unwrap().push(Mapping {
            port,
            to,
            max,
            send_proxy,
            active: Arc::default(),
        });
    }

    /// Listens at a cluster port, and asks these hosts in turn: where it listens.
    pub(crate) async fn listen(port: u16, hosts: Vec<SocketAddr>) -> SocketAddr {
        let listener = TcpListener::bind((address(), 0)).await.unwrap();
        let own = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(ask(client, port, hosts.clone()));
            }
        });
        own
    }
}

/// The cluster port of a request line. Everything but the last field is for show, but has to be there.
fn port_of(line: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let words: Vec<&str> = line.split(' ').collect();
    let ["PROXY", "TCP4", from, to, from_port, port] = words.as_slice() else {
        return None;
    };
    let dotted =
        |text: &str| text.split('.').count() == 4 && text.parse::<std::net::Ipv4Addr>().is_ok();
    (dotted(from) && dotted(to) && from_port.parse::<u16>().is_ok()).then_some(())?;
    port.parse().ok()
}

/// A line, and what came with it in one piece.
async fn read_line(stream: &mut TcpStream, most: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
            let rest = bytes.split_off(end + 2);
            return Some((bytes, rest));
        }
        if bytes.len() > most || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// The side that has pods.
async fn answer(mut asker: TcpStream, mappings: Arc<Mutex<Vec<Mapping>>>) -> Option<()> {
    let (line, rest) = read_line(&mut asker, 107).await?;
    let port = port_of(&line)?;
    // The test decides about the order; the original shuffles.
    let found: Vec<_> = mappings
        .lock()
        .unwrap()
        .iter()
        .filter(|mapping| mapping.port == port)
        .map(|one| (one.to, one.max, one.send_proxy, Arc::clone(&one.active)))
        .collect();
    let mut is_busy = false;
    for (to, max, send_proxy, active) in found {
        if active.load(Ordering::Relaxed) >= max {
            is_busy = true;
            continue;
        }
        let Ok(mut pod) = TcpStream::connect(to).await else {
            continue;
        };
        active.fetch_add(1, Ordering::Relaxed);
        let said = format!("SENDPROXY={send_proxy}\r\n");
        let sent = asker.write_all(said.as_bytes()).await;
        if sent.is_ok() && pod.write_all(&rest).await.is_ok() {
            join(asker, pod).await;
        }
        active.fetch_sub(1, Ordering::Relaxed);
        return Some(());
    }
    if is_busy {
        asker.write_all(b"BUSY\r\n").await.ok()?;
    }
    Some(())
}

/// The side that has clients.
async fn ask(mut client: TcpStream, port: u16, hosts: Vec<SocketAddr>) -> Option<()> {
    for host in hosts {
        let Ok(mut proxy) = TcpStream::connect(host).await else {
            continue;
        };
        let line = format!("PROXY TCP4 1.2.3.4 1.2.3.4 123 {port}\r\n");
        proxy.write_all(line.as_bytes()).await.ok()?;
        let answer = timeout(ANSWER_MAX, read_line(&mut proxy, 17)).await;
        let (send_proxy, glued) = match answer {
            Ok(Some((line, glued))) if line == b"SENDPROXY=true\r\n" => (true, glued),
            Ok(Some((line, glued))) if line == b"SENDPROXY=false\r\n" => (false, glued),
            // Busy, closed, or silent.
            _ => continue,
        };
        let first = first_of(&mut client, send_proxy).await?;
        proxy.write_all(&first).await.ok()?;
        // What came with the answer has waited for that.
        client.write_all(&glued).await.ok()?;
        join(client, proxy).await;
        return Some(());
    }
    None
}

/// What is sent first in the name of the client: with a header if one is wanted, without if not.
async fn first_of(client: &mut TcpStream, wanted: bool) -> Option<Vec<u8>> {
    let mut said = Vec::new();
    let prefix = b"PROXY TCP4 ";
    let heard = timeout(HEADER_MAX[usize::from(!wanted)], async {
        loop {
            let common = said.len().min(prefix.len());
            let may_be = said[..common] == prefix[..common] && said.len() <= HEADER_BYTES_MAX;
            let end = said.windows(2).position(|two| two == b"\r\n");
            if !may_be || end.is_some() {
                return Some(end.filter(|_| may_be).map(|end| end + 2));
            }
            if client.read_buf(&mut said).await.ok()? == 0 {
                return Some(None);
            }
        }
    });
    // Whoever says nothing in time has no header.
    let own_header = heard.await.ok().flatten().flatten();
    match (own_header, wanted) {
        (Some(length), false) => Some(said.split_off(length)),
        (Some(_), true) | (None, false) => Some(said),
        (None, true) => {
            // Its own address where the client's should be.
            let own = client.local_addr().ok()?;
            let header = format!("PROXY TCP4 {0} {0} {1} {1}\r\n", own.ip(), own.port());
            Some([header.as_bytes(), &said].concat())
        }
    }
}

/// Carries both ways. Its sockets know no half-closed connection: who hears the end says it too.
async fn join(one: TcpStream, other: TcpStream) {
    let (mut one_in, mut one_out) = one.into_split();
    let (mut other_in, mut other_out) = other.into_split();
    tokio::select! {
        _ = tokio::io::copy(&mut one_in, &mut other_out) => {}
        _ = tokio::io::copy(&mut other_in, &mut one_out) => {}
    }
    let _ = other_out.shutdown().await;
    let _ = one_out.shutdown().await;
}

//! A relay on loopback that counts what goes through it in both directions.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::Result;

/// Read at once, in bytes.
const BUFFER_BYTES: usize = 256 * 1024;

/// Passes on as long as the bench runs.
pub(super) struct Relay {
    pub(super) address: SocketAddr,
    bytes: Arc<AtomicU64>,
}

impl Relay {
    /// One before that server.
    pub(super) fn before(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let relay = Self {
            address: listener.local_addr()?,
            bytes: Arc::default(),
        };
        let bytes = Arc::clone(&relay.bytes);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that does not answer shows in the connection that ends.
                if let Ok(server) = TcpStream::connect(server) {
                    let _ = join(&client, &server, &bytes);
                }
            }
        });
        Ok(relay)
    }

    /// How much has gone through it so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

fn join(client: &TcpStream, server: &TcpStream, bytes: &Arc<AtomicU64>) -> Result<()> {
    for (from, to) in [(client, server), (server, client)] {
        from.set_nodelay(true)?;
        let (from, to, bytes) = (from.try_clone()?, to.try_clone()?, Arc::clone(bytes));
        thread::spawn(move || copy(from, to, &bytes));
    }
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream, bytes: &AtomicU64) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(read) = from.read(&mut buffer) {
        let Some(read) = buffer.get(..read).filter(|read| !read.is_empty()) else {
            break;
        };
        bytes.fetch_add(read.len() as u64, Ordering::Relaxed);
        if to.write_all(read).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

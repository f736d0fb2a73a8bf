//! A wire between two proxies that remembers what goes over it, and can hold back what comes back.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::cluster::address;

/// The wire: whoever connects to it is connected with the other end.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    /// What was sent towards the other end, by connection.
    pub(crate) sent: Arc<Mutex<Vec<Vec<u8>>>>,
    /// What comes back passes only while this is false, and everything that was held then.
    pub(crate) holds: watch::Sender<bool>,
}

impl Wire {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((address(), 0)).await.unwrap();
        let sent: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let (holds, held) = watch::channel(false);
        let wire = Self {
            address: listener.local_addr().unwrap(),
            sent: Arc::clone(&sent),
            holds,
        };
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(target).await else {
                    continue;
                };
                let place = {
                    let mut sent = sent.lock().unwrap();
                    sent.push(Vec::new());
                    sent.len() - 1
                };
                let (near_out, near_in) = near.into_split();
                let (far_out, far_in) = far.into_split();
                tokio::spawn(there(near_out, far_in, Arc::clone(&sent), place));
                tokio::spawn(back(far_out, near_in, held.clone()));
            }
        });
        wire
    }

    /// Whether a text went over it as it is.
    pub(crate) fn carried(&self, text: &str) -> bool {
        let sent = self.sent.lock().unwrap();
        let has = |bytes: &Vec<u8>| {
            bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        };
        sent.iter().any(has)
    }
}

async fn there(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
    place: usize,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        sent.lock().unwrap()[place].extend_from_slice(&buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

async fn back(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut held: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        // The other end of the wire is gone when the test is over.
        if held.wait_for(|held| !held).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

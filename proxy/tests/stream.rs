//! A large stream to a reader that takes its time: every byte arrives, and nothing piles up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::{Hops, Host, PORT, Path, path, within};

/// What the two sockets of one proxy hold at most, as kernels since 6.16 allow it (32 MiB to receive, 4 MiB to
/// send), and the pipe between them.
const HOP_BYTES_MAX: usize = 40 << 20;

/// What the sockets of the two ends hold at most.
const ENDS_BYTES_MAX: usize = 40 << 20;

/// Bytes that do not repeat at any power of two.
pub(crate) fn piece(number: usize) -> Vec<u8> {
    (0..65_521)
        .map(|index: usize| (index.wrapping_mul(31) ^ (index >> 8) ^ number).to_le_bytes()[0])
        .collect()
}

#[tokio::test]
async fn a_slow_reader_gets_every_byte() {
    for hops in Hops::ALL {
        let most = ENDS_BYTES_MAX + hops.count() * HOP_BYTES_MAX;
        let total = most * 2;
        let Path {
            mut client,
            mut server,
            hosts,
        } = path(hops, false).await;
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        let sender = tokio::spawn(async move {
            let mut digest = Sha256::new();
            for number in 0.. {
                let piece = piece(number);
                server.write_all(&piece).await.unwrap();
                digest.update(&piece);
                if counted.fetch_add(piece.len(), Ordering::Relaxed) >= total {
                    break;
                }
            }
            digest.finalize()
        });
        let (mut digest, mut received, mut buffer) = (Sha256::new(), 0, vec![0; 16 << 10]);
        loop {
            let count = within(client.read(&mut buffer)).await.unwrap();
            if count == 0 {
                break;
            }
            digest.update(&buffer[..count]);
            received += count;
            let on_the_way = sent.load(Ordering::Relaxed).saturating_sub(received);
            assert!(on_the_way < most, "{on_the_way} bytes piled up");
            // The sender and the proxies get many turns for one of the reader.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        }
        assert!(received >= total);
        assert_eq!(sender.await.unwrap(), digest.finalize());
        drop(hosts);
    }
}

/// Sends so many pieces, and gives their digest.
async fn send(mut stream: TcpStream, pieces: usize) -> Vec<u8> {
    let mut digest = Sha256::new();
    for number in 0..pieces {
        let piece = piece(number);
        stream.write_all(&piece).await.unwrap();
        digest.update(&piece);
    }
    digest.finalize().to_vec()
}

async fn digest_of(mut stream: TcpStream) -> Vec<u8> {
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        let count = within(stream.read(&mut buffer)).await.unwrap();
        if count == 0 {
            return digest.finalize().to_vec();
        }
        digest.update(buffer.get(..count).unwrap());
    }
}

/// Long streams change the thread that carries them; with one thread alone there is nothing to change.
#[tokio::test]
async fn several_long_streams_at_once_keep_every_byte() {
    let host = Host::start().await;
    let backend = host.mapped(100, false).await;
    let mut streams = Vec::new();
    for number in 0..6 {
        let (client, server) = tokio::join!(host.connect(PORT), backend.accept());
        // Half of them go up, half of them down.
        let (from, to) = if number % 2 == 0 {
            (client, server)
        } else {
            (server, client)
        };
        streams.push((
            tokio::spawn(send(from, 100 + number)),
            tokio::spawn(digest_of(to)),
        ));
    }
    for (sent, heard) in streams {
        assert_eq!(sent.await.unwrap(), heard.await.unwrap());
    }
}

/// All of it is there in one piece: it becomes long, and is over, in one turn.
#[tokio::test]
async fn bursts_that_are_over_at_once_leave_nothing_behind() {
    let host = Host::start().await;
    let backend = host.mapped(100, false).await;
    for _ in 0..30 {
        let mut clients = Vec::new();
        for _ in 0..4 {
            let (mut client, server) = tokio::join!(host.connect(PORT), backend.accept());
            clients.push(tokio::spawn(async move {
                client.write_all(&[1; 300 << 10]).await.unwrap();
                client.shutdown().await.unwrap();
                client
            }));
            clients.push(tokio::spawn(async move {
                let mut server = server;
                let mut heard = Vec::new();
                within(server.read_to_end(&mut heard)).await.unwrap();
                assert_eq!(heard.len(), 300 << 10);
                server
            }));
        }
        for client in clients {
            client.await.unwrap();
        }
    }
}

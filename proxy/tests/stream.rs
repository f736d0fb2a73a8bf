//! A large stream to a reader that takes its time: every byte arrives, and nothing piles up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::cluster::{Path, path, within};

/// What the two sockets of one proxy hold at most, as kernels since 6.16 allow it (32 MiB to receive, 4 MiB to
/// send), and the pipe between them.
const HOP_BYTES_MAX: usize = 40 << 20;

/// What the sockets of the two ends hold at most.
const ENDS_BYTES_MAX: usize = 40 << 20;

/// Bytes that do not repeat at any power of two.
fn piece(number: usize) -> Vec<u8> {
    (0..65_521)
        .map(|index: usize| (index.wrapping_mul(31) ^ (index >> 8) ^ number).to_le_bytes()[0])
        .collect()
}

#[tokio::test]
async fn a_slow_reader_gets_every_byte() {
    for hops in [1, 2] {
        let most = ENDS_BYTES_MAX + hops * HOP_BYTES_MAX;
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

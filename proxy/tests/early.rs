//! Sides that leave before they have heard everything: what they said arrives, and a whole answer
//! can be told from one that was cut short.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::{Hops, PORT, UNHURRIED, reached, within};
use crate::properties::soak;

const ANSWER: &str = "413 too large";

/// More than the sockets on the way hold, so that one side still talks when the other leaves.
const LONG_BYTES: usize = 24 << 20;

/// Answers after the first byte of the question, and leaves the rest of it unread.
async fn answer_early(mut server: TcpStream, says_end: bool) {
    server.read_u8().await.unwrap();
    server.write_all(ANSWER.as_bytes()).await.unwrap();
    if says_end {
        server.shutdown().await.unwrap();
    }
}

/// Asks a long question; what was heard, and whether all went in order.
async fn ask(mut client: TcpStream) -> (String, io::Result<()>) {
    let question = vec![b'q'; LONG_BYTES];
    let asked = async {
        client.write_all(&question).await?;
        client.shutdown().await
    }
    .await;
    let mut answer = Vec::new();
    let heard = client.read_to_end(&mut answer).await.map(drop);
    (String::from_utf8(answer).unwrap(), asked.and(heard))
}

async fn check(hops: Hops, says_end: bool) {
    let (near, _far, backend) = reached(hops, false, UNHURRIED).await;
    for turn in 0..soak(20) {
        let (_, (answer, end)) = within(async {
            tokio::join!(
                async { answer_early(backend.accept().await, says_end).await },
                async { ask(near.connect(PORT).await).await },
            )
        })
        .await;
        assert_eq!(answer, ANSWER, "{hops:?}, turn {turn}: {end:?}");
        // A server that leaves without a word has perhaps not said all.
        assert_eq!(end.is_ok(), says_end, "{hops:?}, turn {turn}: {end:?}");
    }
}

#[tokio::test]
async fn a_whole_answer_ends_in_order() {
    for hops in Hops::ALL {
        check(hops, true).await;
    }
}

#[tokio::test]
async fn an_answer_cut_short_arrives_and_breaks_off() {
    for hops in Hops::ALL {
        check(hops, false).await;
    }
}

#[tokio::test]
async fn what_a_client_said_before_it_left_arrives() {
    for hops in Hops::ALL {
        let (near, _far, backend) = reached(hops, false, UNHURRIED).await;
        for turn in 0..soak(20) {
            let client = async {
                let mut client = near.connect(PORT).await;
                // It has heard something, and leaves while the server goes on talking.
                client.read_u8().await.unwrap();
                client.write_all(ANSWER.as_bytes()).await.unwrap();
            };
            let server = async {
                let mut server = backend.accept().await;
                let talked = server.write_all(&vec![b's'; LONG_BYTES]).await;
                let mut heard = Vec::new();
                // The client did not hear all, so it has to end in a reset, told here or before.
                let end = server.read_to_end(&mut heard).await.map(drop);
                (String::from_utf8(heard).unwrap(), talked.and(end))
            };
            let ((), (heard, end)) = within(async { tokio::join!(client, server) }).await;
            assert_eq!(heard, ANSWER, "{hops:?}, turn {turn}: {end:?}");
            assert!(end.is_err(), "{hops:?}, turn {turn}");
        }
    }
}

//! Servers that answer before they have heard everything, and leave: the answer arrives, and a whole
//! one can be told from one that was cut short.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::{PORT, UNHURRIED, reached, within};
use crate::properties::soak;

const ANSWER: &str = "413 too large";

/// More than the sockets on the way hold, so that the client still talks when the server leaves.
const QUESTION_BYTES: usize = 24 << 20;

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
    let question = vec![b'q'; QUESTION_BYTES];
    let asked = async {
        client.write_all(&question).await?;
        client.shutdown().await
    }
    .await;
    let mut answer = Vec::new();
    let heard = client.read_to_end(&mut answer).await.map(drop);
    (String::from_utf8(answer).unwrap(), asked.and(heard))
}

async fn check(hops: usize, says_end: bool) {
    let (near, _far, backend) = reached(hops, false, UNHURRIED).await;
    for turn in 0..soak(20) {
        let (_, (answer, end)) = within(async {
            tokio::join!(
                async { answer_early(backend.accept().await, says_end).await },
                async { ask(near.connect(PORT).await).await },
            )
        })
        .await;
        assert_eq!(answer, ANSWER, "{hops} hops, turn {turn}: {end:?}");
        // A server that leaves without a word has perhaps not said all.
        assert_eq!(end.is_ok(), says_end, "{hops} hops, turn {turn}: {end:?}");
    }
}

#[tokio::test]
async fn a_whole_answer_ends_in_order() {
    check(1, true).await;
    check(2, true).await;
}

#[tokio::test]
async fn an_answer_cut_short_arrives_and_breaks_off() {
    check(1, false).await;
    check(2, false).await;
}

//! How connections end: by halves, all at once, or broken off; over one proxy and over two.

use tokio::io::{AsyncWriteExt, Interest};

use crate::cluster::{Path, break_off, breaks, hear, path, rest, say, within};

const HOPS: [usize; 2] = [1, 2];

#[tokio::test]
async fn what_is_said_arrives() {
    for hops in HOPS {
        let Path {
            mut client,
            mut server,
            hosts: _hosts,
        } = path(hops, false).await;
        say(&mut client, "question").await;
        hear(&mut server, "question").await;
        say(&mut server, "answer").await;
        hear(&mut client, "answer").await;
    }
}

#[tokio::test]
async fn a_client_that_has_said_all_is_still_answered() {
    for hops in HOPS {
        let Path {
            mut client,
            mut server,
            hosts: _hosts,
        } = path(hops, false).await;
        say(&mut client, "question").await;
        client.shutdown().await.unwrap();
        assert_eq!(rest(&mut server).await, "question");
        say(&mut server, "answer").await;
        drop(server);
        assert_eq!(rest(&mut client).await, "answer");
    }
}

#[tokio::test]
async fn a_server_that_has_said_all_still_listens() {
    for hops in HOPS {
        let Path {
            mut client,
            mut server,
            hosts: _hosts,
        } = path(hops, false).await;
        say(&mut server, "banner").await;
        server.shutdown().await.unwrap();
        assert_eq!(rest(&mut client).await, "banner");
        say(&mut client, "question").await;
        drop(client);
        assert_eq!(rest(&mut server).await, "question");
    }
}

#[tokio::test]
async fn a_server_speaks_first_and_is_not_held_back() {
    for hops in HOPS {
        let Path {
            mut client,
            mut server,
            hosts: _hosts,
        } = path(hops, false).await;
        for line in ["220 ready\r\n", "second\r\n", "third\r\n"] {
            say(&mut server, line).await;
            hear(&mut client, line).await;
        }
        say(&mut client, "EHLO\r\n").await;
        hear(&mut server, "EHLO\r\n").await;
    }
}

#[tokio::test]
async fn a_client_that_breaks_off_breaks_the_server_off() {
    for hops in HOPS {
        let Path {
            mut client,
            mut server,
            hosts: _hosts,
        } = path(hops, false).await;
        say(&mut client, "question").await;
        hear(&mut server, "question").await;
        break_off(client);
        breaks(&mut server).await;
    }
}

#[tokio::test]
async fn a_server_that_breaks_off_breaks_the_client_off() {
    for hops in HOPS {
        let Path {
            mut client,
            mut server,
            hosts: _hosts,
        } = path(hops, false).await;
        say(&mut server, "half an ans").await;
        hear(&mut client, "half an ans").await;
        break_off(server);
        breaks(&mut client).await;
    }
}

#[tokio::test]
async fn breaking_off_is_noticed_after_the_last_word() {
    for hops in HOPS {
        let Path {
            mut client,
            mut server,
            hosts: _hosts,
        } = path(hops, false).await;
        say(&mut client, "question").await;
        client.shutdown().await.unwrap();
        assert_eq!(rest(&mut server).await, "question");
        break_off(client);
        // The server says nothing, so only the proxy can tell it.
        assert!(
            within(server.ready(Interest::ERROR))
                .await
                .unwrap()
                .is_error()
        );
    }
}

//! How connections end: by halves, all at once, or broken off; over one proxy and over two.

use crate::cluster::UNHURRIED;
use crate::play::Act::{BreaksOff, Ends, Hears, HearsAtLast, IsBrokenOff, IsTold, Leaves, Says};
use crate::play::Step;
use crate::play::Who::{Client, Server};

async fn check(steps: &[Step]) {
    crate::play::check(false, UNHURRIED, steps).await;
}

#[tokio::test]
async fn what_is_said_arrives() {
    check(&[
        (Client, Says("question")),
        (Server, Hears("question")),
        (Server, Says("answer")),
        (Client, Hears("answer")),
    ])
    .await;
}

#[tokio::test]
async fn a_client_that_has_said_all_is_still_answered() {
    check(&[
        (Client, Says("question")),
        (Client, Ends),
        (Server, HearsAtLast("question")),
        (Server, Says("answer")),
        (Server, Leaves),
        (Client, HearsAtLast("answer")),
    ])
    .await;
}

#[tokio::test]
async fn a_server_that_has_said_all_still_listens() {
    check(&[
        (Server, Says("banner")),
        (Server, Ends),
        (Client, HearsAtLast("banner")),
        (Client, Says("question")),
        (Client, Leaves),
        (Server, HearsAtLast("question")),
    ])
    .await;
}

#[tokio::test]
async fn a_server_speaks_first_and_is_not_held_back() {
    check(&[
        (Server, Says("220 ready\r\n")),
        (Client, Hears("220 ready\r\n")),
        (Server, Says("second\r\n")),
        (Client, Hears("second\r\n")),
        (Client, Says("EHLO\r\n")),
        (Server, Hears("EHLO\r\n")),
    ])
    .await;
}

#[tokio::test]
async fn a_client_that_breaks_off_breaks_the_server_off() {
    check(&[
        (Client, Says("question")),
        (Server, Hears("question")),
        (Client, BreaksOff),
        (Server, IsBrokenOff),
    ])
    .await;
}

#[tokio::test]
async fn a_server_that_breaks_off_breaks_the_client_off() {
    check(&[
        (Server, Says("half an ans")),
        (Client, Hears("half an ans")),
        (Server, BreaksOff),
        (Client, IsBrokenOff),
    ])
    .await;
}

#[tokio::test]
async fn breaking_off_is_noticed_after_the_last_word() {
    check(&[
        (Client, Says("question")),
        (Client, Ends),
        (Server, HearsAtLast("question")),
        (Client, BreaksOff),
        // The server says nothing, so only the proxy can tell it.
        (Server, IsTold),
    ])
    .await;
}

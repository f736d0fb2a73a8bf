//! Conversations between a client and a server as tables: who does what, one step after the other.

use sns_proxy::Patience;
use sns_proxy::header::Header;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use crate::cluster::{Hops, PORT, break_off, breaks, hear, reached, rest, say, within};

/// Who does something.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who {
    Client,
    Server,
}

/// What somebody does. In texts, `{made}` is the header that a proxy has to make for this client.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    Says(&'static str),
    /// This comes next.
    Hears(&'static str),
    /// This comes next, and nothing more ever.
    HearsAtLast(&'static str),
    /// Has said all, and listens on.
    Ends,
    /// Closes in order.
    Leaves,
    BreaksOff,
    /// Nothing comes but a reset.
    IsBrokenOff,
    /// Is told of a reset without listening or talking.
    IsTold,
}

/// One step of a conversation.
pub(crate) type Step = (Who, Act);

/// The header that a proxy has to make for a client.
pub(crate) fn made(client: &TcpStream) -> String {
    Header::of(client.local_addr().unwrap(), client.peer_addr().unwrap()).to_string()
}

/// Plays a conversation over one proxy, and over two.
pub(crate) async fn check(send_proxy: bool, patience: Patience, steps: &[Step]) {
    for hops in Hops::ALL {
        let (near, _far, backend) = reached(hops, send_proxy, patience).await;
        let (client, server) = tokio::join!(near.connect(PORT), backend.accept());
        let made = made(&client);
        let (mut client, mut server) = (Some(client), Some(server));
        for (number, (who, act)) in steps.iter().enumerate() {
            // Shown only when the step fails.
            println!("{hops:?}, step {number}: {who:?} {act:?}");
            let stream = match who {
                Who::Client => &mut client,
                Who::Server => &mut server,
            };
            *stream = act.play(stream.take().unwrap(), &made).await;
        }
    }
}

impl Act {
    /// Does it; the stream that is left.
    async fn play(self, mut stream: TcpStream, made: &str) -> Option<TcpStream> {
        let full = |text: &str| text.replace("{made}", made);
        match self {
            Self::Says(text) => say(&mut stream, &full(text)).await,
            Self::Hears(text) => hear(&mut stream, &full(text)).await,
            Self::HearsAtLast(text) => assert_eq!(rest(&mut stream).await, full(text)),
            Self::Ends => stream.shutdown().await.unwrap(),
            Self::IsBrokenOff => breaks(&mut stream).await,
            Self::IsTold => {
                let ready = within(stream.ready(Interest::ERROR)).await.unwrap();
                assert!(ready.is_error());
            }
            Self::Leaves => return None,
            Self::BreaksOff => {
                break_off(stream);
                return None;
            }
        }
        Some(stream)
    }
}

//! One connection to one SSH server: dialled, believed, logged in. It stays for all commands on that host, and for
//! all hosts behind it.

use std::sync::Arc;
use std::time::Duration;

use hostfiles::{SshHostKey, SshHostKeys};
use russh::client::{self, Config, Handle, Msg};
use russh::{Channel, Preferred};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::HopError;
use super::hostkey::{self, Fate, Watcher, visible};
use super::login::{Means, login};
use super::route::Hop;
use super::stream::{Stream, Watched, over};

/// What may be under way to us before we have taken any of it, per command: enough for 100 Mbit/s across the world.
const WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// The most that the protocol can put into a packet.
const PACKET_BYTES_MAX: u32 = 65_535;

/// A server that is silent is asked for a sign of life so often; after the third time it is taken for dead.
const BEAT: Duration = Duration::from_secs(5);
const BEATS_MISSED_MAX: usize = 2;

/// A connection that is logged in.
pub(super) struct Session {
    handle: Handle<Watcher>,
    fate: Fate,
    /// The connection below must not end before this one.
    _through: Option<Arc<Session>>,
}

impl Session {
    /// Connects to a hop, through the connection to the one before it.
    pub(super) async fn open(
        hop: &Hop,
        through: Option<(&Hop, Arc<Self>)>,
        means: &Means<'_>,
    ) -> Result<Self, HopError> {
        let pinned = hostkey::pinned(hop)?;
        let fate = Fate::default();
        let mut handle = greet(hop, through.as_ref(), pinned, &fate).await?;
        login(&mut handle, hop, means).await?;
        Ok(Self {
            handle,
            fate,
            _through: through.map(|(_, session)| session),
        })
    }

    /// True when it can carry nothing more.
    pub(super) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Why it ended.
    pub(super) fn why(&self) -> String {
        self.fate.why()
    }

    /// A channel for one command.
    pub(super) async fn channel(&self) -> Result<Channel<Msg>, russh::Error> {
        self.handle.channel_open_session().await
    }
}

/// The key that a server shows; nobody logs in.
pub(super) async fn scan(
    hop: &Hop,
    through: Option<(&Hop, Arc<Session>)>,
) -> Result<SshHostKey, HopError> {
    let fate = Fate::default();
    let greeted = greet(hop, through.as_ref(), SshHostKeys::default(), &fate).await;
    match (greeted, fate.shown()) {
        (Err(HopError::Unpinned { .. }), Some(key)) => Ok(key),
        (Err(error), _) => Err(error),
        // Nothing is pinned, so nothing is let through.
        (Ok(_), _) => Err(HopError::Ended {
            address: hop.place(),
            why: "it showed no key".to_owned(),
        }),
    }
}

/// Connects, agrees on keys and looks at the server's.
async fn greet(
    hop: &Hop,
    through: Option<&(&Hop, Arc<Session>)>,
    pinned: SshHostKeys,
    fate: &Fate,
) -> Result<Handle<Watcher>, HopError> {
    match through {
        None => shake(dial(hop).await?, hop, pinned, fate).await,
        Some((jump, session)) => shake(forward(hop, jump, session).await?, hop, pinned, fate).await,
    }
}

/// The beginning of the protocol, over whatever leads there.
async fn shake(
    stream: impl Stream,
    hop: &Hop,
    pinned: SshHostKeys,
    fate: &Fate,
) -> Result<Handle<Watcher>, HopError> {
    let watcher = Watcher {
        pinned: pinned.clone(),
        fate: fate.clone(),
    };
    let greeting = client::connect_stream(config(&pinned), Watched::new(stream), watcher);
    let limited = timeout(hop.limit, greeting).await;
    let greeted = limited.map_err(|_| silent(hop, "answer as an SSH server"))?;
    greeted.map_err(|error| match (error, fate.shown()) {
        (russh::Error::UnknownKey, Some(key)) => hostkey::refusal(hop, &pinned, &key),
        (russh::Error::HUP | russh::Error::Disconnect, _) => HopError::Ended {
            address: hop.place(),
            why: fate.why(),
        },
        (source, _) => HopError::Protocol {
            address: hop.place(),
            source,
        },
    })
}

async fn dial(hop: &Hop) -> Result<TcpStream, HopError> {
    let connecting = TcpStream::connect((hop.address.as_str(), hop.port));
    let limited = timeout(hop.limit, connecting).await;
    let connected = limited.map_err(|_| silent(hop, "take a connection"))?;
    let failed = |source| HopError::Dial {
        address: hop.place(),
        source,
    };
    let socket = connected.map_err(failed)?;
    socket.set_nodelay(true).map_err(failed)?;
    Ok(socket)
}

/// A channel of the jump host's connection, which leads to the port of the hop.
async fn forward(hop: &Hop, jump: &Hop, session: &Session) -> Result<impl Stream, HopError> {
    let (address, port) = (hop.address.clone(), u32::from(hop.port));
    let opening = session
        .handle
        .channel_open_direct_tcpip(address, port, "127.0.0.1", 0);
    let limited = timeout(hop.limit, opening).await;
    let opened = limited.map_err(|_| silent(hop, "take a connection"))?;
    opened.map(over).map_err(|error| HopError::Forward {
        jump: jump.name.clone(),
        address: hop.place(),
        why: match (session.is_closed(), error) {
            (true, _) => session.why(),
            (false, russh::Error::ChannelOpenFailure(reason)) => refused(&reason),
            (false, error) => visible(&error.to_string()),
        },
    })
}

fn refused(reason: &russh::ChannelOpenFailure) -> String {
    use russh::ChannelOpenFailure as Reason;
    match reason {
        Reason::AdministrativelyProhibited => {
            "its server does not let this user connect on (AllowTcpForwarding)".to_owned()
        }
        Reason::ConnectFailed => "nobody takes a connection there".to_owned(),
        Reason::UnknownChannelType => "its server cannot".to_owned(),
        Reason::ResourceShortage => "its server is too busy".to_owned(),
        Reason::Other { reason, .. } => visible(reason),
    }
}

fn silent(hop: &Hop, missing: &'static str) -> HopError {
    HopError::Silent {
        address: hop.place(),
        missing,
        seconds: hop.limit.as_secs(),
    }
}

fn config(pinned: &SshHostKeys) -> Arc<Config> {
    Arc::new(Config {
        window_size: WINDOW_BYTES,
        maximum_packet_size: PACKET_BYTES_MAX,
        preferred: Preferred {
            key: hostkey::algorithms(pinned),
            ..Preferred::DEFAULT
        },
        keepalive_interval: Some(BEAT),
        keepalive_max: BEATS_MISSED_MAX,
        nodelay: true,
        ..Config::default()
    })
}

//! Clients that were answered once, and do nothing from then on.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Result;

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Connections that are held until this is dropped.
pub(super) struct Held(Vec<TcpStream>);

impl Held {
    /// So many. Each is known to the server, because it has been answered.
    pub(super) fn connect(at: SocketAddr, count: usize) -> Result<Self> {
        let clients = (0..count).map(|_| {
            let client = TcpStream::connect(at)?;
            client.set_read_timeout(Some(ANSWER_MAX))?;
            asks(&client)?;
            Ok(client)
        });
        Ok(Self(clients.collect::<Result<_>>()?))
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// How many are answered no more.
    pub(super) fn lost(&self) -> usize {
        self.0.iter().filter(|client| asks(client).is_err()).count()
    }
}

/// One word there and back.
pub(super) fn asks(mut client: &TcpStream) -> Result<u8> {
    let mut answer = [0];
    client.write_all(b"?")?;
    client.read_exact(&mut answer)?;
    Ok(answer[0])
}

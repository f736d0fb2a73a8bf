//! One connection from its first byte to its end: of a client at a cluster port, or of another proxy.
//!
//! Joins a taken socket with what `dial` finds. It must not listen, and must not choose.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::Patience;
use crate::dial::{Dialler, Missed, Target};
use crate::event::Event;
use crate::header::{Header, LENGTH_BYTES_MAX};
use crate::opening::{Heard, Opening, Verdict};
use crate::pipe::Stopped;
use crate::relay::{self, Answer, Request};
use crate::table::Routes;
use crate::{pipe, socket};

/// What a port leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Entrance {
    /// Clients of this cluster port.
    Cluster(u16),
    /// Other proxies.
    Relay,
}

/// What every connection needs.
pub(crate) struct Context {
    /// The routes in force.
    pub(crate) routes: watch::Receiver<Arc<Routes>>,
    pub(crate) dialler: Dialler,
    pub(crate) patience: Patience,
    /// How many connections are open.
    pub(crate) open: watch::Sender<usize>,
    /// True when the open connections have to go.
    pub(crate) cut: watch::Receiver<bool>,
}

/// Counts one open connection as long as it lives.
struct Counted<'a>(&'a watch::Sender<usize>);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

impl Context {
    /// Carries one connection until it ends or is cut.
    pub(crate) async fn carry(&self, entrance: Entrance, stream: TcpStream, from: SocketAddr) {
        self.open.send_modify(|open| *open += 1);
        let _counted = Counted(&self.open);
        let mut cut = self.cut.clone();
        tokio::select! {
            () = self.serve(entrance, stream, from) => {}
            // An error means that the proxy itself is gone.
            _ = cut.wait_for(|cut| *cut) => {}
        }
    }

    async fn serve(&self, entrance: Entrance, stream: TcpStream, from: SocketAddr) {
        let result = match entrance {
            Entrance::Cluster(port) => self
                .client(port, stream, from)
                .await
                .map_err(|error| (port, error)),
            Entrance::Relay => self.proxy(stream, from).await,
        };
        if let Err((port, error)) = result {
            (self.dialler.report)(&Event::Broken(port, from, error));
        }
    }

    fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.borrow())
    }

    /// A client that connected to a cluster port.
    async fn client(&self, port: u16, client: TcpStream, from: SocketAddr) -> io::Result<()> {
        let began = Instant::now();
        socket::prepare(&client)?;
        (self.dialler.report)(&Event::Opened(port, from));
        let header = Header::of(from, client.local_addr()?);
        let routes = self.routes();
        let dialled = unless_broken(&client, self.dialler.anywhere(&routes, port, &header)).await?;
        drop(routes);
        // The lease is bound first, so that it is given back last.
        let Target {
            lease: _lease,
            stream: server,
            send_proxy,
            first,
        } = match dialled {
            Ok(target) => target,
            Err(missed) => {
                (self.dialler.report)(&Event::NotServed {
                    port,
                    client: from,
                    busy: missed == Missed::Busy,
                });
                return Ok(());
            }
        };
        let up = async {
            open(
                &client,
                &server,
                Opening::new(send_proxy.then_some(header), self.patience),
                began,
            )
            .await?;
            pipe::one_way(&client, &server).await
        };
        let down = async {
            pipe::send(&client, &first).await?;
            pipe::one_way(&server, &client).await
        };
        pipe::join((&client, up), (&server, down)).await?;
        socket::end(server);
        socket::end(client);
        Ok(())
    }

    /// Another proxy that asks for a backend of this host.
    async fn proxy(&self, asker: TcpStream, from: SocketAddr) -> Result<(), (u16, io::Error)> {
        socket::prepare(&asker).map_err(|error| (0, error))?;
        let (port, first) = match relay::request(&asker).await.map_err(|error| (0, error))? {
            Request::Port(port, first) => (port, first),
            request => {
                (self.dialler.report)(&if request == Request::Nothing {
                    Event::NoRequest(from)
                } else {
                    Event::BadRequest(from)
                });
                socket::end(asker);
                return Ok(());
            }
        };
        (self.dialler.report)(&Event::Opened(port, from));
        self.relayed(port, asker, &first)
            .await
            .map_err(|error| (port, error))
    }

    /// A proxy's request for a cluster port of this host; `first` is what its client said already.
    async fn relayed(&self, port: u16, asker: TcpStream, first: &[u8]) -> io::Result<()> {
        let routes = self.routes();
        let dialled = unless_broken(&asker, self.dialler.local(&routes, port)).await?;
        drop(routes);
        let Target {
            lease: _lease,
            stream: server,
            send_proxy,
            ..
        } = match dialled {
            Ok(target) => target,
            Err(missed) => {
                if missed == Missed::Busy {
                    socket::send(&asker, Answer::Busy.to_string().as_bytes()).await?;
                }
                socket::end(asker);
                return Ok(());
            }
        };
        let up = async {
            pipe::send(&server, first).await?;
            pipe::one_way(&asker, &server).await
        };
        let down = async {
            let answer = Answer::Accepted { send_proxy };
            pipe::send(&asker, answer.to_string().as_bytes()).await?;
            pipe::one_way(&server, &asker).await
        };
        pipe::join((&asker, up), (&server, down)).await?;
        socket::end(server);
        socket::end(asker);
        Ok(())
    }
}

/// Does not go on dialling for somebody who has left.
async fn unless_broken<T>(stream: &TcpStream, work: impl Future<Output = T>) -> io::Result<T> {
    tokio::select! {
        done = work => Ok(done),
        broken = pipe::broken(stream) => Err(broken),
    }
}

/// Passes on the first bytes of a client, with or without a PROXY header, as the target wants it.
async fn open(
    client: &TcpStream,
    server: &TcpStream,
    mut opening: Opening,
    began: Instant,
) -> Result<(), Stopped> {
    let mut bytes = Vec::new();
    loop {
        let received = socket::receive(client, &mut bytes, LENGTH_BYTES_MAX);
        let received = match opening.patience(began.elapsed()) {
            Some(patience) => timeout(patience, received).await,
            None => Ok(received.await),
        };
        let verdict = match received {
            Err(_) => opening.hear(Heard::Silence),
            Ok(Ok(0)) => opening.hear(Heard::End),
            Ok(Ok(_)) => opening.hear(Heard::Bytes(&bytes)),
            Ok(Err(error)) => return Err(Stopped::Talker(error)),
        };
        bytes.clear();
        match verdict {
            Verdict::Hold => {}
            Verdict::Send(now) => pipe::send(server, &now).await?,
            Verdict::Done(now) => return pipe::send(server, &now).await,
        }
    }
}

//! Where the proxies of other hosts are met: those that speak TLS are believed or not, told what this host offers
//! for as long as they listen, and given tickets for the connections that follow.
//!
//! Workers ask here whether a ticket is good. A stranger learns nothing but that somebody speaks TLS.

mod frozen;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use hostfiles::PeerKey;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{interval_at, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

pub(crate) use self::frozen::FrozenGuest;
use super::announce::Offers;
use super::identity::{Known, Purpose, key_of, purpose};
use super::lines::{GREETING, Lines, SECRET_LABEL, answer};
use super::ticket::{Admission, Secret, SessionId, TICKET_BYTES, session_of};
use super::view::{BEAT_EVERY, SILENCE_MAX};
use crate::event::{Event, Reporter};
use crate::records::Records;

/// How long somebody may take until he is believed.
const GREETING_MAX: Duration = Duration::from_secs(3);
/// How many may be greeted at the same time; others are turned away.
const GREETED_MAX: usize = 256;
/// How many of them may come from where no proxy of the cluster is: they must not keep those out who belong to it.
const FOREIGN_MAX: usize = 32;
/// How many conversations one proxy may have at the same time: one, and one more for each program before it that still
/// serves out what it has.
const CONVERSATIONS_MAX: usize = 16;
/// And how many that are over are remembered, because tickets of theirs may be on their way.
const REMEMBERED_MAX: usize = 64;
/// How many connections on which nothing was asked yet may stand ready for one proxy: it has 64 for each conversation.
const READY_MAX: usize = 1024;
/// How long tickets of a conversation that is over are good: the other side notices later.
const AFTERWARDS: Duration = Duration::from_secs(10);

/// Somebody who speaks TLS.
pub(crate) type Stranger = (OwnedFd, SocketAddr);

/// What workers ask.
#[derive(Debug)]
pub(crate) struct Reception {
    strangers: mpsc::Sender<Stranger>,
    sessions: Mutex<HashMap<SessionId, Guest>>,
    /// How many connections stand ready, by whose they are.
    ready: Mutex<HashMap<PeerKey, Arc<()>>>,
    /// Whose keys are believed now; none before that was said for the first time.
    known: RwLock<Option<Arc<Known>>>,
    /// Everything was given to another program: nobody is believed any more.
    is_closed: AtomicBool,
}

/// One who was believed.
#[derive(Debug)]
struct Guest {
    key: PeerKey,
    admission: Admission,
    /// Until then, when the conversation is over.
    until: Option<Instant>,
}

impl Reception {
    /// One that is open, and those who come to it.
    pub(crate) fn open() -> (Arc<Self>, mpsc::Receiver<Stranger>) {
        let (strangers, arrived) = mpsc::channel(GREETED_MAX);
        let reception = Arc::new(Self {
            strangers,
            sessions: Mutex::default(),
            ready: Mutex::default(),
            known: RwLock::default(),
            is_closed: AtomicBool::new(false),
        });
        (reception, arrived)
    }

    /// Somebody speaks TLS; false when there is no room for him.
    pub(crate) fn greet(&self, stranger: Stranger) -> bool {
        !self.is_closed() && self.strangers.try_send(stranger).is_ok()
    }

    /// Whose ticket it is, if it is good and he has not too many connections that stand ready. The second value counts
    /// for one of those as long as it is kept.
    pub(crate) fn admits(&self, ticket: &[u8; TICKET_BYTES]) -> Option<(PeerKey, Arc<()>)> {
        let key = self.owner(ticket)?;
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let count = ready.entry(key).or_default();
        (Arc::strong_count(count) <= READY_MAX).then(|| (key, Arc::clone(count)))
    }

    fn owner(&self, ticket: &[u8; TICKET_BYTES]) -> Option<PeerKey> {
        let id = session_of(ticket)?;
        let mut sessions = self.sessions();
        let guest = sessions.get_mut(&id)?;
        let is_late = guest.until.is_some_and(|until| until <= Instant::now());
        let key = guest.key;
        (!is_late && guest.admission.admit(ticket) && self.believes(&key)).then_some(key)
    }

    /// Whether whoever has that key may ask for something.
    pub(crate) fn believes(&self, key: &PeerKey) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().is_none_or(|known| known.0.contains_key(key))
    }

    /// Nobody is greeted any more: another program goes on.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    fn begin(&self, id: SessionId, key: PeerKey, secret: &Secret) -> io::Result<()> {
        let mut sessions = self.sessions();
        if self.is_closed() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        // Much may have changed since he was greeted.
        if !self.believes(&key) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let now = Instant::now();
        sessions.retain(|_, guest| guest.until.is_none_or(|until| until > now));
        make_room(&mut sessions, &key)?;
        let admission = Admission::new(secret);
        let until = None;
        sessions.insert(
            id,
            Guest {
                key,
                admission,
                until,
            },
        );
        Ok(())
    }

    fn end(&self, id: &SessionId) {
        if let Some(guest) = self.sessions().get_mut(id) {
            guest.until = Some(Instant::now() + AFTERWARDS);
        }
    }

    /// Nobody else is believed from now on, whatever he was given before.
    pub(super) fn believe_only(&self, known: &Arc<Known>) {
        let mut believed = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *believed = Some(Arc::clone(known));
        drop(believed);
        self.sessions()
            .retain(|_, guest| known.0.contains_key(&guest.key));
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.retain(|key, count| known.0.contains_key(key) || Arc::strong_count(count) > 1);
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Guest>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One proxy may not have any number of conversations; of those that are over the oldest are forgotten.
fn make_room(sessions: &mut HashMap<SessionId, Guest>, key: &PeerKey) -> io::Result<()> {
    let own = sessions.iter().filter(|(_, guest)| guest.key == *key);
    let (over, going): (Vec<_>, Vec<_>) = own
        .map(|(id, guest)| (guest.until, *id))
        .partition(|(until, _)| until.is_some());
    if going.len() >= CONVERSATIONS_MAX {
        return Err(io::Error::other(
            "it talks with this proxy too often at once",
        ));
    }
    if over.len() >= REMEMBERED_MAX
        && let Some((_, oldest)) = over.iter().min()
    {
        sessions.remove(oldest);
    }
    Ok(())
}

/// By which this proxy proves who it is, and whom it believes.
#[derive(Debug, Clone, Default)]
pub(super) struct Credentials {
    pub(super) server: Option<Arc<ServerConfig>>,
    pub(super) known: Arc<Known>,
}

/// Carries a connection that another proxy has opened over TLS.
pub(crate) type Carry = Arc<dyn Fn(OwnedFd, SocketAddr, Box<Records>) + Send + Sync>;

/// The one who greets.
#[derive(Clone)]
pub(super) struct Porter {
    pub(super) reception: Arc<Reception>,
    pub(super) credentials: watch::Receiver<Credentials>,
    pub(super) offers: watch::Receiver<Arc<Offers>>,
    pub(super) carry: Carry,
    pub(super) report: Reporter,
    pub(super) began: Instant,
}

impl Porter {
    /// Greets whoever comes, for ever.
    pub(super) async fn run(self, mut arrived: mpsc::Receiver<Stranger>) {
        let rooms = [
            Arc::new(Semaphore::new(GREETED_MAX)),
            Arc::new(Semaphore::new(FOREIGN_MAX)),
        ];
        let [own, foreign] = &rooms;
        while let Some((socket, from)) = arrived.recv().await {
            let known = Arc::clone(&self.credentials.borrow().known);
            let is_near = known.0.values().any(|peer| peer.ip() == from.ip());
            let room = if is_near { own } else { foreign };
            // Whoever finds no room is dropped, and calls again.
            if let Ok(place) = Arc::clone(room).try_acquire_owned() {
                let porter = self.clone();
                tokio::spawn(async move {
                    let greeted = timeout(GREETING_MAX, porter.greet(socket, from)).await;
                    drop(place);
                    match greeted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                        Ok(Some(guest)) => porter.entertain(guest).await,
                        Ok(None) => {}
                        Err(error) => (porter.report)(&turned_away(from, error)),
                    }
                });
            }
        }
    }

    /// Believes somebody or not; one who wants to talk is given back.
    async fn greet(&self, socket: OwnedFd, from: SocketAddr) -> io::Result<Option<Conversation>> {
        let stream = TcpStream::from_std(socket.into())?;
        let server = self.credentials.borrow().server.clone();
        let server = server.ok_or_else(|| io::Error::other("this proxy has no key"))?;
        let stream = TlsAcceptor::from(server).accept(stream).await?;
        let (_, tls) = stream.get_ref();
        let key = tls
            .peer_certificates()
            .and_then(|shown| key_of(shown.first()?))
            .ok_or(io::ErrorKind::PermissionDenied)?;
        match purpose(tls.alpn_protocol()) {
            Some(Purpose::Talk) => self.begin(stream, key).await.map(Some),
            Some(Purpose::Relay) => self.relay(stream, from).await.map(|()| None),
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    async fn begin(&self, stream: TlsStream<TcpStream>, key: PeerKey) -> io::Result<Conversation> {
        let mut lines = Lines::new(stream);
        if lines.next().await? != GREETING.trim_end() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut id = SessionId::default();
        SystemRandom::new()
            .fill(&mut id)
            .map_err(|_| io::Error::other("no random bytes"))?;
        let mut secret = Zeroizing::new(Secret::default());
        let (_, tls) = lines.stream().get_ref();
        tls.export_keying_material(&mut *secret, SECRET_LABEL, Some(&id))
            .map_err(io::Error::other)?;
        self.reception.begin(id, key, &secret)?;
        lines.say(&answer(&id)).await?;
        Ok(Conversation { lines, id, key })
    }

    /// A connection for a client: from here on it is a worker's.
    async fn relay(&self, stream: TlsStream<TcpStream>, from: SocketAddr) -> io::Result<()> {
        let (mut stream, tls) = stream.into_inner();
        let secrets = tls.dangerous_extract_secrets().map_err(io::Error::other)?;
        let mut records = Records::of(&secrets).ok_or(io::ErrorKind::Unsupported)?;
        if self.reception.is_closed() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        // The other side has waited for a word, lest the library had read on.
        records.say(b"\n")?;
        stream.write_all(records.going()).await?;
        records.sent(records.going().len());
        (self.carry)(stream.into_std()?.into(), from, Box::new(records));
        Ok(())
    }

    /// Tells somebody what this host offers, until one of the two has had enough.
    async fn entertain(mut self, mut guest: Conversation) {
        // That it is over is all there is to know: the other side begins anew.
        let _ = self.tell(&mut guest).await;
        self.reception.end(&guest.id);
    }

    /// All guests hear the beat at the same time, so that the proxy wakes once for all of them.
    fn next_beat(&self) -> Instant {
        let beats = self.began.elapsed().as_millis() / BEAT_EVERY.as_millis();
        let next = u32::try_from(beats).unwrap_or(u32::MAX).saturating_add(1);
        self.began + BEAT_EVERY * next
    }

    async fn tell(&mut self, guest: &mut Conversation) -> io::Result<()> {
        let mut told = Arc::new(Offers::default());
        let mut beat = interval_at(self.next_beat().into(), BEAT_EVERY);
        let mut heard = Instant::now();
        let mut first = "complete\n";
        loop {
            let now = Arc::clone(&self.offers.borrow_and_update());
            // Mostly it is a beat or a line of his that has woken this, and there is nothing to compare.
            if !Arc::ptr_eq(&now, &told) {
                let news: String = now.news(&told).iter().map(ToString::to_string).collect();
                if !news.is_empty() || !first.is_empty() {
                    said(&mut guest.lines, &format!("{news}{first}")).await?;
                }
                (told, first) = (now, "");
            }
            tokio::select! {
                changed = self.offers.changed() => changed.map_err(io::Error::other)?,
                changed = self.credentials.changed() => {
                    changed.map_err(io::Error::other)?;
                    if !self.credentials.borrow_and_update().known.0.contains_key(&guest.key) {
                        return Err(io::ErrorKind::PermissionDenied.into());
                    }
                }
                line = guest.lines.next() => {
                    line?;
                    heard = Instant::now();
                }
                _ = beat.tick() => {
                    if heard.elapsed() > SILENCE_MAX * 2 {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    said(&mut guest.lines, "beat\n").await?;
                }
            }
        }
    }
}

/// Says something to one who listens; not for ever, if he does not.
async fn said(lines: &mut Lines<TlsStream<TcpStream>>, text: &str) -> io::Result<()> {
    let said = timeout(SILENCE_MAX * 2, lines.say(text)).await;
    said.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Whoever says the wrong thing is a stranger; one who breaks off may be anybody.
fn turned_away(from: SocketAddr, error: io::Error) -> Event {
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Event::NoRequest(from),
        _ => Event::Stranger(from, error),
    }
}

/// One who listens.
struct Conversation {
    lines: Lines<TlsStream<TcpStream>>,
    id: SessionId,
    key: PeerKey,
}

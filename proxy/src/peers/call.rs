//! The conversation with the proxy of another host, begun by this side: hears what it offers for as long as the two
//! know each other, and begins anew whenever the conversation ends.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hostfiles::PeerKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

use super::identity::{Identity, Purpose, key_of, server_name};
use super::lines::{GREETING, Lines, SECRET_LABEL, session_named};
use super::link::{Link, Spare};
use super::message::Message;
use super::ticket::{Secret, Session};
use super::view::{ANSWER_EVERY, Change, SILENCE_MAX};
use crate::event::{Event, PeerNews, Reporter};
use crate::records::Records;
use crate::socket::{keep_alive, prepare};

/// How long a proxy is waited for that does not answer.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// The pause after a failure, at first and at most; each one in a row doubles it.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long clients wait for a proxy that was never heard: both may just have begun.
const GIVE_UP_AFTER: Duration = Duration::from_secs(1);
/// When nobody has needed connections that stand ready for so long, there may be fewer.
const IDLE: Duration = Duration::from_secs(30);

/// Who calls, and whom.
pub(super) struct Caller {
    pub(super) link: Arc<Link>,
    pub(super) identity: Arc<Identity>,
    /// The keys by which the other proxy is known.
    pub(super) theirs: Vec<PeerKey>,
    pub(super) report: Reporter,
    /// Which of the own keys the other side believes, as far as that is known.
    pub(super) key: AtomicUsize,
    /// It has said what no proxy says.
    pub(super) nonsense: AtomicBool,
    /// Has those look again who wait for a place.
    pub(super) wake: Arc<dyn Fn() + Send + Sync>,
}

impl Caller {
    /// Talks for ever.
    pub(super) async fn run(self) {
        let (hung, heard) = (Notify::new(), Notify::new());
        let silence = self.notice_silence(&hung, &heard);
        tokio::join!(self.talk(&hung, &heard), silence, self.fill());
    }

    async fn talk(&self, hung: &Notify, heard: &Notify) {
        let began = Instant::now();
        let (mut pause, mut told) = (PAUSE_FIRST, false);
        loop {
            let ended = tokio::select! {
                ended = self.converse(heard) => ended,
                () = hung.notified() => Ended::of(io::ErrorKind::TimedOut.into()),
            };
            let is_nonsense = ended.error.kind() == io::ErrorKind::InvalidData;
            if ended.was_believed && is_nonsense {
                // Whoever says such things is given time to become another one.
                if !self.nonsense.swap(true, Ordering::Relaxed) {
                    self.tell(PeerNews::Unreachable(ended.error));
                }
            } else if ended.was_believed {
                (pause, told) = (PAUSE_FIRST, false);
            } else {
                if began.elapsed() >= GIVE_UP_AFTER {
                    self.link.give_up();
                }
                // A proxy that has an older picture of the cluster believes an older key.
                let key = (self.key() + 1) % self.identity.count();
                self.key.store(key, Ordering::Relaxed);
                if key == 0 && !std::mem::replace(&mut told, true) {
                    self.tell(PeerNews::Unreachable(ended.error));
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Whoever is silent for too long is asked no more, and the conversation is begun anew.
    async fn notice_silence(&self, hung: &Notify, heard: &Notify) {
        loop {
            let at = self.link.silent_at();
            let at = at.unwrap_or_else(|| Instant::now() + SILENCE_MAX);
            tokio::select! {
                () = sleep_until(at.into()) => {}
                // A timer that is put off in time wakes nobody.
                () = heard.notified() => continue,
            }
            if self.link.look(Instant::now()) {
                self.tell(PeerNews::Silent);
                hung.notify_waiters();
            }
        }
    }

    /// One conversation, to its end.
    async fn converse(&self, heard: &Notify) -> Ended {
        let begun = timeout(ANSWER_MAX, self.begin()).await;
        let begun = begun.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match begun {
            Err(error) => Ended::of(error),
            Ok(mut lines) => {
                // Not each time of one who then says what no proxy says.
                if !self.nonsense.load(Ordering::Relaxed) {
                    self.tell(PeerNews::Joined);
                }
                Ended {
                    error: self.listen(&mut lines, heard).await,
                    was_believed: true,
                }
            }
        }
    }

    async fn begin(&self) -> io::Result<Lines<TlsStream<TcpStream>>> {
        let mut stream = self.dial(Purpose::Talk).await?;
        stream.write_all(GREETING.as_bytes()).await?;
        let mut lines = Lines::new(stream);
        let id = session_named(&lines.next().await?).ok_or(io::ErrorKind::InvalidData)?;
        let mut secret = Zeroizing::new(Secret::default());
        let (_, tls) = lines.stream().get_ref();
        tls.export_keying_material(&mut *secret, SECRET_LABEL, Some(&id))
            .map_err(io::Error::other)?;
        let shown = tls
            .peer_certificates()
            .and_then(|shown| key_of(shown.first()?))
            .ok_or(io::ErrorKind::PermissionDenied)?;
        self.link.begin(Session::new(id, &secret), shown);
        Ok(lines)
    }

    fn key(&self) -> usize {
        self.key.load(Ordering::Relaxed)
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.link.address).await?;
        prepare(stream.as_fd())?;
        keep_alive(stream.as_fd())?;
        Ok(stream)
    }

    async fn dial(&self, purpose: Purpose) -> io::Result<TlsStream<TcpStream>> {
        let stream = self.connect().await?;
        let config = self
            .identity
            .client(&self.theirs, self.key(), purpose)
            .map_err(io::Error::other)?;
        let name = server_name().map_err(io::Error::other)?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    /// Hears lines, and says that this side lives; why that ended. It says so when it is awake anyway, because it has
    /// heard something: a host with many others would otherwise have a timer for each of them.
    async fn listen(
        &self,
        lines: &mut Lines<TlsStream<TcpStream>>,
        is_heard: &Notify,
    ) -> io::Error {
        let mut heard = tokio::time::Instant::now();
        let mut said = heard;
        loop {
            let done = tokio::select! {
                line = lines.next() => {
                    heard = tokio::time::Instant::now();
                    is_heard.notify_one();
                    line.and_then(|line| self.hear(&line))
                }
                () = sleep_until(heard + SILENCE_MAX) => Err(io::ErrorKind::TimedOut.into()),
            };
            if let Err(error) = done {
                return error;
            }
            if heard.duration_since(said) >= ANSWER_EVERY {
                said = heard;
                let done = timeout(SILENCE_MAX, lines.say(&Message::Beat.to_string())).await;
                let done = done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                if let Err(error) = done {
                    return error;
                }
            }
        }
    }

    fn hear(&self, line: &str) -> io::Result<()> {
        let message = Message::parse(line)
            .map_err(|nonsense| io::Error::new(io::ErrorKind::InvalidData, nonsense))?;
        if message == Message::Complete && self.nonsense.swap(false, Ordering::Relaxed) {
            self.tell(PeerNews::Joined);
        }
        if self.link.hear(message, Instant::now()) == Change::More {
            (self.wake)();
        }
        Ok(())
    }

    /// Sees to it that connections stand ready.
    async fn fill(&self) {
        let mut pause = PAUSE_FIRST;
        loop {
            while let Some(ticket) = self.link.lacks() {
                match timeout(ANSWER_MAX, self.spare(&ticket)).await {
                    Ok(Ok(spare)) => {
                        pause = PAUSE_FIRST;
                        if self.link.stock(spare) {
                            (self.wake)();
                        }
                    }
                    // The conversation tells of trouble.
                    Ok(Err(_)) | Err(_) => {
                        sleep(pause).await;
                        pause = (pause * 2).min(PAUSE_MAX);
                    }
                }
            }
            if timeout(IDLE, self.link.low.notified()).await.is_err() {
                self.link.shrink();
            }
        }
    }

    async fn spare(&self, ticket: &[u8]) -> io::Result<Spare> {
        if !self.link.is_sealed() {
            let mut stream = self.connect().await?;
            stream.write_all(ticket).await?;
            return Ok(Spare {
                socket: stream.into_std()?.into(),
                records: None,
            });
        }
        let (mut stream, tls) = self.dial(Purpose::Relay).await?.into_inner();
        let secrets = tls.dangerous_extract_secrets().map_err(io::Error::other)?;
        let mut records = Records::of(&secrets).ok_or(io::ErrorKind::Unsupported)?;
        // The other side says a word when it has taken over the keys: nothing may come before that.
        let mut byte = [0];
        while records.take(&mut byte)? == 0 {
            let mut bytes = [0; 64];
            let count = stream.read(&mut bytes).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            records.arrived(bytes.get(..count).unwrap_or_default());
        }
        records.say(ticket)?;
        stream.write_all(records.going()).await?;
        records.sent(records.going().len());
        Ok(Spare {
            socket: stream.into_std()?.into(),
            records: Some(Box::new(records)),
        })
    }

    fn tell(&self, news: PeerNews) {
        (self.report)(&Event::Peer(self.link.address, news));
    }
}

/// Why a conversation is over.
struct Ended {
    error: io::Error,
    /// Each side had believed the other.
    was_believed: bool,
}

impl Ended {
    /// One that has never begun.
    fn of(error: io::Error) -> Self {
        Self {
            error,
            was_believed: false,
        }
    }
}

//! The clients of the proxies that are measured: they ask and wait for the answer, on connections that stay or on
//! a new one each time, or they only listen.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
    sockopt,
};

use super::server::watch;

/// The length of a question and its answer, in bytes.
const QUESTION_BYTES: usize = 64;
/// What one read takes at most.
const BUFFER_BYTES: usize = 256 << 10;
/// How often the clock is looked at when nothing comes.
const PAUSE: Duration = Duration::from_millis(20);

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Asks again and again on one connection.
    Ask,
    /// Asks once on each connection.
    Connect,
    /// Listens to what is sent without end.
    Listen,
}

/// So many clients for so long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) kind: Kind,
    pub(super) clients: usize,
    /// The length of a question.
    pub(super) bytes: usize,
    pub(super) time: Duration,
    /// How long a client waits for an answer until it calls that a failure and comes again.
    pub(super) patience: Duration,
    /// How many connections begin in a second, whether those before are answered or not; none: each client comes again
    /// at once. The time of one counts from when it should have begun.
    pub(super) paced: Option<u32>,
}

impl Load {
    /// Clients of unlimited patience.
    pub(super) const fn new(kind: Kind, clients: usize, time: Duration) -> Self {
        Self {
            kind,
            clients,
            bytes: QUESTION_BYTES,
            time,
            patience: Duration::MAX,
            paced: None,
        }
    }

    /// When the connection of that number begins.
    fn begins(&self, number: u32) -> Option<Duration> {
        Some(Duration::from_secs(1) * number / self.paced?)
    }
}

/// An answer that came.
#[derive(Debug, Clone, Copy)]
struct Answer {
    asked: Instant,
    wait: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Answers, connections or bytes.
    pub(super) done: u64,
    pub(super) took: Duration,
    answers: Vec<Answer>,
    /// When it was asked what was never answered: the connection broke off, or nothing came.
    pub(super) failures: Vec<Instant>,
}

impl Outcome {
    /// So many a second.
    pub(super) fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate is a rounded figure")]
        let done = self.done as f64;
        done / self.took.as_secs_f64()
    }

    /// The wait that this part of the answers did not exceed.
    pub(super) fn wait(&self, part: f64) -> Duration {
        self.wait_where(part, |_| true)
    }

    /// The same of those that were asked at certain times.
    pub(super) fn wait_where(&self, part: f64, wanted: impl Fn(Instant) -> bool) -> Duration {
        let answers = self.answers.iter().filter(|answer| wanted(answer.asked));
        let mut waits: Vec<_> = answers.map(|answer| answer.wait).collect();
        waits.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list, not above its length"
        )]
        let place = (waits.len() as f64 * part) as usize;
        let last = waits.len().saturating_sub(1);
        waits.get(place.min(last)).copied().unwrap_or_default()
    }
}

struct Client {
    socket: OwnedFd,
    /// When the question was sent; when it was dialled, where the connection is part of the question.
    asked: Instant,
    has_asked: bool,
    heard: usize,
}

struct Clients {
    load: Load,
    at: SocketAddr,
    epoll: OwnedFd,
    all: Vec<Client>,
    question: Vec<u8>,
    buffer: Vec<u8>,
    outcome: Outcome,
    /// Those that wait until it is their turn.
    free: Vec<usize>,
    began: Instant,
    /// How many have begun, where they are paced.
    begun: u32,
}

/// Runs a load against an address.
pub(super) fn run(load: Load, at: SocketAddr) -> Result<Outcome> {
    let mut clients = Clients {
        load,
        at,
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        all: Vec::new(),
        question: vec![b'q'; load.bytes],
        buffer: vec![0; BUFFER_BYTES],
        outcome: Outcome::default(),
        free: Vec::new(),
        began: Instant::now(),
        begun: 0,
    };
    for id in 0..load.clients {
        let client = clients.dial(id, Instant::now())?;
        clients.all.push(client);
    }
    let began = Instant::now();
    clients.began = began;
    let mut words = Vec::with_capacity(256);
    while began.elapsed() < load.time {
        words.clear();
        let pause = Timespec::try_from(clients.pause())?;
        match epoll::wait(&clients.epoll, spare_capacity(&mut words), Some(&pause)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for word in &words {
            clients.turn(usize::try_from(word.data.u64())?, word.flags)?;
        }
        clients.begin_paced()?;
        if load.patience < load.time {
            clients.give_up()?;
        }
    }
    clients.outcome.took = began.elapsed();
    ensure!(
        clients.outcome.done > 0,
        "nothing was answered by {at} within {:?}",
        load.time
    );
    Ok(clients.outcome)
}

impl Clients {
    fn dial(&self, id: usize, asked: Instant) -> Result<Client> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        match connect(&socket, &self.at) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let wanted = match self.load.kind {
            Kind::Listen => epoll::EventFlags::IN,
            Kind::Ask | Kind::Connect => {
                epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET
            }
        };
        watch(&self.epoll, &socket, u64::try_from(id)?, wanted)?;
        Ok(Client {
            socket,
            asked,
            has_asked: false,
            heard: 0,
        })
    }

    fn turn(&mut self, id: usize, flags: epoll::EventFlags) -> Result<()> {
        let Some(client) = self.all.get_mut(id) else {
            return Ok(());
        };
        if self.load.kind == Kind::Listen {
            // What is only counted need not be copied.
            if let Ok((_, count)) =
                recv(&client.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC)
            {
                self.outcome.done += u64::try_from(count)?;
            }
            return Ok(());
        }
        if !client.has_asked && flags.contains(epoll::EventFlags::OUT) {
            client.has_asked = true;
            if self.load.kind == Kind::Ask {
                client.asked = Instant::now();
            }
            self.ask(id);
            return Ok(());
        }
        if !flags.contains(epoll::EventFlags::IN) {
            return Ok(());
        }
        match recv(
            &client.socket,
            self.buffer.as_mut_slice(),
            RecvFlags::empty(),
        ) {
            Ok((count, _)) if count > 0 => client.heard += count,
            Err(Errno::AGAIN) => return Ok(()),
            Ok(_) | Err(_) => {
                self.outcome.failures.push(client.asked);
                return self.again(id);
            }
        }
        if client.heard < self.load.bytes {
            return Ok(());
        }
        client.heard = 0;
        let now = Instant::now();
        let asked = std::mem::replace(&mut client.asked, now);
        let wait = now.duration_since(asked);
        self.outcome.done += 1;
        self.outcome.answers.push(Answer { asked, wait });
        match self.load.kind {
            Kind::Connect if self.load.paced.is_some() => {
                self.free.push(id);
                Ok(())
            }
            Kind::Connect => self.again(id),
            Kind::Ask | Kind::Listen => {
                self.ask(id);
                Ok(())
            }
        }
    }

    fn ask(&self, id: usize) {
        if let Some(client) = self.all.get(id) {
            // One that broke off is told when it is read.
            let _ = send(&client.socket, &self.question, SendFlags::NOSIGNAL);
        }
    }

    /// How long nothing has to begin.
    fn pause(&self) -> Duration {
        let next = self
            .load
            .begins(self.begun)
            .filter(|_| !self.free.is_empty());
        let left = next.map(|next| next.saturating_sub(self.began.elapsed()));
        left.unwrap_or(PAUSE).min(PAUSE)
    }

    /// Begins all connections whose time has come.
    fn begin_paced(&mut self) -> Result<()> {
        while let Some(next) = self.load.begins(self.begun)
            && next <= self.began.elapsed()
            && let Some(id) = self.free.pop()
        {
            self.begun += 1;
            self.begin(id, self.began + next)?;
        }
        Ok(())
    }

    fn again(&mut self, id: usize) -> Result<()> {
        self.begin(id, Instant::now())
    }

    fn begin(&mut self, id: usize, asked: Instant) -> Result<()> {
        let client = self.dial(id, asked)?;
        if let Some(place) = self.all.get_mut(id) {
            *place = client;
        }
        Ok(())
    }

    /// Those whose patience is at an end come again.
    fn give_up(&mut self) -> Result<()> {
        let patience = self.load.patience;
        for id in 0..self.all.len() {
            let asked = self.all.get(id).map(|client| client.asked);
            if let Some(asked) = asked.filter(|asked| asked.elapsed() > patience) {
                self.outcome.failures.push(asked);
                self.again(id)?;
            }
        }
        Ok(())
    }
}

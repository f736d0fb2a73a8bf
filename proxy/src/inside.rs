//! Sockets inside the network namespaces of pods, made before they are needed: whoever dials takes one and needs
//! no port forwarder, no published port and no rule of a firewall.
//!
//! ```text
//! workers ──take──▶ Pool ──is low──▶ Inside, a thread ──reach──▶ a helper in the namespace of the pod
//!                    ▲                     │
//!                    └──────sockets────────┘
//! ```
//!
//! A pool belongs to one process. Whatever goes wrong on the way in, the host port is dialled instead, where there is
//! one; it must never keep a client waiting that could go another way.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use simplenetes_reach::{Door, Family, Process, ReachError, SOCKETS_MAX, Way};

/// How many sockets a pool has at first; a pool that was emptied has twice as many the next time.
const SOCKETS_FIRST: usize = 8;
/// How long the helper may take for an answer.
const HELPER_MAX: Duration = Duration::from_secs(2);
/// How long a door stays open that nobody has gone through.
const DOOR_IDLE: Duration = Duration::from_secs(10);
/// How long the host port is the only way when nobody listened inside.
const SHUT: Duration = Duration::from_secs(10);
/// How long a pool is left alone of which the way in failed.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Where a pod is inside its own network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The process whose network it is.
    pub(crate) process: Process,
    /// The port that it listens on there.
    pub(crate) port: u16,
}

/// Unconnected sockets inside of one place.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) place: Place,
    stock: Mutex<Stock>,
    /// How many it should have.
    size: AtomicUsize,
    /// The refiller knows that it is low.
    asked: AtomicBool,
    refiller: Sender<Task>,
}

/// The sockets, and whether they may be used.
#[derive(Debug, Default)]
struct Stock {
    sockets: Vec<OwnedFd>,
    /// Until then the host port is the only way.
    shut_until: Option<Instant>,
    /// Nobody may go in, ever.
    closed: Option<Closed>,
}

/// Why nobody may go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The process is in the network of the host.
    Here,
    /// Only others may.
    Foreign,
    /// The process has ended.
    Ended,
    /// There is no program to do it.
    NoHelper,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here => "it has no network of its own",
            Self::Foreign => "its network can only be entered by its own user and by root",
            Self::Ended => "its process has ended",
            Self::NoHelper => "this proxy enters no networks",
        })
    }
}

impl Stock {
    fn is_shut(&self) -> bool {
        self.closed.is_some() || self.shut_until.is_some_and(|until| Instant::now() < until)
    }
}

impl Pool {
    /// A socket, if there is one. A pool that becomes low is filled again, off the way of whoever dials.
    pub(crate) fn take(self: &Arc<Self>) -> Option<OwnedFd> {
        let (socket, left) = {
            let mut stock = self.stock();
            if stock.is_shut() {
                return None;
            }
            (stock.sockets.pop(), stock.sockets.len())
        };
        let size = self.size.load(Ordering::Relaxed);
        if socket.is_none() {
            self.size
                .store((size * 2).min(SOCKETS_MAX), Ordering::Relaxed);
        }
        if left <= size / 2 {
            self.ask();
        }
        socket
    }

    /// For a while the host port is the only way: nobody listens on the loopback address in there, or not yet.
    pub(crate) fn shut(&self) {
        let mut stock = self.stock();
        stock.shut_until = Some(Instant::now() + SHUT);
        stock.sockets.clear();
    }

    /// Why nobody may go in, if that is so.
    pub(crate) fn closed(&self) -> Option<Closed> {
        self.stock().closed
    }

    fn close(&self, why: Closed) {
        let mut stock = self.stock();
        stock.closed = Some(why);
        stock.sockets.clear();
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(self: &Arc<Self>) {
        if !self.asked.swap(true, Ordering::Relaxed) {
            // Nobody refills where there is no helper, and when the proxy ends.
            if self
                .refiller
                .send(Task::Fill(Arc::downgrade(self)))
                .is_err()
            {
                self.close(Closed::NoHelper);
            }
        }
    }
}

/// What that thread is told.
#[derive(Debug)]
enum Task {
    /// This pool is low.
    Fill(Weak<Pool>),
    /// There is nothing more to do.
    End,
}

/// The thread that fills pools.
#[derive(Debug, Clone)]
pub(crate) struct Inside {
    refiller: Sender<Task>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Inside {
    /// Starts it. `program` is the one that becomes a helper; without one all pods are dialled from outside.
    pub(crate) fn start(program: Option<PathBuf>) -> Self {
        let (refiller, pools) = channel();
        if let Some(program) = program {
            let filling = Filling {
                program,
                doors: Vec::new(),
                later: Vec::new(),
            };
            // Without the thread nobody answers, which is as without a program.
            let started = thread::Builder::new()
                .name("inside".into())
                .spawn(move || filling.run(&pools));
            return Self {
                refiller,
                thread: Arc::new(Mutex::new(started.ok())),
            };
        }
        let thread = Arc::default();
        Self { refiller, thread }
    }

    /// Waits until the helpers are gone. Nothing is refilled any more.
    pub(crate) fn end(self) {
        // Without the thread there is nobody to wait for.
        let _ = self.refiller.send(Task::End);
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // An error is a panic, which was told where it happened.
            let _ = thread.join();
        }
    }

    /// An empty pool, which is being filled.
    pub(crate) fn pool(&self, place: Place) -> Arc<Pool> {
        let pool = Arc::new(Pool {
            place,
            stock: Mutex::default(),
            size: AtomicUsize::new(SOCKETS_FIRST),
            asked: AtomicBool::new(false),
            refiller: self.refiller.clone(),
        });
        pool.ask();
        pool
    }
}

/// A door, and when it was last gone through.
struct Open {
    process: Process,
    door: Door,
    used: Instant,
}

struct Filling {
    program: PathBuf,
    doors: Vec<Open>,
    /// Pools of which the way in failed, and when to try again.
    later: Vec<(Instant, Weak<Pool>)>,
}

impl Filling {
    fn run(mut self, pools: &Receiver<Task>) {
        loop {
            let next = if self.doors.is_empty() && self.later.is_empty() {
                pools.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                pools.recv_timeout(TRY_AGAIN)
            };
            match next {
                Ok(Task::Fill(pool)) => self.fill(&pool),
                Ok(Task::End) => return,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = Instant::now();
            for (_, pool) in self
                .later
                .extract_if(.., |(at, _)| *at <= now)
                .collect::<Vec<_>>()
            {
                self.fill(&pool);
            }
            // A helper is a process of its own: it ends when its pod is not asked for.
            self.doors.retain(|open| open.used.elapsed() < DOOR_IDLE);
        }
    }

    /// A pool that is gone belongs to a pod that is.
    fn fill(&mut self, pool: &Weak<Pool>) {
        let Some(pool) = pool.upgrade() else { return };
        let process = pool.place.process;
        match self.sockets(process, pool.size.load(Ordering::Relaxed)) {
            Ok(Ok(mut made)) => {
                let mut stock = pool.stock();
                if !stock.is_shut() {
                    stock.sockets.append(&mut made);
                }
                pool.asked.store(false, Ordering::Relaxed);
            }
            // That does not change.
            Ok(Err(closed)) => pool.close(closed),
            Err(ReachError::Ended { .. }) => pool.close(Closed::Ended),
            // The kernel or the helper did not do as it should, which may pass.
            Err(_) => {
                self.doors.retain(|open| open.process != process);
                let again = Instant::now() + TRY_AGAIN;
                self.later.push((again, Arc::downgrade(&pool)));
            }
        }
    }

    /// Sockets, or why there will never be any.
    fn sockets(
        &mut self,
        process: Process,
        count: usize,
    ) -> Result<Result<Vec<OwnedFd>, Closed>, ReachError> {
        if !self.doors.iter().any(|open| open.process == process) {
            let door = match Way::to(process, &self.program, HELPER_MAX)? {
                Way::Here => return Ok(Err(Closed::Here)),
                Way::Closed => return Ok(Err(Closed::Foreign)),
                Way::Inside(door) => door,
            };
            self.doors.push(Open {
                process,
                door,
                used: Instant::now(),
            });
        }
        let Some(open) = self.doors.iter_mut().find(|open| open.process == process) else {
            // It was put there just now.
            return Ok(Err(Closed::Ended));
        };
        open.used = Instant::now();
        let count = u8::try_from(count).unwrap_or(u8::MAX);
        open.door.sockets(Family::V4, count).map(Ok)
    }
}

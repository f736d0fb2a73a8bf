//! All workers of a proxy, as the side that decides sees them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tokio::sync::{mpsc, oneshot, watch};

use crate::Patience;
use crate::connection::Connection;
use crate::event::Reporter;
use crate::metrics::{Board, Sources, Upgrade};
use crate::peers::reception::{Carry, Reception};
use crate::proxy::Status;
use crate::socket::Socket;
use crate::streams::{Courier, Streams};
use crate::table::Routes;
use crate::tools::{Side, Tools};
use crate::worker::{Counts, Door, Order, Worker};

/// More workers than this do not make a proxy faster.
const WORKERS_MAX: usize = 4;

/// So many connections that were at rest are begun to be watched before a worker looks whether it has something to do for
/// those that it has already.
const CARRIED_AT_ONCE: usize = 128;

/// The workers; they end when this is dropped.
pub(crate) struct Workers {
    all: Vec<Courier>,
    /// How many of them, the first ones, accept connections. The others carry long streams only.
    accepting: usize,
    threads: Vec<JoinHandle<()>>,
    counts: Arc<Counts>,
    boards: Vec<Arc<Board>>,
    routes: watch::Sender<Arc<Routes>>,
    began: Instant,
}

impl Workers {
    /// Starts them.
    ///
    /// # Errors
    /// The kernel gives no thread, or no descriptor.
    pub(crate) fn start(
        report: &Reporter,
        reception: &Arc<Reception>,
        patience: Patience,
    ) -> io::Result<Self> {
        let (mut all, mut ears) = (Vec::new(), Vec::new());
        let began = Instant::now();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores.min(WORKERS_MAX) {
            let (orders, orders_in) = channel();
            let bell = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
            ears.push(orders_in);
            all.push(Courier {
                orders,
                bell,
                streams: Arc::default(),
                looks: Arc::default(),
            });
        }
        let mut workers = Self {
            accepting: accepting(cores),
            threads: Vec::new(),
            counts: Arc::default(),
            boards: all.iter().map(|_| Arc::default()).collect(),
            routes: watch::Sender::new(Arc::default()),
            began,
            all,
        };
        for (place, orders) in ears.into_iter().enumerate() {
            let (Some(own), Some(board)) = (workers.all.get(place), workers.boards.get(place))
            else {
                continue;
            };
            let worker = Worker::new(
                Tools::new(
                    Arc::clone(report),
                    Arc::clone(reception),
                    patience,
                    began,
                    Arc::clone(board),
                )?,
                orders,
                Arc::clone(&own.bell),
                Arc::clone(&workers.counts),
                Streams::of(place, workers.accepting, &workers.all),
            )?;
            let thread = thread::Builder::new()
                .name(format!("worker {place}"))
                .spawn(move || worker.run())?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// What has all of them look again for those who wait for a place.
    pub(crate) fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let (all, counts) = (self.all.clone(), Arc::clone(&self.counts));
        Arc::new(move || {
            if counts.queued.load(Ordering::Relaxed) > 0 {
                all.iter().for_each(Courier::have_look);
            }
        })
    }

    /// What has one of them carry a connection that another proxy has opened over TLS.
    pub(crate) fn carrier(&self) -> Carry {
        let all: Vec<Courier> = self.all.iter().take(self.accepting).cloned().collect();
        let (turn, counts) = (AtomicUsize::new(0), Arc::clone(&self.counts));
        Arc::new(move |socket, from, records| {
            let place = turn.fetch_add(1, Ordering::Relaxed) % all.len().max(1);
            if let Some(worker) = all.get(place) {
                counts.open.fetch_add(1, Ordering::Relaxed);
                let client = Socket::connected(socket, Some(records));
                let connection = Connection::sealed(client, from, Instant::now());
                worker.tell(Order::Carry(Box::new(connection)));
            }
        })
    }

    /// How many connections they carry.
    pub(crate) fn open(&self) -> usize {
        self.counts.open.load(Ordering::Relaxed)
    }

    /// Where to look at what they do.
    pub(crate) fn sources(
        &self,
        status: watch::Receiver<Status>,
        upgrades: mpsc::Sender<Upgrade>,
    ) -> Sources {
        Sources {
            boards: self.boards.clone(),
            counts: Arc::clone(&self.counts),
            workers: self.all.clone(),
            routes: self.routes.subscribe(),
            status,
            upgrades,
            began: self.began,
        }
    }

    pub(crate) fn route(&self, routes: &Arc<Routes>) {
        for board in &self.boards {
            board.forget_gone(routes);
        }
        self.routes.send_replace(Arc::clone(routes));
        self.tell(|| Order::Routes(Arc::clone(routes)));
    }

    pub(crate) fn open_door(&self, door: &Door) {
        for worker in self.all.iter().take(self.accepting) {
            worker.tell(Order::Open(door.clone()));
        }
    }

    pub(crate) fn close_door(&self, id: u32) {
        self.tell(|| Order::Close(id));
    }

    /// Whether one of them has ended by itself, which only a mistake in this program can bring about.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Resets all connections, also one that is on its way from one worker to another.
    pub(crate) async fn cut(&self) {
        while self.open() > 0 {
            self.tell(|| Order::Cut);
            if !self.answered(Order::Confirm).await {
                return;
            }
        }
    }

    /// Ends them; their connections are left.
    pub(crate) async fn freeze(&self) -> Vec<Connection> {
        self.counts.stays.store(true, Ordering::Relaxed);
        // After the first answer nothing is handed over any more, after the second one all has arrived.
        self.confirmed().await;
        self.confirmed().await;
        let mut connections = Vec::new();
        for worker in &self.all {
            let (to, answer) = oneshot::channel();
            worker.tell(Order::Freeze(to));
            // A worker that is gone carries nothing.
            connections.append(&mut answer.await.unwrap_or_default());
        }
        connections
    }

    /// Has workers carry connections that were at rest, each its share: long streams all of them, the others those
    /// that accept clients. Those come first that somebody waits for.
    pub(crate) fn carry(&self, mut connections: Vec<Connection>) {
        let mut waited_for = vec![false; connections.len()];
        for side in Side::ALL {
            note_arrived(&mut connections, side, &mut waited_for);
        }
        let mut shares: Vec<[Vec<Connection>; 2]> =
            self.all.iter().map(|_| Default::default()).collect();
        let all = connections.into_iter().zip(waited_for);
        for (place, (connection, is_waited_for)) in all.enumerate() {
            let workers = if connection.is_long() {
                self.all.len()
            } else {
                self.accepting
            };
            if let Some([first, rest]) = shares.get_mut(place % workers.max(1)) {
                let list = if is_waited_for { first } else { rest };
                list.push(connection);
            }
        }
        for (worker, [first, rest]) in self.all.iter().zip(shares) {
            let mut left = first.into_iter().chain(rest).peekable();
            while left.peek().is_some() {
                let some: Vec<_> = left.by_ref().take(CARRIED_AT_ONCE).collect();
                self.counts.open.fetch_add(some.len(), Ordering::Relaxed);
                worker.tell(Order::CarryAll(some));
            }
        }
    }

    /// Waits until everything that they were told is done.
    pub(crate) async fn confirmed(&self) {
        self.answered(Order::Confirm).await;
    }

    /// Waits until they carry no connection. What stands ready for other proxies is `closed`, or waited for as well.
    pub(crate) async fn drained(&self, closed: bool) {
        // One may be on its way from a worker to another that has answered already.
        while self.open() > 0 {
            if closed {
                self.tell(|| Order::CloseReady);
            }
            if !self.answered(Order::Drained).await {
                return;
            }
        }
    }

    /// Waits for the answers of all; false when one of them is gone.
    async fn answered(&self, order: impl Fn(oneshot::Sender<()>) -> Order) -> bool {
        let mut answers = Vec::new();
        for worker in &self.all {
            let (done, answer) = oneshot::channel();
            worker.tell(order(done));
            answers.push(answer);
        }
        let mut complete = true;
        for answer in answers {
            complete &= answer.await.is_ok();
        }
        complete
    }

    fn tell(&self, order: impl Fn() -> Order) {
        for worker in &self.all {
            worker.tell(order());
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.tell(|| Order::End);
        for thread in self.threads.drain(..) {
            // An error is a panic, which was told where it happened.
            let _ = thread.join();
        }
    }
}

/// Notes for which of these connections something has arrived on that side.
fn note_arrived(connections: &mut [Connection], side: Side, arrived: &mut [bool]) {
    let (mut sockets, mut places) = (Vec::new(), Vec::new());
    for (connection, place) in connections.iter_mut().zip(arrived) {
        if let Some(socket) = connection.socket(side) {
            sockets.push(PollFd::new(socket, PollFlags::IN));
            places.push(place);
        }
    }
    // Where the kernel does not say, all are alike.
    if poll(&mut sockets, Some(&Timespec::default())).is_ok() {
        for (socket, place) in sockets.iter().zip(places) {
            *place |= !socket.revents().is_empty();
        }
    }
}

/// On two cores, a second worker that answers takes from the pods what it gives to the proxy.
fn accepting(cores: usize) -> usize {
    if cores <= 2 { 1 } else { WORKERS_MAX }
}

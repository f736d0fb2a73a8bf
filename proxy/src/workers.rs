//! All workers of a proxy, as the side that decides sees them.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::oneshot;

use crate::Patience;
use crate::event::Reporter;
use crate::table::Routes;
use crate::tools::Tools;
use crate::worker::{Door, Order, Worker};

/// More workers than this do not make a proxy faster.
const WORKERS_MAX: usize = 4;

/// The workers; they end when this is dropped.
pub(crate) struct Workers {
    all: Vec<Handle>,
    open: Arc<AtomicUsize>,
}

struct Handle {
    orders: Sender<Order>,
    bell: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    /// Starts them.
    ///
    /// # Errors
    /// The kernel gives no thread, or no descriptor.
    pub(crate) fn start(report: &Reporter, patience: Patience) -> io::Result<Self> {
        let mut workers = Self {
            all: Vec::new(),
            open: Arc::default(),
        };
        for number in 0..how_many() {
            let (orders, orders_in) = channel();
            let bell = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
            let tools = Tools::new(Arc::clone(report), patience)?;
            let worker = Worker::new(
                tools,
                orders_in,
                Arc::clone(&bell),
                Arc::clone(&workers.open),
            )?;
            let thread = thread::Builder::new()
                .name(format!("worker {number}"))
                .spawn(move || worker.run())?;
            workers.all.push(Handle {
                orders,
                bell,
                thread: Some(thread),
            });
        }
        Ok(workers)
    }

    /// How many connections they carry.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn route(&self, routes: &Arc<Routes>) {
        self.tell(|| Order::Routes(Arc::clone(routes)));
    }

    pub(crate) fn open_door(&self, door: &Door) {
        self.tell(|| Order::Open(door.clone()));
    }

    pub(crate) fn close_door(&self, id: u32) {
        self.tell(|| Order::Close(id));
    }

    /// Resets all connections.
    pub(crate) fn cut(&self) {
        self.tell(|| Order::Cut);
    }

    /// Waits until everything that they were told is done.
    pub(crate) async fn confirmed(&self) {
        self.answered(Order::Confirm).await;
    }

    /// Waits until they carry no connection.
    pub(crate) async fn drained(&self) {
        self.answered(Order::Drained).await;
    }

    async fn answered(&self, order: impl Fn(oneshot::Sender<()>) -> Order) {
        let mut answers = Vec::new();
        for handle in &self.all {
            let (done, answer) = oneshot::channel();
            handle.tell(order(done));
            answers.push(answer);
        }
        for answer in answers {
            // A worker that is gone has nothing left to do.
            let _ = answer.await;
        }
    }

    fn tell(&self, order: impl Fn() -> Order) {
        for handle in &self.all {
            handle.tell(order());
        }
    }
}

impl Handle {
    fn tell(&self, order: Order) {
        // A worker that is gone obeys nobody; one whose bell is full hears it anyway.
        let _ = self.orders.send(order);
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.tell(|| Order::End);
        for handle in &mut self.all {
            if let Some(thread) = handle.thread.take() {
                // An error is a panic, which was told where it happened.
                let _ = thread.join();
            }
        }
    }
}

/// On two cores, a second worker takes from the pods what it gives to the proxy.
fn how_many() -> usize {
    match thread::available_parallelism().map_or(1, usize::from) {
        0..=2 => 1,
        cores => cores.min(WORKERS_MAX),
    }
}

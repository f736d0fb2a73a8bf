//! A worker: one thread that carries connections from their first byte to their end, and shares nothing with
//! other workers but what is counted.
//!
//! Everything that can wake it is a word of the kernel about one of its sockets, a time that has come, or an
//! order. It must not read files, and decides nothing that `route` can decide.

mod doors;
mod ends;
mod queue;
mod share;
mod survey;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use slab::Slab;
use tokio::sync::oneshot;

pub(crate) use self::doors::Door;
use self::doors::{DOOR, Watched};
use self::survey::Survey;
use crate::connection::{Connection, Next};
use crate::metrics::PortTally;
use crate::metrics::connections::Part;
use crate::streams::Streams;
use crate::table::Routes;
use crate::tools::{Key, Side, Tools};

/// What the kernel says when there is an order.
const ORDER: u64 = u64::MAX;
/// How many words of the kernel are taken at once.
const WORDS_MAX: usize = 256;

/// What a worker is told.
pub(crate) enum Order {
    /// From now on these are the routes.
    Routes(Arc<Routes>),
    /// Accept connections there.
    Open(Door),
    /// Accept no more there; connections stay.
    Close(u32),
    /// Reset all connections.
    Cut,
    /// Carry this connection from now on.
    Carry(Box<Connection>),
    /// These, and then look what there is to do for them before anything else.
    CarryAll(Vec<Connection>),
    /// A backend of this port may have a place again.
    Freed(u16),
    /// Those who wait for a place should look for one; the flag is taken down before.
    Look(Arc<AtomicBool>),
    /// Say when everything before was done.
    Confirm(oneshot::Sender<()>),
    /// Close what stands ready for other proxies.
    CloseReady,
    /// Say when no connection is left.
    Drained(oneshot::Sender<()>),
    /// Take no more connections, wait a moment for those that are being dialled, and give everything away.
    Freeze(oneshot::Sender<Vec<Connection>>),
    /// Say which connections there are, of this cluster port or of all.
    List {
        port: Option<u16>,
        answer: oneshot::Sender<Part>,
    },
    /// Let go of everything.
    End,
}

/// What all workers count together.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Connections that they carry.
    pub(crate) open: AtomicUsize,
    /// Clients that wait for a place.
    pub(crate) queued: AtomicUsize,
    /// No connection goes from one worker to another any more.
    pub(crate) stays: AtomicBool,
}

/// One connection in its place.
struct Place {
    generation: u32,
    connection: Connection,
    /// When the kernel's silence ends for it; an earlier alarm may be on the heap.
    alarm: Option<Instant>,
    /// It is on the list of those to be looked at.
    listed: bool,
    /// It counts as a long stream of this worker.
    long: bool,
    /// What is counted of its cluster port, once it has moved something.
    tally: Option<Arc<PortTally>>,
    /// It has waited for a place already, and is before those that come after it.
    waited: bool,
}

pub(crate) struct Worker {
    tools: Tools,
    orders: Receiver<Order>,
    bell: Arc<OwnedFd>,
    doors: BTreeMap<u32, Watched>,
    places: Slab<Place>,
    generation: u32,
    alarms: BinaryHeap<Reverse<(Instant, Key)>>,
    /// Those that are to be looked at.
    list: Vec<Key>,
    counts: Arc<Counts>,
    streams: Streams,
    /// Clients that wait for a place, by cluster port.
    queues: BTreeMap<u16, VecDeque<Key>>,
    /// When those who wait look for one by themselves.
    queue_look: Option<Instant>,
    drained: Vec<oneshot::Sender<()>>,
    /// To whom everything is given, and when at the latest.
    freezing: Option<(Instant, oneshot::Sender<Vec<Connection>>)>,
    /// Looks at all connections that are under way.
    surveys: VecDeque<Survey>,
}

impl Worker {
    pub(crate) fn new(
        tools: Tools,
        orders: Receiver<Order>,
        bell: Arc<OwnedFd>,
        counts: Arc<Counts>,
        streams: Streams,
    ) -> io::Result<Self> {
        let token = epoll::EventData::new_u64(ORDER);
        epoll::add(&tools.epoll, &bell, token, epoll::EventFlags::IN)?;
        Ok(Self {
            tools,
            orders,
            bell,
            doors: BTreeMap::new(),
            places: Slab::new(),
            generation: 0,
            alarms: BinaryHeap::new(),
            list: Vec::new(),
            counts,
            streams,
            queues: BTreeMap::new(),
            queue_look: None,
            drained: Vec::new(),
            freezing: None,
            surveys: VecDeque::new(),
        })
    }

    /// Works until it is told to end.
    pub(crate) fn run(mut self) {
        let mut words = Vec::with_capacity(WORDS_MAX);
        loop {
            let pause = self.pause();
            words.clear();
            match epoll::wait(
                &self.tools.epoll,
                spare_capacity(&mut words),
                pause.as_ref(),
            ) {
                Ok(_) | Err(Errno::INTR) => {}
                // The descriptor is its own, and the memory too: nothing else can be wrong.
                Err(_) => return self.end(),
            }
            self.tools.now = Instant::now();
            if words.iter().any(|word| word.data.u64() == ORDER) && !self.obey() {
                return self.end();
            }
            for word in &words {
                self.hear(word.data.u64(), word.flags);
            }
            self.ring();
            for key in std::mem::take(&mut self.list) {
                self.advance(key);
            }
            self.serve_freed();
            self.look_around();
            if self.places.is_empty() {
                self.tell_drained();
            }
            if self.is_frozen() {
                return self.give_away();
            }
        }
    }

    /// How long the kernel may let it sleep.
    fn pause(&self) -> Option<Timespec> {
        if !self.list.is_empty() || !self.surveys.is_empty() {
            return Some(Timespec::default());
        }
        let resting = self.doors.values().filter_map(|watched| watched.rests);
        let alarm = self.alarms.peek().map(|Reverse((at, _))| *at);
        let freezing = self.freezing.as_ref().map(|(until, _)| *until);
        let next = resting.chain(alarm).chain(self.queue_look);
        let next = next.chain(freezing).min()?;
        let left = next.saturating_duration_since(Instant::now());
        Timespec::try_from(left).ok()
    }

    /// Takes note of a word of the kernel. What follows from it is done when all words were heard.
    fn hear(&mut self, token: u64, flags: epoll::EventFlags) {
        if token == ORDER {
            return;
        }
        if token & DOOR != 0 {
            let id = u32::try_from(token & !DOOR).unwrap_or(u32::MAX);
            return self.accept(id);
        }
        let (key, side) = Key::of(token);
        if let Some(place) = place(&mut self.places, key)
            && let Some(socket) = place.connection.socket(side)
        {
            socket.note(flags);
            self.enlist(key);
        }
    }

    fn enlist(&mut self, key: Key) {
        if let Some(place) = place(&mut self.places, key)
            && !std::mem::replace(&mut place.listed, true)
        {
            self.list.push(key);
        }
    }

    /// Looks at those whose time has come, and opens doors that have rested.
    fn ring(&mut self) {
        let now = self.tools.now;
        while let Some(Reverse((at, key))) = self.alarms.peek().copied()
            && at <= now
        {
            self.alarms.pop();
            // It may have ended, or wait for something else now.
            if let Some(place) = place(&mut self.places, key)
                && place.alarm == Some(at)
            {
                place.alarm = None;
                self.enlist(key);
            }
        }
        self.reopen_doors();
        if self.queue_look.is_some_and(|at| at <= now) {
            self.serve_all();
        }
    }

    /// Has a connection go on.
    fn advance(&mut self, key: Key) {
        let Some(place) = place(&mut self.places, key) else {
            return;
        };
        place.listed = false;
        let before = place.connection.moved();
        let next = place.connection.advance(key, &mut self.tools);
        let (after, port) = (place.connection.moved(), place.connection.port());
        if after != before {
            let tally = place
                .tally
                .get_or_insert_with(|| self.tools.board.port(port));
            tally.moved(before, after);
        }
        match next {
            Next::Wait(until) => {
                let known = std::mem::replace(&mut place.alarm, until) == until;
                if let Some(until) = until.filter(|_| !known) {
                    self.alarms.push(Reverse((until, key)));
                }
            }
            Next::Again => {
                place.alarm = None;
                place.listed = true;
                self.list.push(key);
            }
            Next::Full => return self.enqueue(key),
            Next::Stranger => return self.show_in(key),
            Next::Over => return self.remove(key),
        }
        let long = place.connection.is_long();
        if place.long != long {
            self.share(key, long);
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(mut place) = self.places.try_remove(index(key)) {
            if place.long {
                self.streams.count(false);
            }
            place.connection.release(&mut self.tools);
            let connection = &place.connection;
            if connection.is_queued() {
                self.counts.queued.fetch_sub(1, Ordering::Relaxed);
            }
            if connection.has_place() {
                self.tools.freed.push(connection.port());
            }
            drop(place);
            self.counts.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Gives a connection a place, and has it go on.
    fn carry(&mut self, mut connection: Connection) {
        let entry = self.places.vacant_entry();
        // There are never more connections than descriptors.
        let index = u32::try_from(entry.key()).unwrap_or(u32::MAX);
        self.generation = self.generation.wrapping_add(1) & (u32::MAX >> 1);
        let key = Key {
            index,
            generation: self.generation,
        };
        self.tools.pipes.adopt(connection.pipes());
        let long = connection.is_long();
        let mut watched = true;
        for side in Side::ALL {
            if let Some(socket) = connection.socket(side) {
                watched &= self.tools.watch(socket, key, side).is_ok();
            }
        }
        entry.insert(Place {
            generation: key.generation,
            connection,
            alarm: None,
            listed: true,
            long,
            tally: None,
            waited: false,
        });
        if long {
            self.streams.count(true);
        }
        if watched {
            self.advance(key);
        } else {
            // No memory in the kernel: the connection is reset.
            self.remove(key);
        }
    }

    /// Does what it was told; false when it is to end.
    fn obey(&mut self) -> bool {
        let mut count = [0; 8];
        // Nothing to read means that another order has rung already.
        let _ = rustix::io::read(&self.bell, &mut count);
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Routes(routes) => {
                    self.tools.memory.forget_old(self.tools.now);
                    self.tools.routes = routes;
                    self.serve_all();
                }
                Order::Freed(port) => drop(self.serve(port)),
                Order::Look(flag) => {
                    flag.store(false, Ordering::Release);
                    self.serve_all();
                }
                Order::Open(door) => self.open_door(door),
                Order::Close(id) => self.close_door(id),
                Order::Cut => self.cut(),
                Order::Carry(connection) => self.carry(*connection),
                Order::CarryAll(connections) => {
                    connections.into_iter().for_each(|one| self.carry(one));
                    // There may be more orders: the bell was heard already.
                    let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
                    return true;
                }
                // Whoever asked may have lost interest.
                Order::Confirm(done) => drop(done.send(())),
                Order::CloseReady => self.close_ready(),
                Order::Drained(done) => self.drained.push(done),
                Order::List { port, answer } => {
                    self.surveys.push_back(Survey::new(port, answer));
                }
                Order::Freeze(to) => self.freeze(to),
                Order::End => return false,
            }
        }
        true
    }
}

fn index(key: Key) -> usize {
    usize::try_from(key.index).unwrap_or(usize::MAX)
}

/// The place of a connection, unless it has ended.
fn place(places: &mut Slab<Place>, key: Key) -> Option<&mut Place> {
    places
        .get_mut(index(key))
        .filter(|place| place.generation == key.generation)
}

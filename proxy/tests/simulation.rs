//! Clusters of 3 to 200 hosts in virtual time: what each host believes of the others while hosts crash, are cut off,
//! slow down and change what they have. Only what decides runs here; the network is a queue.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use sns_proxy::peers::announce::Offers;
use sns_proxy::peers::message::{Message, Offer};
use sns_proxy::peers::view::{BEAT_EVERY, Known, SILENCE_MAX, View};
use sns_proxy::route::{self, Other};
use testkit::soak::{count, seed};

use crate::random::Random;

/// The cluster ports that pods may have.
const PORTS: [u16; 3] = [61000, 61001, 61002];
/// How long a new conversation is waited for before it is begun once more, in milliseconds.
const CALL_EVERY: u64 = 1000;
/// After so long without a fault everybody knows everything, in milliseconds: silence, a call, and the way there.
const SETTLED: u64 = 4000;
/// How long the way between two hosts is, and between two of which one is slow, in milliseconds.
const WAY: u64 = 1;
const SLOW_WAY: u64 = 300;

/// What happens at some time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A host says to all who listen that it lives.
    Beat(usize),
    /// What one host has said reaches another, if the conversation is still the same.
    Arrives(usize, usize, u32, Vec<String>),
    /// One host looks whether another has been silent for too long.
    Look(usize, usize),
    /// One host calls another.
    Call(usize, usize),
}

/// One host.
#[derive(Debug, Clone)]
struct Host {
    is_up: bool,
    offers: Offers,
    /// Hosts of another island cannot be reached.
    island: u32,
    is_slow: bool,
}

/// What one host knows of another.
#[derive(Debug, Clone, Default)]
struct Talk {
    view: View,
    /// The number of the conversation; 0 when there is none.
    number: u32,
    /// What was said in it.
    told: Offers,
    /// What could not be sent yet.
    waiting: Vec<String>,
}

struct Cluster {
    began: Instant,
    now: u64,
    hosts: Vec<Host>,
    talks: Vec<Vec<Talk>>,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    queued: u64,
    conversations: u32,
    random: Random,
    /// When somebody's picture of somebody changed last.
    changed: u64,
    faulted: u64,
    served: usize,
    in_vain: usize,
}

impl Cluster {
    fn new(size: usize, random: Random) -> Self {
        let host = Host {
            is_up: true,
            offers: Offers::default(),
            island: 0,
            is_slow: false,
        };
        let mut cluster = Self {
            began: Instant::now(),
            now: 0,
            hosts: vec![host; size],
            talks: vec![vec![Talk::default(); size]; size],
            queue: BinaryHeap::new(),
            queued: 0,
            conversations: 0,
            random,
            changed: 0,
            faulted: 0,
            served: 0,
            in_vain: 0,
        };
        for host in 0..size {
            let beat = cluster.random.below(500);
            cluster.at(beat, Event::Beat(host));
            for other in (0..size).filter(|other| *other != host) {
                cluster.at(0, Event::Call(host, other));
            }
            for port in PORTS {
                if cluster.random.below(3) == 0 {
                    cluster.offer(host, port, true);
                }
            }
        }
        cluster
    }

    fn at(&mut self, after: u64, event: Event) {
        self.queued += 1;
        self.queue
            .push(Reverse((self.now + after, self.queued, event)));
    }

    fn instant(&self) -> Instant {
        self.began + Duration::from_millis(self.now)
    }

    fn reaches(&self, one: usize, other: usize) -> bool {
        let (one, other) = (&self.hosts[one], &self.hosts[other]);
        one.is_up && other.is_up && one.island == other.island
    }

    fn way(&self, one: usize, other: usize) -> u64 {
        let slow = self.hosts[one].is_slow || self.hosts[other].is_slow;
        if slow { SLOW_WAY } else { WAY }
    }

    fn run_until(&mut self, until: u64) {
        while let Some(Reverse((at, ..))) = self.queue.peek()
            && *at <= until
        {
            let Some(Reverse((at, _, event))) = self.queue.pop() else {
                return;
            };
            self.now = at;
            match event {
                Event::Beat(host) => self.beat(host),
                Event::Arrives(to, from, number, lines) => self.arrive(to, from, number, &lines),
                Event::Look(host, other) => self.look(host, other),
                Event::Call(host, other) => self.call(host, other),
            }
        }
        self.now = until;
    }

    fn beat(&mut self, host: usize) {
        let every = u64::try_from(BEAT_EVERY.as_millis()).unwrap();
        self.at(every, Event::Beat(host));
        if self.hosts[host].is_up {
            for other in 0..self.hosts.len() {
                self.say(host, other, vec![Message::Beat.to_string()]);
            }
        }
    }

    /// One host says something to another one that listens. What cannot be sent is sent later, as TCP does.
    fn say(&mut self, from: usize, to: usize, lines: Vec<String>) {
        let (reaches, way) = (self.reaches(from, to), self.way(from, to));
        let talk = &mut self.talks[to][from];
        if talk.number == 0 {
            return;
        }
        talk.waiting.extend(lines);
        if reaches {
            let (number, lines) = (talk.number, std::mem::take(&mut talk.waiting));
            self.at(way, Event::Arrives(to, from, number, lines));
        }
    }

    fn arrive(&mut self, to: usize, from: usize, number: u32, lines: &[String]) {
        let (now, time) = (self.instant(), self.now);
        let talk = &mut self.talks[to][from];
        if !self.hosts[to].is_up || talk.number != number {
            return;
        }
        for line in lines {
            let message = Message::parse(line.trim_end()).unwrap();
            let before = PORTS.map(|port| talk.view.at(port));
            talk.view.hear(message, now);
            if before != PORTS.map(|port| talk.view.at(port)) {
                self.changed = time;
            }
        }
        if let Some(at) = talk.view.silent_at() {
            let after = at.saturating_duration_since(now).as_millis();
            let after = u64::try_from(after).unwrap();
            self.at(after, Event::Look(to, from));
        }
    }

    fn look(&mut self, host: usize, other: usize) {
        let now = self.instant();
        if self.talks[host][other].view.look(now) {
            self.changed = self.now;
            let quiet = self.now.saturating_sub(self.faulted) > SETTLED;
            assert!(
                !quiet,
                "{host} believes {other} to be silent although nothing has happened"
            );
            self.talks[host][other].number = 0;
            self.at(WAY, Event::Call(host, other));
        }
    }

    fn call(&mut self, host: usize, other: usize) {
        if !self.hosts[host].is_up || self.talks[host][other].number != 0 {
            return;
        }
        if !self.reaches(host, other) {
            return self.at(CALL_EVERY, Event::Call(host, other));
        }
        self.conversations += 1;
        let told = self.hosts[other].offers.clone();
        let news = told.news(&Offers::default());
        let lines = news.iter().chain(&[Message::Complete]);
        let lines = lines.map(ToString::to_string).collect();
        let talk = &mut self.talks[host][other];
        talk.number = self.conversations;
        talk.view.begin();
        (talk.told, talk.waiting) = (told, Vec::new());
        self.say(other, host, lines);
    }

    /// A pod becomes ready, or is not any more.
    fn offer(&mut self, host: usize, port: u16, is_ready: bool) {
        if is_ready {
            let offer = Offer {
                backends: 1,
                active: 0,
                max: 100,
            };
            self.hosts[host].offers.ports.insert(port, offer);
        } else {
            self.hosts[host].offers.ports.remove(&port);
        }
        let now = self.hosts[host].offers.clone();
        for other in 0..self.hosts.len() {
            let talk = &mut self.talks[other][host];
            let news = now.news(&talk.told);
            talk.told = now.clone();
            let lines = news.iter().map(ToString::to_string).collect();
            self.say(host, other, lines);
        }
    }

    /// Something goes wrong, or right again.
    fn fault(&mut self) -> String {
        self.faulted = self.now;
        let size = u64::try_from(self.hosts.len()).unwrap();
        let host = usize::try_from(self.random.below(size)).unwrap();
        match self.random.below(5) {
            0 if self.hosts[host].is_up => {
                self.hosts[host].is_up = false;
                for other in 0..self.hosts.len() {
                    // Whoever comes back knows nothing.
                    self.talks[host][other] = Talk::default();
                }
                format!("{host} crashes")
            }
            0 => {
                self.hosts[host].is_up = true;
                for other in (0..self.hosts.len()).filter(|other| *other != host) {
                    self.at(WAY, Event::Call(host, other));
                    // Connections that lead to the one before are reset.
                    self.talks[other][host].number = 0;
                    self.at(CALL_EVERY, Event::Call(other, host));
                }
                format!("{host} comes back")
            }
            1 => {
                let island = &mut self.hosts[host].island;
                *island = u32::from(*island == 0) * u32::try_from(host + 1).unwrap();
                format!("{host} is on island {}", self.hosts[host].island)
            }
            2 => {
                let half = self.hosts.len() / 2;
                let island = u32::from(self.hosts[0].island == 0);
                self.hosts[..half]
                    .iter_mut()
                    .for_each(|host| host.island = island);
                format!("half of them are on island {island}")
            }
            3 => {
                self.hosts[host].is_slow = !self.hosts[host].is_slow;
                format!("{host} is slow: {}", self.hosts[host].is_slow)
            }
            _ => {
                let port = PORTS[usize::try_from(self.random.below(3)).unwrap()];
                let is_ready = !self.hosts[host].offers.ports.contains_key(&port);
                self.offer(host, port, is_ready);
                format!("{host} has {port}: {is_ready}")
            }
        }
    }

    /// A client of one host wants to be served by another one.
    fn serve(&mut self) {
        let size = u64::try_from(self.hosts.len()).unwrap();
        let host = usize::try_from(self.random.below(size)).unwrap();
        let port = PORTS[usize::try_from(self.random.below(3)).unwrap()];
        if !self.hosts[host].is_up {
            return;
        }
        let (mut known, mut asked) = (Vec::new(), Vec::new());
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            if let Known::Offers(offer) = self.talks[host][other].view.at(port) {
                known.push(Other {
                    offer: Some(offer),
                    verdict: None,
                });
                asked.push(other);
            }
        }
        let random = &mut self.random;
        let order = route::others(&known, &mut |most| {
            usize::try_from(random.below(u64::try_from(most).unwrap())).unwrap()
        });
        for place in order {
            let other = asked[place];
            // The other host serves its own pods, of which it knows whether they are ready.
            if self.reaches(host, other) && self.hosts[other].offers.ports.contains_key(&port) {
                self.served += 1;
                return;
            }
            self.in_vain += 1;
        }
        let there_is = (0..self.hosts.len()).any(|other| {
            other != host
                && self.reaches(host, other)
                && self.hosts[other].offers.ports.contains_key(&port)
        });
        let quiet = self.now.saturating_sub(self.faulted) > SETTLED;
        assert!(
            !there_is || !quiet,
            "a client of {host} was not served at {port}"
        );
    }

    /// Everybody knows everything: who lives and can be reached, and what they have.
    fn check(&self) {
        for host in (0..self.hosts.len()).filter(|host| self.hosts[*host].is_up) {
            for other in (0..self.hosts.len()).filter(|other| *other != host) {
                for port in PORTS {
                    let known = self.talks[host][other].view.at(port);
                    let has = self.hosts[other].offers.ports.contains_key(&port);
                    let right = match known {
                        Known::Offers(_) => self.reaches(host, other) && has,
                        Known::None => self.reaches(host, other) && !has,
                        Known::Silent | Known::Nothing => !self.reaches(host, other),
                    };
                    assert!(right, "{host} believes {known:?} of {other} at {port}");
                }
            }
        }
    }
}

#[test]
fn hosts_know_each_other_again_after_every_fault() {
    let seed = seed();
    println!("SOAK_SEED={seed}");
    for (size, faults) in [(3, count(200)), (10, count(100)), (50, count(30)), (200, 4)] {
        let mut cluster = Cluster::new(size, Random::new(seed));
        cluster.run_until(SETTLED + 1);
        cluster.check();
        let (mut longest, mut what) = (0, String::new());
        for _ in 0..faults {
            let fault = cluster.fault();
            let from = cluster.now;
            println!("{size} hosts, {from} ms: {fault}");
            for step in 1..=10 {
                cluster.run_until(from + step * (SETTLED + 100) / 10);
                (0..10).for_each(|_| cluster.serve());
            }
            cluster.check();
            (0..20).for_each(|_| cluster.serve());
            let took = cluster.changed.saturating_sub(from);
            if took > longest {
                (longest, what) = (took, fault);
            }
        }
        let Cluster {
            served, in_vain, ..
        } = cluster;
        println!(
            "{size} hosts, {faults} faults: all knew everything within {longest} ms ({what}); {served} clients served, \
             {in_vain} asked in vain; silence is {} ms",
            SILENCE_MAX.as_millis()
        );
        assert!(served > 0);
    }
}

//! The proxy on real sockets: every test runs whole proxies in this process (and one the program
//! itself), each on a loopback address of its own, because cluster ports are fixed numbers.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod chaos;
mod cluster;

mod early;
mod ends;
mod fuzz;
mod headers;
mod hosts;
mod inside;
mod liar;
mod liars;
mod limits;
mod live;
mod metrics;
mod network;
mod original;
mod originals;
mod peers;
mod play;
mod program;
mod properties;
mod queue;
mod random;
mod serve_out;
mod silent;
mod simulation;
mod stream;
mod upgrade;
mod wire;

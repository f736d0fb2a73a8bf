//! The proxy on real sockets: every test runs whole proxies in this process (and one the program
//! itself), each on a loopback address of its own, because cluster ports are fixed numbers.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod cluster;

mod early;
mod ends;
mod headers;
mod hosts;
mod inside;
mod limits;
mod live;
mod metrics;
mod network;
mod peers;
mod play;
mod program;
mod properties;
mod queue;
mod silent;
mod stream;
mod upgrade;
mod wire;

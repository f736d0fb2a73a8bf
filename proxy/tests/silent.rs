//! Backends that do not answer: silent ones are overtaken, dead ones come last and are tried again.

use std::net::SocketAddr;

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, listen, socket_with,
};

use crate::cluster::{Backend, Host, PORT, rest};

/// A port whose packets are lost, as those of a stopped machine: its queue is full.
pub(crate) struct Silent {
    address: SocketAddr,
    _sockets: Vec<rustix::fd::OwnedFd>,
}

impl Silent {
    pub(crate) fn new(host: &Host) -> Self {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = || socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
        let listener = socket();
        bind(&listener, &SocketAddr::new(host.ip, 0)).unwrap();
        listen(&listener, 0).unwrap();
        let address = SocketAddr::try_from(getsockname(&listener).unwrap()).unwrap();
        let mut sockets = vec![listener];
        for _ in 0..4 {
            let client = socket();
            // It is under way, for ever.
            let _ = connect(&client, &address);
            sockets.push(client);
        }
        Self {
            address,
            _sockets: sockets,
        }
    }

    pub(crate) fn mapping(&self) -> String {
        format!("{PORT}:{}:100:false", self.address.port())
    }
}

#[tokio::test]
async fn a_silent_backend_is_overtaken() {
    let host = Host::start().await;
    let silent = Silent::new(&host);
    let backend = host.backend().await;
    host.map(&[silent.mapping(), backend.mapping(100, false)])
        .await;
    backend.answering("pod");
    for _ in 0..10 {
        assert_eq!(rest(&mut host.connect(PORT).await).await, "pod");
    }
    // Nobody has waited until the silent one was given up.
    let said = host.end().await;
    let given_up = said.iter().any(|line| line.contains("does not answer"));
    assert!(!given_up, "{said:#?}");
}

#[tokio::test]
async fn a_silent_backend_comes_last_after_a_while() {
    let mut host = Host::start().await;
    let silent = Silent::new(&host);
    let backend = host.backend().await;
    host.map(&[silent.mapping(), backend.mapping(100, false)])
        .await;
    backend.answering("pod");
    let mut told = false;
    for _ in 0..200 {
        assert_eq!(rest(&mut host.connect(PORT).await).await, "pod");
        told |= host.has_said(&format!("backend {} of cluster port", silent.address));
        if told {
            break;
        }
    }
    assert!(told, "whoever is overtaken again and again does not answer");
}

#[tokio::test]
async fn a_dead_backend_comes_last() {
    let mut host = Host::start().await;
    let (dead, alive) = (host.backend().await, host.backend().await);
    host.map(&[dead.mapping(100, false), alive.mapping(100, false)])
        .await;
    let at = dead.0.local_addr().unwrap();
    drop(dead);
    alive.answering("alive");
    // Sooner or later it was drawn three times.
    let mut told = false;
    for _ in 0..200 {
        assert_eq!(rest(&mut host.connect(PORT).await).await, "alive");
        told |= host.has_said(&format!(
            "backend {at} of cluster port {PORT} comes last for 5 s"
        ));
        if told {
            break;
        }
    }
    assert!(told);
    // From then on nobody tries it.
    host.forget();
    for _ in 0..20 {
        assert_eq!(rest(&mut host.connect(PORT).await).await, "alive");
    }
    assert!(!host.has_said("does not answer"));
}

#[tokio::test]
async fn a_backend_that_is_alone_is_tried_for_ever() {
    let mut host = Host::start().await;
    let backend = host.backend().await;
    host.map(&[backend.mapping(100, false)]).await;
    let at = backend.0.local_addr().unwrap();
    drop(backend);
    for _ in 0..5 {
        host.resets(PORT).await;
    }
    host.said("comes last for").await;
    let again = Backend(tokio::net::TcpListener::bind(at).await.unwrap());
    again.answering("again");
    assert_eq!(rest(&mut host.connect(PORT).await).await, "again");
    host.said("answers again").await;
}

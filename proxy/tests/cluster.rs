//! What the tests are made of: hosts with a running proxy, backends, and patience.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hostfiles::{Endpoints, Format, Peer, PeerKey, Peers, PortMappings, replace};
use proxykeys::ProxyKeys;
use sns_proxy::{Frozen, Patience, Proxy, Reporter, Status};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// The cluster port of most tests.
pub(crate) const PORT: u16 = 61000;

/// The port between proxies.
pub(crate) const RELAY: u16 = 32767;

/// Nothing happens in a test only because time has passed.
pub(crate) const UNHURRIED: Patience = Patience {
    silence_max: Duration::from_secs(3600),
    partial_max: Duration::from_secs(3600),
    header_max: Duration::from_secs(3600),
    look_every: Duration::from_secs(3600),
    ten_warnings_in: Duration::ZERO,
};

/// How a client gets to its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hops {
    /// Over one proxy.
    One,
    /// Over two.
    Two,
    /// Over two that talk over TLS.
    Sealed,
    /// Over two that speak the original's lines.
    Lines,
}

impl Hops {
    pub(crate) const ALL: [Self; 4] = [Self::One, Self::Two, Self::Sealed, Self::Lines];

    /// How many proxies that are.
    pub(crate) fn count(self) -> usize {
        if self == Self::One { 1 } else { 2 }
    }

    fn settings(self) -> &'static str {
        match self {
            Self::One | Self::Two => "",
            Self::Sealed => "ENCRYPT yes",
            Self::Lines => "LEGACY yes",
        }
    }
}

/// Every proxy of the tests of this process, by where it talks to others: its key and its files.
static PROXIES: Mutex<BTreeMap<SocketAddr, (PeerKey, PathBuf)>> = Mutex::new(BTreeMap::new());

/// A proxy that is not one of the tests', known to whoever meets it.
pub(crate) fn enrol(address: SocketAddr, key: PeerKey, folder: &std::path::Path) {
    let own = (key, folder.to_owned());
    PROXIES.lock().unwrap().insert(address, own);
}

/// Has the proxies know each other by their keys.
pub(crate) fn introduce(one: SocketAddr, others: &[SocketAddr]) {
    let proxies = PROXIES.lock().unwrap();
    let add = |to: SocketAddr, known: &[SocketAddr]| {
        let Some((own, folder)) = proxies.get(&to) else {
            return;
        };
        let path = folder.join("peers.conf");
        let read: Option<Peers> = hostfiles::read_if_present(&path).unwrap();
        let mut peers = read.unwrap_or_default().0;
        let known = known.iter().map(|at| (*at, proxies.get(at)));
        for (address, found) in known.chain([(to, Some(&(*own, folder.clone())))]) {
            if let Some((key, _)) = found
                && peers.iter().all(|peer| peer.address != address)
            {
                let keys = vec![*key];
                peers.push(Peer { address, keys });
            }
        }
        replace(&path, Peers(peers).to_text().as_bytes(), 0o644).unwrap();
    };
    others.iter().for_each(|other| add(*other, &[one]));
    add(one, others);
}

/// Fails a test that hangs; never reached by one that works.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), work).await.unwrap()
}

/// The program that enters the networks of pods.
fn helper() -> PathBuf {
    env!("CARGO_BIN_EXE_sns-proxy").into()
}

/// A loopback address that no other test uses, in this process or in one that runs beside it.
pub(crate) fn address() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed)).into()
}

/// One host: its files, its running proxy, and what that said.
pub(crate) struct Host {
    pub(crate) ip: IpAddr,
    pub(crate) folder: TempDir,
    pub(crate) proxy: Proxy,
    patience: Patience,
    told: mpsc::UnboundedSender<String>,
    events: mpsc::UnboundedReceiver<String>,
}

impl Host {
    /// A host without pods that knows no other host.
    pub(crate) async fn start() -> Self {
        Self::with(UNHURRIED).await
    }

    /// A host whose proxy waits for other times.
    pub(crate) async fn with(patience: Patience) -> Self {
        Self::with_helper(patience, helper()).await
    }

    /// A host whose proxy has another program enter the networks of pods.
    pub(crate) async fn with_helper(patience: Patience, helper: PathBuf) -> Self {
        let (ip, folder) = (address(), TempDir::new().unwrap());
        let keys = ProxyKeys::generate().unwrap();
        let text = keys.to_text("of a test");
        replace(&folder.path().join("proxy-key.txt"), text.as_bytes(), 0o600).unwrap();
        let own = (keys.public().next().unwrap(), folder.path().to_owned());
        PROXIES
            .lock()
            .unwrap()
            .insert(SocketAddr::new(ip, RELAY), own);
        let conf = configure(&folder, ip, "");
        let (told, events) = mpsc::unbounded_channel();
        let proxy = Proxy::start(&conf, Some(helper), patience, reporter(&told)).unwrap();
        let host = Self {
            ip,
            folder,
            proxy,
            patience,
            told,
            events,
        };
        host.until(|status| status.relay.is_some()).await;
        host
    }

    /// Puts another proxy in the place of the one that runs, as a new binary would be: what is carried goes on.
    pub(crate) async fn upgrade(self) -> Self {
        let frozen = within(self.proxy.freeze()).await.unwrap();
        let socket = frozen.pack().unwrap();
        drop(frozen);
        let frozen = Frozen::unpack(socket.as_fd()).unwrap();
        let conf = self.folder.path().join("proxy.conf");
        let report = reporter(&self.told);
        let proxy = Proxy::resume(&conf, Some(helper()), self.patience, report, frozen).unwrap();
        Self { proxy, ..self }
    }

    /// The same when the new binary takes the ports only: the old one serves out what it has, as the second value.
    pub(crate) async fn succeed(self) -> (Self, Proxy) {
        let handed = |frozen: &Frozen| Frozen::unpack(frozen.pack().unwrap().as_fd()).unwrap();
        let frozen = within(self.proxy.freeze()).await.unwrap();
        let doors = frozen.doors().unwrap();
        handed(&doors).rehearse().unwrap();
        let (frozen, doors) = (handed(&frozen), handed(&doors));
        let (conf, patience) = (self.folder.path().join("proxy.conf"), self.patience);
        let report = || reporter(&self.told);
        let old = Proxy::serve_out(&conf, Some(helper()), patience, report(), frozen).unwrap();
        let proxy = Proxy::resume(&conf, Some(helper()), patience, report(), doors).unwrap();
        (Self { proxy, ..self }, old)
    }

    /// Writes a file beside proxy.conf.
    pub(crate) fn write(&self, name: &str, text: &str) {
        replace(&self.folder.path().join(name), text.as_bytes(), 0o644).unwrap();
    }

    pub(crate) fn configure(&self, settings: &str) {
        configure(&self.folder, self.ip, settings);
    }

    /// Puts settings in force.
    pub(crate) async fn set(&self, settings: &str) {
        let before = self.proxy.status().borrow().config_reads;
        self.configure(settings);
        self.proxy.reload().await;
        self.until(|status| status.config_reads > before).await;
    }

    /// Waits until the proxy does what is asked for.
    pub(crate) async fn until(&self, done: impl FnMut(&Status) -> bool) {
        let mut status = self.proxy.status();
        within(status.wait_for(done)).await.unwrap();
    }

    /// Waits until the proxy has said something.
    pub(crate) async fn said(&mut self, part: &str) {
        while !within(self.events.recv()).await.unwrap().contains(part) {}
    }

    /// Whether it has said something that nobody has waited for.
    pub(crate) fn has_said(&mut self, part: &str) -> bool {
        std::iter::from_fn(|| self.events.try_recv().ok()).any(|line| line.contains(part))
    }

    /// Forgets what was said.
    pub(crate) fn forget(&mut self) {
        while self.events.try_recv().is_ok() {}
    }

    /// Ends the proxy: everything that it has said and nobody has waited for.
    pub(crate) async fn end(mut self) -> Vec<String> {
        within(self.proxy.stop()).await;
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// Gives the host these mappings, and waits until they are routed by.
    pub(crate) async fn map(&self, mappings: &[String]) {
        let wanted = PortMappings::parse(&mappings.join("\n")).unwrap();
        self.write("portmappings.conf", &wanted.to_text());
        self.until(|status| status.mappings == wanted.0).await;
    }

    /// Gives the host these lines of endpoints.conf, and waits until they are routed by.
    pub(crate) async fn describe(&self, lines: &[String]) {
        let wanted = Endpoints::parse(&lines.join("\n")).unwrap();
        self.write("endpoints.conf", &wanted.to_text());
        if self.proxy.status().borrow().config_reads == 1 {
            self.configure("ENDPOINTSCONF endpoints.conf");
            self.proxy.reload().await;
        }
        self.until(|status| status.endpoints == wanted.0).await;
    }

    /// A backend of [`PORT`] that says this about headers, as in `in=required out=v2`.
    pub(crate) async fn described(&self, headers: &str) -> Backend {
        let backend = self.backend().await;
        self.describe(&[backend.endpoint(headers)]).await;
        backend
    }

    /// Tells the host of the others, and waits until it knows.
    pub(crate) async fn meet(&self, others: &[SocketAddr]) {
        introduce(self.relay(), others);
        let lines: String = others.iter().map(|other| format!("{other}\n")).collect();
        self.write("hosts.conf", &format!("{}\n{lines}", self.relay()));
        self.until(|status| status.peers == others).await;
    }

    pub(crate) fn relay(&self) -> SocketAddr {
        SocketAddr::new(self.ip, RELAY)
    }

    /// A client of a cluster port.
    pub(crate) async fn connect(&self, port: u16) -> TcpStream {
        within(TcpStream::connect((self.ip, port))).await.unwrap()
    }

    /// A backend of this host that is not in its mappings yet.
    pub(crate) async fn backend(&self) -> Backend {
        Backend(TcpListener::bind((self.ip, 0)).await.unwrap())
    }

    /// Checks that a client of the port is reset, perhaps before it knows that it was connected.
    pub(crate) async fn resets(&self, port: u16) {
        match within(TcpStream::connect((self.ip, port))).await {
            Ok(mut client) => breaks(&mut client).await,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }

    /// A backend of [`PORT`].
    pub(crate) async fn mapped(&self, max_conn: u32, send_proxy: bool) -> Backend {
        let backend = self.backend().await;
        self.map(&[backend.mapping(max_conn, send_proxy)]).await;
        backend
    }
}

fn reporter(told: &mpsc::UnboundedSender<String>) -> Reporter {
    let told = told.clone();
    Arc::new(move |event| {
        let line = format!("{}: {event}", event.level());
        // Shown only when the test fails.
        println!("{line}");
        // The receiver is gone when the test is over.
        let _ = told.send(line);
    })
}

fn configure(folder: &TempDir, ip: IpAddr, settings: &str) -> PathBuf {
    let conf = folder.path().join("proxy.conf");
    // Nobody waits for a place, except where a test is about that.
    let queue = if settings.contains("QUEUE") {
        ""
    } else {
        "QUEUE 0\n"
    };
    let text = format!(
        "HOSTSCONF hosts.conf\nPORTSCONF portmappings.conf\nPEERSCONF peers.conf\nPEERKEY proxy-key.txt\n\
         HOST {ip}\n{settings}\n{queue}"
    );
    replace(&conf, text.as_bytes(), 0o644).unwrap();
    conf
}

/// A pod.
pub(crate) struct Backend(pub(crate) TcpListener);

impl Backend {
    pub(crate) fn mapping(&self, max_conn: u32, send_proxy: bool) -> String {
        format!(
            "{PORT}:{}:{max_conn}:{send_proxy}",
            self.0.local_addr().unwrap().port()
        )
    }

    /// Its line in endpoints.conf.
    pub(crate) fn endpoint(&self, headers: &str) -> String {
        let port = self.0.local_addr().unwrap().port();
        format!("cluster={PORT} host={port} max=100 {headers} pod=web-1.0.0")
    }

    pub(crate) async fn accept(&self) -> TcpStream {
        within(self.0.accept()).await.unwrap().0
    }

    /// Answers every connection with a name until the test is over, and does nothing else.
    pub(crate) fn answering(self, name: &'static str) {
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = self.0.accept().await {
                // A client may have left.
                let _ = stream.write_all(name.as_bytes()).await;
            }
        });
    }
}

/// Sends a text.
pub(crate) async fn say(stream: &mut TcpStream, text: &str) {
    within(stream.write_all(text.as_bytes())).await.unwrap();
}

/// Checks what comes next, and no more than that.
pub(crate) async fn hear(stream: &mut TcpStream, text: &str) {
    let mut bytes = vec![0; text.len()];
    within(stream.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), text);
}

/// Everything that comes until the other side stops talking.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    within(stream.read_to_string(&mut text)).await.unwrap();
    text
}

/// Checks that the other side breaks off, and has nothing more to say.
pub(crate) async fn breaks(stream: &mut TcpStream) {
    let error = within(stream.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

/// Breaks off.
pub(crate) fn break_off(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

/// A client, the host it is connected to, and the backend that it reached on the same host or on
/// another one.
pub(crate) struct Path {
    pub(crate) client: TcpStream,
    pub(crate) server: TcpStream,
    pub(crate) hosts: Vec<Host>,
}

/// A backend of [`PORT`], the host whose clients reach it, and its own host if that is another one.
pub(crate) async fn reached(
    hops: Hops,
    send_proxy: bool,
    patience: Patience,
) -> (Host, Option<Host>, Backend) {
    let near = Host::with(patience).await;
    if hops == Hops::One {
        let backend = near.mapped(1000, send_proxy).await;
        return (near, None, backend);
    }
    // Who sees to the client's first bytes is a matter of how the two talk.
    let far = Host::with(patience).await;
    far.set(hops.settings()).await;
    let backend = far.mapped(1000, send_proxy).await;
    open_with(&near, hops.settings(), &[far.relay()]).await;
    (near, Some(far), backend)
}

/// Connects a client with a backend over one or two proxies.
pub(crate) async fn path(hops: Hops, send_proxy: bool) -> Path {
    let (near, far, backend) = reached(hops, send_proxy, UNHURRIED).await;
    let (client, server) = tokio::join!(near.connect(PORT), backend.accept());
    Path {
        client,
        server,
        hosts: far.into_iter().chain([near]).collect(),
    }
}

/// Makes a host listen on [`PORT`] without a pod of its own, and meet others.
pub(crate) async fn open_everywhere(host: &Host, others: &[SocketAddr]) {
    open_with(host, "", others).await;
}

/// The same with more settings.
pub(crate) async fn open_with(host: &Host, settings: &str, others: &[SocketAddr]) {
    host.write("clusterports.conf", &format!("{PORT}\n"));
    host.set(&format!("CLUSTERPORTSCONF clusterports.conf\n{settings}"))
        .await;
    host.meet(others).await;
    host.until(|status| !status.cluster_ports.is_empty()).await;
}

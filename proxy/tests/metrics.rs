//! What a proxy shows of itself: exact numbers after known traffic, connections one by one, and the socket.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::cluster::{Backend, Host, PORT, break_off, hear, reached, rest, say, within};
use crate::silent::Silent;

const SOCKET: &str = "METRICSSOCKET metrics.sock";

fn socket(host: &Host) -> PathBuf {
    host.folder.path().join("metrics.sock")
}

/// A host that shows metrics, with more settings.
async fn showing(settings: &str) -> Host {
    let mut host = Host::start().await;
    show(&mut host, settings).await;
    host
}

async fn show(host: &mut Host, settings: &str) {
    host.configure(&format!("{settings}\n{SOCKET}"));
    host.proxy.reload().await;
    host.said("showing metrics at").await;
}

/// Everything that is answered to these bytes.
async fn asked(host: &Host, request: &str) -> String {
    let mut stream = within(UnixStream::connect(socket(host))).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

async fn get(host: &Host, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: proxy\r\n\r\n");
    let answer = asked(host, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let length = format!("Content-Length: {}", body.len());
    assert!(head.contains(&length), "{head}");
    body.to_owned()
}

/// Waits until the metrics say these lines. What a client sees and what is counted of it are moments apart.
async fn shows(host: &Host, lines: &[String]) -> String {
    within(async {
        loop {
            let text = get(host, "/metrics").await;
            let missing = lines
                .iter()
                .find(|line| !text.lines().any(|at| at == *line));
            match missing {
                None => return text,
                // Shown only when the test fails.
                Some(missing) => println!("not yet: {missing}"),
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

fn of_port(name: &str, labels: &str, value: u64) -> String {
    format!("sns_proxy_{name}{{cluster_port=\"{PORT}\"{labels}}} {value}")
}

fn single(name: &str, value: u64) -> String {
    format!("sns_proxy_{name} {value}")
}

fn moved(direction: &str, way: &str, bytes: u64) -> String {
    let labels = format!(",direction=\"{direction}\",way=\"{way}\"");
    of_port("bytes_total", &labels, bytes)
}

#[tokio::test]
async fn known_traffic_gives_exact_numbers() {
    let host = showing("").await;
    let backend = host.mapped(7, false).await;
    let at = backend.0.local_addr().unwrap();
    let mut open = Vec::new();
    for _ in 0..3 {
        let (mut client, mut server) = tokio::join!(host.connect(PORT), backend.accept());
        say(&mut client, "ping!").await;
        hear(&mut server, "ping!").await;
        say(&mut server, "pong").await;
        hear(&mut client, "pong").await;
        open.push((client, server));
    }
    let labels = format!(",backend=\"{at}\"");
    let text = shows(
        &host,
        &[
            of_port("accepts_total", "", 3),
            moved("up", "copied", 15),
            moved("up", "spliced", 0),
            moved("down", "copied", 12),
            moved("down", "spliced", 0),
            of_port("turned_away_total", ",reason=\"busy\"", 0),
            of_port("retries_total", "", 0),
            of_port("hedges_total", "", 0),
            of_port("connects_total", &labels, 3),
            of_port("connect_failures_total", &labels, 0),
            of_port("ejections_total", &labels, 0),
            of_port("backend_connections_active", &labels, 3),
            of_port("backend_connections_max", &labels, 7),
            of_port("backend_ejected", &labels, 0),
            "sns_proxy_connect_seconds_count{way=\"host_port\"} 3".into(),
            "sns_proxy_connect_seconds_bucket{way=\"host_port\",le=\"+Inf\"} 3".into(),
            single("connections_active", 3),
            single("connections_queued", 0),
            single("listeners_open", 2),
            single("listeners_failed", 0),
            single("peers", 0),
            single("config_reads_total", 2),
        ],
    )
    .await;
    let version = env!("CARGO_PKG_VERSION");
    assert!(text.contains(&format!(
        "sns_proxy_build_info{{version=\"{version}\"}} 1\n"
    )));
    // Every family is told once, with its kind, and everything belongs to one.
    let mut families: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(families.iter().any(|name| line.starts_with(name)), "{line}");
    }
    let count = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(
        (families.len(), text.matches("# HELP ").count()),
        (count, count)
    );
    // Numbers of the whole process, the tests' own descriptors among them.
    let number = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    assert!(number("sns_proxy_open_descriptors ") > 6.0);
    assert!(number("sns_proxy_descriptors_limit ") > 6.0);
    assert!(number("sns_proxy_start_time_seconds ") > 1.7e9);
    // Only where the kernel tracks connections.
    let tracks = std::path::Path::new("/proc/sys/net/netfilter/nf_conntrack_max").exists();
    let told = text.contains("sns_proxy_conntrack_entries ")
        && text.contains("sns_proxy_conntrack_entries_limit ");
    assert_eq!(told, tracks);
    drop(open);
    shows(&host, &[single("connections_active", 0)]).await;
}

#[tokio::test]
async fn a_long_stream_is_spliced() {
    let host = showing("").await;
    let backend = host.mapped(7, false).await;
    let (mut client, mut server) = tokio::join!(host.connect(PORT), backend.accept());
    const BYTES: usize = 32 << 20;
    let sent = tokio::spawn(async move {
        client.write_all(&vec![7; BYTES]).await.unwrap();
        client
    });
    let mut heard = vec![0; BYTES];
    within(server.read_exact(&mut heard)).await.unwrap();
    let _client = within(sent).await.unwrap();
    let all = u64::try_from(BYTES).unwrap();
    let text = within(async {
        loop {
            let text = get(&host, "/metrics").await;
            if read(&text, &moved("up", "copied", 0)) + read(&text, &moved("up", "spliced", 0))
                == all
            {
                return text;
            }
        }
    })
    .await;
    let spliced = read(&text, &moved("up", "spliced", 0));
    assert!(spliced > all / 2, "{spliced} of {all}");
    let listed = get(&host, "/connections").await;
    let row: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&row["up_bytes"], &row["spliced_bytes"]),
        (&all.into(), &spliced.into())
    );
}

/// The number of a line that is the same but for its number.
fn read(text: &str, like: &str) -> u64 {
    let (name, _) = like.rsplit_once(' ').unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn failures_ejections_and_readmissions_are_counted() {
    let mut host = showing("").await;
    let backend = host.backend().await;
    host.map(&[backend.mapping(100, false)]).await;
    let at = backend.0.local_addr().unwrap();
    drop(backend);
    for _ in 0..4 {
        host.resets(PORT).await;
    }
    let labels = format!(",backend=\"{at}\"");
    shows(
        &host,
        &[
            of_port("connect_failures_total", &labels, 4),
            of_port("ejections_total", &labels, 1),
            of_port("readmissions_total", &labels, 0),
            of_port("backend_ejected", &labels, 1),
            of_port("turned_away_total", ",reason=\"unanswered\"", 4),
            of_port("accepts_total", "", 4),
        ],
    )
    .await;
    let again = Backend(tokio::net::TcpListener::bind(at).await.unwrap());
    again.answering("again");
    assert_eq!(rest(&mut host.connect(PORT).await).await, "again");
    host.said("answers again").await;
    shows(
        &host,
        &[
            of_port("readmissions_total", &labels, 1),
            of_port("backend_ejected", &labels, 0),
            of_port("connects_total", &labels, 1),
        ],
    )
    .await;
    // Pods come and go; what is gone is shown no more.
    host.map(&[]).await;
    let text = get(&host, "/metrics").await;
    assert!(!text.contains(&at.to_string()), "{text}");
    assert!(text.contains(&of_port("accepts_total", "", 5)), "{text}");
}

#[tokio::test]
async fn second_choices_are_retries() {
    let host = showing("").await;
    let (dead, alive) = (host.backend().await, host.backend().await);
    host.map(&[dead.mapping(100, false), alive.mapping(100, false)])
        .await;
    let at = dead.0.local_addr().unwrap();
    drop(dead);
    alive.answering("alive");
    // Sooner or later the dead one is drawn three times, and not tried any more.
    let labels = format!(",backend=\"{at}\"");
    let ejected = of_port("ejections_total", &labels, 1);
    while !get(&host, "/metrics").await.contains(&ejected) {
        assert_eq!(rest(&mut host.connect(PORT).await).await, "alive");
    }
    shows(
        &host,
        &[
            of_port("retries_total", "", 3),
            of_port("hedges_total", "", 0),
            of_port("connect_failures_total", &labels, 3),
        ],
    )
    .await;
}

#[tokio::test]
async fn second_choices_beside_a_silent_one_are_hedges() {
    let host = showing("").await;
    let (silent, backend) = (Silent::new(&host), host.backend().await);
    host.map(&[silent.mapping(), backend.mapping(100, false)])
        .await;
    backend.answering("pod");
    // Sooner or later the silent one is drawn.
    let hedged = of_port("hedges_total", "", 1);
    while !get(&host, "/metrics").await.contains(&hedged) {
        assert_eq!(rest(&mut host.connect(PORT).await).await, "pod");
    }
    shows(&host, &[of_port("retries_total", "", 0)]).await;
}

#[tokio::test]
async fn those_who_wait_are_queued_and_then_counted() {
    let host = showing("QUEUE 1\nQUEUEWAIT 3600").await;
    let backend = host.mapped(1, false).await;
    let (client, server) = tokio::join!(host.connect(PORT), backend.accept());
    let mut waits = host.connect(PORT).await;
    say(&mut waits, "me").await;
    shows(&host, &[single("connections_queued", 1)]).await;
    host.resets(PORT).await;
    let row = connections(&host, "").await.0;
    assert!(row.iter().any(|row| row["state"] == "queued"), "{row:?}");
    drop((client, server));
    hear(&mut backend.accept().await, "me").await;
    shows(
        &host,
        &[
            single("connections_queued", 0),
            single("queue_wait_seconds_count", 1),
            of_port("turned_away_total", ",reason=\"busy\"", 1),
        ],
    )
    .await;
}

#[tokio::test]
async fn other_proxies_are_counted_too() {
    let (mut near, far, backend) =
        reached(crate::cluster::Hops::Two, false, crate::cluster::UNHURRIED).await;
    let mut far = far.unwrap();
    show(&mut far, "").await;
    show(&mut near, "CLUSTERPORTSCONF clusterports.conf").await;
    let (mut client, mut server) = tokio::join!(near.connect(PORT), backend.accept());
    say(&mut client, "ping").await;
    hear(&mut server, "ping").await;
    let labels = format!(",backend=\"{}\"", far.relay());
    shows(
        &near,
        &[
            single("peers", 1),
            of_port("accepts_total", "", 1),
            of_port("connects_total", &labels, 1),
            moved("up", "copied", 4),
            "sns_proxy_connect_seconds_count{way=\"proxy\"} 1".into(),
        ],
    )
    .await;
    let rows = connections(&near, "").await.0;
    assert_eq!(rows[0]["backend"], far.relay().to_string());
    shows(
        &far,
        &[
            single("relay_accepts_total", 1),
            of_port("accepts_total", "", 0),
        ],
    )
    .await;
    let mut stranger = far.connect(crate::cluster::RELAY).await;
    say(&mut stranger, "GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(rest(&mut stranger).await, "");
    shows(&far, &[single("refused_requests_total", 1)]).await;
    break_off(client);
    shows(&near, &[single("broken_connections_total", 1)]).await;
}

/// The connections that are listed, and the last line.
async fn connections(host: &Host, query: &str) -> (Vec<Value>, Value) {
    let text = get(host, &format!("/connections{query}")).await;
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = lines.pop().unwrap();
    (lines, last)
}

#[tokio::test]
async fn connections_are_listed_one_by_one() {
    let host = showing("").await;
    let backend = host.mapped(5000, false).await;
    let (mut client, mut server) = tokio::join!(host.connect(PORT), backend.accept());
    say(&mut client, "ping").await;
    hear(&mut server, "ping").await;
    shows(&host, &[moved("up", "copied", 4)]).await;
    let (rows, last) = connections(&host, "").await;
    let [row] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!(row["client"], client.local_addr().unwrap().to_string());
    assert_eq!(row["backend"], backend.0.local_addr().unwrap().to_string());
    assert_eq!(
        (&row["cluster_port"], &row["state"]),
        (&PORT.into(), &"joined".into())
    );
    assert_eq!(
        (&row["up_bytes"], &row["down_bytes"]),
        (&4.into(), &0.into())
    );
    assert_eq!(
        (&row["zero_copy"], &row["pod"]),
        (&false.into(), &Value::Null)
    );
    assert!(row["age_seconds"].as_f64().unwrap() < 3600.0);
    assert_eq!(last, serde_json::json!({ "connections": 1, "left_out": 0 }));
    assert_eq!(connections(&host, "?port=61001").await.0, [Value::Null; 0]);
    assert_eq!(connections(&host, "?port=61000").await.0.len(), 1);
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut server).await, "");
    within(async { while connections(&host, "").await.0[0]["state"] != "closing" {} }).await;
}

/// These tests have very many connections in this process, both ends of each.
fn take_all_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

#[tokio::test]
async fn of_very_many_connections_those_are_listed_that_have_moved_most() {
    take_all_descriptors();
    let host = showing("").await;
    let backend = host.mapped(5000, false).await;
    let mut open = Vec::new();
    for number in 0..1030 {
        let (mut client, server) = tokio::join!(host.connect(PORT), backend.accept());
        // The first ones have moved least.
        if number >= 30 {
            say(&mut client, "more").await;
        }
        open.push((client, server));
    }
    shows(&host, &[moved("up", "copied", 4000)]).await;
    let (rows, last) = connections(&host, "").await;
    assert_eq!(
        last,
        serde_json::json!({ "connections": 1030, "left_out": 30 })
    );
    assert_eq!(rows.len(), 1000);
    assert!(rows.iter().all(|row| row["up_bytes"] == 4));
}

#[tokio::test]
async fn only_the_owner_may_look_and_the_end_tidies_up() {
    let host = showing("").await;
    let found = std::fs::symlink_metadata(socket(&host)).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    let path = socket(&host);
    host.end().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn the_socket_of_a_dead_proxy_is_replaced() {
    let mut host = Host::start().await;
    drop(UnixListener::bind(socket(&host)).unwrap());
    assert!(socket(&host).exists());
    show(&mut host, "").await;
    get(&host, "/metrics").await;
}

#[tokio::test]
async fn the_socket_of_a_living_proxy_is_left_alone_and_waited_for() {
    let mut host = Host::start().await;
    let other = UnixListener::bind(socket(&host)).unwrap();
    host.configure(SOCKET);
    host.proxy.reload().await;
    host.said("error: cannot show metrics at").await;
    drop(other);
    // It is tried again by itself.
    host.said("showing metrics at").await;
    get(&host, "/metrics").await;
}

#[tokio::test]
async fn what_is_no_socket_is_never_removed() {
    let mut host = Host::start().await;
    host.write("metrics.sock", "mine");
    host.configure(SOCKET);
    host.proxy.reload().await;
    host.said("something else than a socket is there").await;
    assert_eq!(std::fs::read_to_string(socket(&host)).unwrap(), "mine");
    // Without the key nobody tries any more.
    host.configure("");
    host.proxy.reload().await;
    host.said("is in force").await;
    host.end().await;
}

#[tokio::test]
async fn a_reload_moves_the_socket() {
    let mut host = showing("").await;
    host.configure("METRICSSOCKET other.sock");
    host.proxy.reload().await;
    host.said("no longer showing metrics at").await;
    host.said("other.sock").await;
    assert!(!socket(&host).exists() && host.folder.path().join("other.sock").exists());
    host.configure("");
    host.proxy.reload().await;
    host.said("no longer showing metrics at").await;
    assert!(!host.folder.path().join("other.sock").exists());
}

#[tokio::test]
async fn who_reads_slowly_stops_nobody() {
    let host = showing("").await;
    let backend = host.backend().await;
    // Nobody listens at those of another cluster port, which make the text longer than a socket holds.
    let mut mappings: Vec<String> = (20_000..22_000)
        .map(|at| format!("61001:{at}:1:false"))
        .collect();
    mappings.push(backend.mapping(10, false));
    host.map(&mappings).await;
    // As many as may look at a time read nothing.
    let request = b"GET /metrics HTTP/1.1\r\n\r\n";
    let mut looks = Vec::new();
    for _ in 0..17 {
        let mut stream = UnixStream::connect(socket(&host)).await.unwrap();
        stream.write_all(request).await.unwrap();
        looks.push(stream);
    }
    let mut next = looks.pop().unwrap();
    // Traffic goes on, and so do settings.
    let (mut client, mut server) = tokio::join!(host.connect(PORT), backend.accept());
    for _ in 0..100 {
        say(&mut client, "ping").await;
        hear(&mut server, "ping").await;
    }
    host.map(&[backend.mapping(11, false)]).await;
    // Whoever comes next waits until their time is up, and no longer.
    let mut answer = String::new();
    within(next.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    let lines = [moved("up", "copied", 400), single("connections_active", 1)];
    shows(&host, &lines).await;
    // The first one's was.
    let mut cut = String::new();
    within(looks.remove(0).read_to_string(&mut cut))
        .await
        .unwrap();
    let (head, body) = cut.split_once("\r\n\r\n").unwrap();
    assert!(!head.contains(&format!("Content-Length: {}\r", body.len())));
}

#[tokio::test]
async fn no_more_than_sixteen_look_at_a_time() {
    let host = showing("").await;
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(UnixStream::connect(socket(&host)).await.unwrap());
    }
    get(&host, "/metrics").await;
    // That was not before one of them had its time.
    let mut told = 0;
    for stream in &silent {
        told += usize::from(stream.try_read(&mut [0; 16]).is_ok());
    }
    assert!(told > 0);
}

#[tokio::test]
async fn strange_questions_are_answered() {
    let host = showing("").await;
    let check = async |request: &str, expected: &str| {
        let answer = asked(&host, request).await;
        assert!(answer.starts_with(expected), "{request:?}: {answer}");
    };
    check("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ").await;
    check("PUT /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 ").await;
    check("nonsense\r\n\r\n", "HTTP/1.1 400 ").await;
    let long = format!("GET /metrics HTTP/1.1\r\nA: {}", "a".repeat(8192 - 26));
    check(&long, "HTTP/1.1 431 ").await;
    // Who asks for nothing is not waited for.
    check("GET /metrics HTTP/1.1\r\n", "HTTP/1.1 408 ").await;
}

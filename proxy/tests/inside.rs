//! Pods in networks of their own: dialled from inside, at their host ports where that is not possible. It needs
//! root.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cluster::{Host, PORT, UNHURRIED, rest, within};

/// The port that pods listen on, inside.
const TARGET: u16 = 8080;
/// A host port that nobody listens on.
const NOBODY: u16 = 30_999;

/// A process in a network of its own, in which a web server may listen on loopback.
struct Pod {
    child: Child,
}

impl Pod {
    fn new(serves: bool) -> Self {
        let server = if serves {
            format!("exec busybox httpd -f -p 127.0.0.1:{TARGET} -h /proc/self/net")
        } else {
            "exec sleep 600".to_owned()
        };
        let script = format!("busybox ip link set lo up && echo up && {server}");
        #[expect(clippy::disallowed_methods, reason = "a pod has to run somewhere else")]
        let mut unshare = Command::new("unshare");
        let mut child = unshare
            .args(["-n", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n", "this needs root");
        Self { child }
    }

    fn start_time(&self) -> u64 {
        start_time(self.child.id())
    }

    /// Its line in endpoints.conf, with a host port or without one.
    fn endpoint(&self, host_port: Option<u16>) -> String {
        let (pid, start) = (self.child.id(), self.start_time());
        line(host_port, pid, start)
    }
}

fn start_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    // The first field after the name is the third.
    let field = after_name.split_ascii_whitespace().nth(22 - 3);
    field.unwrap().parse().unwrap()
}

fn line(host_port: Option<u16>, pid: u32, start: u64) -> String {
    let host = host_port.map_or_else(String::new, |port| format!("host={port} "));
    format!(
        "cluster={PORT} {host}target={TARGET} pid={pid} start={start} max=100 in=optional out=none pod=web-1.0.0"
    )
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A host with this endpoint, and no mapping.
async fn host_with(endpoint: String) -> Host {
    let host = Host::start().await;
    host.describe(&[endpoint]).await;
    host
}

/// What a web server inside says, if one is reached: the devices of its own network, `lo` alone.
async fn asked(host: &Host) -> Option<String> {
    let mut client = TcpStream::connect((host.ip, PORT)).await.ok()?;
    client.write_all(b"GET /dev HTTP/1.0\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

/// Sockets are made beside the way of the clients, so the first ones may be served from outside.
async fn reached(host: &Host) -> String {
    within(async {
        loop {
            if let Some(answer) = asked(host).await {
                return answer;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_pod_without_a_host_port_is_reached_from_inside_by_its_first_client() {
    let pod = Pod::new(true);
    let mut host = host_with(pod.endpoint(None)).await;
    // Whoever comes before a socket was made waits for it.
    let answer = within(asked(&host)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(
        answer.contains("lo:") && !answer.contains("eth"),
        "{answer}"
    );
    assert!(!host.has_said("warning"));
}

#[tokio::test]
async fn more_clients_at_once_than_sockets_were_made_are_served() {
    let pod = Pod::new(true);
    let host = host_with(pod.endpoint(None)).await;
    within(async {
        let mut clients = Vec::new();
        // The queue of such a web server holds no more.
        for _ in 0..10 {
            clients.push(host.connect(PORT).await);
        }
        for client in &mut clients {
            client
                .write_all(b"GET /dev HTTP/1.0\r\n\r\n")
                .await
                .unwrap();
            assert!(rest(client).await.starts_with("HTTP/1.1 200 OK"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_pod_behind_a_port_that_nobody_listens_on_is_reached_from_inside() {
    let pod = Pod::new(true);
    let host = host_with(pod.endpoint(Some(NOBODY))).await;
    reached(&host).await;
}

#[tokio::test]
async fn where_nobody_listens_inside_the_host_port_is_dialled() {
    let pod = Pod::new(false);
    let host = Host::start().await;
    let outside = host.backend().await;
    let port = outside.0.local_addr().unwrap().port();
    outside.answering("outside");
    host.describe(&[pod.endpoint(Some(port))]).await;
    for _ in 0..50 {
        assert_eq!(rest(&mut host.connect(PORT).await).await, "outside");
    }
    let said = host.end().await;
    assert!(
        !said.iter().any(|line| line.contains("does not answer")),
        "nothing is wrong with the pod: {said:#?}"
    );
}

#[tokio::test]
async fn a_pod_that_can_be_reached_nowhere_is_told_with_its_name() {
    let pod = Pod::new(false);
    let mut host = host_with(pod.endpoint(None)).await;
    host.resets(PORT).await;
    host.said(&format!(
        "backend 127.0.0.1:{TARGET} of cluster port {PORT} does not answer: inside pod web-1.0.0, which has no host \
         port: Connection refused"
    ))
    .await;
    host.said("cluster port 61000: no backend answers").await;
    // This process is in the network of the host, and there is none with that start time.
    let own = std::process::id();
    let start = start_time(own);
    for (start, why) in [
        (start, "it has no network of its own"),
        (start + 1, "its process has ended"),
    ] {
        host.describe(&[line(None, own, start)]).await;
        host.resets(PORT).await;
        host.said(&format!("pod web-1.0.0 has no host port, and {why}"))
            .await;
    }
}

#[tokio::test]
async fn a_pod_that_cannot_be_entered_holds_nobody_up_who_can_go_elsewhere() {
    let (own, start) = (std::process::id(), start_time(std::process::id()));
    let host = Host::with(UNHURRIED).await;
    let other = host.backend().await;
    host.describe(&[line(None, own, start), other.endpoint("out=none")])
        .await;
    other.answering("other");
    for _ in 0..20 {
        assert_eq!(rest(&mut host.connect(PORT).await).await, "other");
    }
}

#[tokio::test]
async fn nobody_waits_long_for_a_helper_that_does_not_answer() {
    let pod = Pod::new(true);
    let mut host = Host::with_helper(UNHURRIED, "/bin/false".into()).await;
    let other = host.backend().await;
    host.describe(&[pod.endpoint(None)]).await;
    host.resets(PORT).await;
    host.said("pod web-1.0.0 has no host port, and its network could not be entered in time")
        .await;
    host.describe(&[pod.endpoint(None), other.endpoint("out=none")])
        .await;
    other.answering("other");
    for _ in 0..20 {
        assert_eq!(rest(&mut host.connect(PORT).await).await, "other");
    }
    assert!(!host.has_said("in time"), "the others were dialled at once");
}

#[tokio::test]
async fn another_process_with_that_number_is_never_entered() {
    let pod = Pod::new(true);
    let host = host_with(line(Some(NOBODY), pod.child.id(), pod.start_time() + 1)).await;
    for _ in 0..50 {
        assert_eq!(asked(&host).await, None);
    }
    // It is the number of the right one that counts.
    host.describe(&[pod.endpoint(Some(NOBODY))]).await;
    reached(&host).await;
}

#[tokio::test]
async fn a_broken_file_of_endpoints_leaves_the_last_good_one_in_force() {
    let pod = Pod::new(true);
    let mut host = host_with(pod.endpoint(None)).await;
    reached(&host).await;
    host.write("endpoints.conf", "cluster=61000 host=30000\n");
    host.said("endpoints.conf, line 1").await;
    reached(&host).await;
}

#[tokio::test]
async fn a_mapping_counts_where_no_endpoint_has_its_cluster_port() {
    let host = Host::start().await;
    let (described, mapped) = (host.backend().await, host.backend().await);
    let port = mapped.0.local_addr().unwrap().port();
    host.map(&[
        mapped.mapping(100, false),
        format!("61001:{port}:100:false"),
    ])
    .await;
    host.describe(&[described.endpoint("out=none")]).await;
    described.answering("described");
    mapped.answering("mapped");
    for _ in 0..20 {
        assert_eq!(rest(&mut host.connect(PORT).await).await, "described");
    }
    assert_eq!(rest(&mut host.connect(61001).await).await, "mapped");
}

#[tokio::test]
async fn a_new_binary_goes_into_pods_as_well() {
    let pod = Pod::new(true);
    let host = host_with(pod.endpoint(Some(NOBODY))).await;
    reached(&host).await;
    let held = host.connect(PORT).await;
    let host = host.upgrade().await;
    reached(&host).await;
    drop(held);
}

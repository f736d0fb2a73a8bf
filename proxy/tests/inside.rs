//! Pods in networks of their own: dialled from inside, at their host ports where that is not possible. It needs
//! root.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use hostfiles::{Endpoint, Endpoints, Format as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cluster::{Host, PORT, rest, within};

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
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, after_name) = stat.rsplit_once(')').unwrap();
        // The first field after the name is the third.
        let field = after_name.split_ascii_whitespace().nth(22 - 3);
        field.unwrap().parse().unwrap()
    }

    fn endpoint(&self, host_port: u16) -> Endpoint {
        Endpoint {
            cluster_port: PORT.to_string().parse().unwrap(),
            host_port: host_port.to_string().parse().unwrap(),
            target_port: TARGET,
            pid: self.child.id(),
            start_time: self.start_time(),
        }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A host with this endpoint, and a mapping for its host port.
async fn host_with(endpoint: Endpoint) -> Host {
    let host = Host::start().await;
    host.configure("ENDPOINTSCONF endpoints.conf");
    host.proxy.reload().await;
    host.until(|status| status.config_reads == 2).await;
    host.write("endpoints.conf", &Endpoints(vec![endpoint]).to_text());
    host.map(&[format!("{PORT}:{}:100:false", endpoint.host_port)])
        .await;
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
async fn a_pod_that_publishes_nothing_is_reached_from_inside() {
    let pod = Pod::new(true);
    let host = host_with(pod.endpoint(NOBODY)).await;
    let answer = reached(&host).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(
        answer.contains("lo:") && !answer.contains("eth"),
        "{answer}"
    );
}

#[tokio::test]
async fn more_clients_than_sockets_were_made_are_served() {
    let pod = Pod::new(true);
    let host = host_with(pod.endpoint(NOBODY)).await;
    reached(&host).await;
    within(async {
        let mut served = 0;
        while served < 200 {
            served += u32::from(asked(&host).await.is_some());
        }
    })
    .await;
}

#[tokio::test]
async fn where_nobody_listens_inside_the_host_port_is_dialled() {
    let pod = Pod::new(false);
    let host = Host::start().await;
    let outside = host.backend().await;
    let port = outside.0.local_addr().unwrap().port();
    let endpoint = pod.endpoint(port);
    outside.answering("outside");
    host.configure("ENDPOINTSCONF endpoints.conf");
    host.proxy.reload().await;
    host.write("endpoints.conf", &Endpoints(vec![endpoint]).to_text());
    host.map(&[format!("{PORT}:{port}:100:false")]).await;
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
async fn another_process_with_that_number_is_never_entered() {
    let pod = Pod::new(true);
    let endpoint = pod.endpoint(NOBODY);
    let host = host_with(Endpoint {
        start_time: endpoint.start_time + 1,
        ..endpoint
    })
    .await;
    for _ in 0..50 {
        assert_eq!(asked(&host).await, None);
    }
    // It is the number of the right one that counts.
    host.write("endpoints.conf", &Endpoints(vec![endpoint]).to_text());
    reached(&host).await;
}

#[tokio::test]
async fn a_broken_file_of_endpoints_leaves_the_last_good_one_in_force() {
    let pod = Pod::new(true);
    let mut host = host_with(pod.endpoint(NOBODY)).await;
    reached(&host).await;
    host.write("endpoints.conf", "61000:30000:8080\n");
    host.said("endpoints.conf, line 1").await;
    reached(&host).await;
}

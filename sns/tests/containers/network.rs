//! The network that the containers of a pod share, and what leads into it.

use std::net::SocketAddr;

use testkit::{Network, fetch, free_port};

use super::host::{Host, IMAGE, loopback, shell, sleeper, unit, yaml};

/// Serves what stands in `/www`, which is the config `site`.
fn server(port: u16, interface: &str) -> String {
    let expose = format!(
        "  expose:\n  - targetPort: 8080\n    hostPort: {port}\n    hostInterface: {interface}\n"
    );
    format!(
        "- name: server\n  image: {IMAGE}\n  command: [httpd, -f, -p, '8080', -h, /www]\n  restart: always\n  stopTimeout: 1\n{expose}  mounts:\n  - volume: site\n    dest: /www\n"
    )
}

const SITE: &str = "volumes:\n- name: site\n  type: config\n";

#[test]
fn containers_share_localhost_and_a_port_leads_in() {
    let port = free_port().unwrap();
    let client =
        "until wget -qO- http://127.0.0.1:8080/page; do sleep 0.1; done; cat /etc/hosts; sleep 600";
    let sections = format!(
        "{SITE}containers:\n{}{}",
        server(port, "127.0.0.1"),
        shell("client", client, "")
    );
    let host = Host::new();
    let files = [
        ("pod.yaml", &*yaml("1.0.0", &sections)),
        ("config/site/page", "hello from inside\n"),
    ];
    host.pod("web", &files);
    host.start();
    let status = host.wait("web:1.0.0", "both to run", |now| now.readiness);
    host.wait_for_line("client", "hello from inside");
    let page = fetch(loopback(port), "/page").unwrap();
    assert_eq!(page, "hello from inside\n");
    // The cluster's proxy has a name in every container.
    host.wait_for_line("client", "proxy");
    assert_eq!(
        unit(&status, "server").ports,
        format!("127.0.0.1:{port}:8080")
    );
    host.state("web", "removed");
    host.wait("web:1.0.0", "it to be removed", |now| {
        now.status == hostfiles::PodPhase::Removed
    });
    assert_eq!((host.pods(), host.containers()), (vec![], vec![]));
    assert!(fetch(loopback(port), "/page").is_err());
}

#[test]
fn a_container_in_the_network_of_the_host() {
    let port = free_port().unwrap();
    let host = Host::new();
    let text = format!(
        "{SITE}containers:\n- name: server\n  image: {IMAGE}\n  network: host\n  command: [httpd, -f, -p, '127.0.0.1:{port}', -h, /www]\n  stopTimeout: 1\n  mounts:\n  - volume: site\n    dest: /www\n{}",
        sleeper("inside", "")
    );
    let files = [
        ("pod.yaml", &*yaml("1.0.0", &text)),
        ("config/site/page", "on the host\n"),
    ];
    host.pod("web", &files);
    host.start();
    host.wait("web:1.0.0", "it to run", |now| now.readiness);
    host.until("the page", || {
        fetch(loopback(port), "/page").is_ok_and(|page| page == "on the host\n")
    });
    // The other one has a network of its own, in which nobody listens there.
    let url = format!("http://127.0.0.1:{port}/page");
    let command = ["exec", "-c", "inside", "--", "wget", "-qO-", &url];
    assert_ne!(host.verb("web:1.0.0", &command).code, 0);
}

#[test]
fn two_containers_with_one_target_port_are_a_mistake_that_names_both() {
    let host = Host::new();
    let expose = "expose:\n- targetPort: 80\n";
    let text = format!(
        "containers:\n{}{}",
        sleeper("one", expose),
        sleeper("two", expose)
    );
    let files = [("pod.yaml", &*yaml("1.0.0", &text))];
    host.bench.attach("web", "laptop", &files);
    let said = host.bench.show(&["pod", "compile", "web"]);
    assert!(
        said.contains("`one` and `two` both have target port 80"),
        "{said}"
    );
}

/// With a port of the host.
const PUBLISHED: &str =
    "expose:\n- {targetPort: 8080, hostPort: '${HOSTPORTAUTO1}', clusterPort: 61500}";
/// With none.
const HIDDEN: &str = "expose:\n- {targetPort: 8080, clusterPort: 61500}";

/// A page on a cluster port, and a pod that asks the proxy for it.
fn pages_through_the_proxy(host: &Host, expose: &str) {
    let server =
        "mkdir /www; echo found by its cluster port > /www/page; exec httpd -f -v -p 8080 -h /www";
    let client = "until wget -qO- http://proxy:61500/page; do sleep 0.2; done; exec sleep 600";
    let pod = |text: String| yaml("1.0.0", &format!("containers:\n{text}"));
    host.pod("web", &[("pod.yaml", &pod(shell("client", client, "")))]);
    host.pod(
        "pages",
        &[("pod.yaml", &pod(shell("server", server, expose)))],
    );
    host.pod("proxy", &[]);
    host.start();
    host.wait("proxy:0.1.0", "the proxy to run", |now| now.readiness);
    host.wait_for_line("client", "found by its cluster port");
    // The proxy has sockets inside of the pod, and needs neither a rule of a firewall nor a port forwarder.
    host.until("the server to be asked from inside", || {
        let page = fetch(SocketAddr::new(Network::address(0), 61500), "/page");
        assert_eq!(page.unwrap(), "found by its cluster port\n");
        let said = ["logs", "-d", "none", "server"];
        let said = host.verb("pages:1.0.0", &said).stdout;
        said.lines()
            .any(|line| line.contains("127.0.0.1]:") && line.contains("200"))
    });
}

#[test]
fn a_pod_reaches_another_at_its_cluster_port() {
    let network = Network::new(1).unwrap();
    let work = || pages_through_the_proxy(&Host::at(Network::address(0)), PUBLISHED);
    network.at(0, work).unwrap();
}

#[test]
fn a_cluster_port_needs_no_host_port() {
    let network = Network::new(1).unwrap();
    let work = || {
        let host = Host::at(Network::address(0));
        pages_through_the_proxy(&host, HIDDEN);
        let status = host.wait("pages:1.0.0", "it to run", |now| now.readiness);
        assert_eq!(unit(&status, "server").ports, "");
        assert_eq!(status.host_ports, []);
    };
    network.at(0, work).unwrap();
}

#[test]
fn so_does_a_pod_of_an_ordinary_user() {
    let network = Network::new(1).unwrap();
    let work = || pages_through_the_proxy(&Host::of_a_user_at(Network::address(0)), PUBLISHED);
    network.at(0, work).unwrap();
}

#[test]
fn nor_does_that_of_a_pod_of_an_ordinary_user() {
    let network = Network::new(1).unwrap();
    let work = || pages_through_the_proxy(&Host::of_a_user_at(Network::address(0)), HIDDEN);
    network.at(0, work).unwrap();
}

#[test]
fn a_port_that_is_taken_names_its_holder() {
    let holder = std::net::TcpListener::bind(loopback(0)).unwrap();
    let port = holder.local_addr().unwrap().port();
    let expose = format!(
        "restart: always\nexpose:\n- {{targetPort: 80, hostPort: {port}, hostInterface: 127.0.0.1}}"
    );
    let host = Host::of(&format!("containers:\n{}", sleeper("main", &expose)));
    let status = host.wait_for_reason("web:1.0.0", &port.to_string());
    let process = std::process::id().to_string();
    assert!(status.message.contains(&process), "{}", status.message);
    drop(holder);
    host.wait("web:1.0.0", "it to run", |now| now.readiness);
}

#[test]
fn a_pod_does_not_blame_itself_for_its_ports() {
    let port = free_port().unwrap();
    let keys = format!(
        "restart: always\nlivenessProbe:\n  timeout: 5\n  cmd: ['false']\nexpose:\n- {{targetPort: 80, hostPort: {port}, hostInterface: 127.0.0.1}}"
    );
    let host = Host::of(&format!(
        "containers:\n{}{}",
        // It does not hear that it should end, and so fails.
        shell("main", "sleep 600; true", &keys),
        sleeper("other", "restart: always")
    ));
    let status = host.wait_for_reason("web:1.0.0", "main");
    host.wait("web:1.0.0", "the probe to have failed", |now| {
        now.message.contains("probe")
    });
    let log = host.verb("web:1.0.0", &["logs"]).stdout;
    let told = format!("{} {log}", status.message);
    assert!(!told.contains("is taken by"), "{told}");
}

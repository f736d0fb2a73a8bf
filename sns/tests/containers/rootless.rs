//! An ordinary user with a host home, and the user's own podman: nothing of it is root's.

use std::fs;
use std::os::unix::fs::MetadataExt;

use testkit::{fetch, free_port};

use super::host::{Host, IMAGE, loopback, shell, unit, yaml};

fn owner_of(pid: u32) -> u32 {
    fs::metadata(format!("/proc/{pid}")).unwrap().uid()
}

#[test]
fn a_pod_of_an_ordinary_user() {
    let port = free_port().unwrap();
    let probe = "readinessProbe:\n  timeout: 60\n  http: {port: 8080, path: /page}";
    let expose =
        format!("expose:\n- {{targetPort: 8080, hostPort: {port}, hostInterface: 127.0.0.1}}");
    let server = "mkdir /www; cp /conf/page /www; exec httpd -f -p 8080 -h /www";
    let client = "until wget -qO- http://127.0.0.1:8080/page; do sleep 0.1; done; echo 1 >> /data/starts; cat /data/starts; exec sleep 600";
    let mounts =
        "restart: always\nmounts:\n- {volume: conf, dest: /conf}\n- {volume: data, dest: /data}";
    let sections = format!(
        "volumes:\n- {{name: conf, type: config}}\n- {{name: data, type: volume}}\ncontainers:\n{}{}",
        shell("server", server, &format!("{mounts}\n{probe}\n{expose}")),
        shell("client", client, mounts)
    );
    assert!(sections.contains(IMAGE));
    let host = Host::of_a_user();
    let files = [
        ("pod.yaml", &*yaml("1.0.0", &sections)),
        ("config/conf/page", "of an ordinary user\n"),
    ];
    host.pod("web", &files);
    host.start();
    let before = host.wait("web:1.0.0", "it to be ready", |now| now.readiness);
    host.wait_for_line("client", "of an ordinary user");
    assert_eq!(
        fetch(loopback(port), "/page").unwrap(),
        "of an ordinary user\n"
    );
    // Root inside, and the user outside.
    for name in ["server", "client"] {
        assert_eq!(owner_of(unit(&before, name).pid.unwrap()), host.owner());
    }
    assert_eq!(host.exec("client", &["id", "-u"]), "0\n");
    // The next daemon finds it.
    host.end();
    host.start();
    let after = host.wait("web:1.0.0", "the next daemon to know it", |now| {
        now.readiness && now.pid == Some(host.id())
    });
    assert_eq!(unit(&before, "client").pid, unit(&after, "client").pid);
    host.bench.ok(&["pod", "rerun", "web", "client"]);
    host.wait_for_line("client", "1\n1\n");
    host.state("web", "removed");
    host.wait("web:1.0.0", "it to be removed", |now| {
        now.status == hostfiles::PodPhase::Removed
    });
    assert_eq!((host.pods(), host.containers()), (vec![], vec![]));
    assert_eq!(host.volumes().len(), 1);
}

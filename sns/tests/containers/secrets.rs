//! Encrypted configs in containers: plain there, in memory on the host, and nowhere else.

use std::fs;

use super::host::{Host, file, shell, yaml};

fn set(host: &Host, secret: &str) {
    let from = format!("--from-file={}", file(host, "secret", secret));
    host.bench
        .ok(&["secret", "set", "web/keys/db", from.as_str()]);
}

/// A container that says what it sees, at its start and when it is told of a change.
fn pod() -> String {
    let script = "trap 'cat /keys/db' HUP; cat /keys/db; while :; do sleep 600 & wait $!; done";
    let keys = "restart: always\nsignal:\n- sig: HUP\nmounts:\n- {volume: keys, dest: /keys}";
    let volumes = "volumes:\n- {name: keys, type: config, encrypted: true}";
    yaml(
        "1.0.0",
        &format!("{volumes}\ncontainers:\n{}", shell("main", script, keys)),
    )
}

fn a_secret_reaches_its_container(host: &Host) {
    host.bench.ok(&["secret", "keygen"]);
    host.bench.ok(&["secret", "operator", "add", "anna"]);
    host.bench.attach("web", "laptop", &[("pod.yaml", &pod())]);
    set(host, "correct horse\n");
    host.compile("web");
    host.start();
    host.wait_for_line("main", "correct horse");
    let refused = ["exec", "-c", "main", "--", "touch", "/keys/db"];
    assert_ne!(host.verb("web:1.0.0", &refused).code, 0, "it is read-only");
    // The container is told of another one, and goes on.
    set(host, "battery staple\n");
    host.bench.ok(&["pod", "updateconfig", "web"]);
    host.sync();
    host.wait_for_line("main", "battery staple");
    let sealed = fs::read_to_string(host.release("web:1.0.0").join("config/keys/db")).unwrap();
    assert!(
        sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"),
        "{sealed}"
    );
    let place = host.release("web:1.0.0").join("ramdisk/keys");
    assert_eq!(
        fs::read_to_string(place.join("db")).unwrap(),
        "battery staple\n"
    );
    host.state("web", "removed");
    host.until("the plain text to be gone", || !place.exists());
}

#[test]
fn a_secret_of_root() {
    a_secret_reaches_its_container(&Host::new());
}

#[test]
fn a_secret_of_an_ordinary_user() {
    a_secret_reaches_its_container(&Host::of_a_user());
}

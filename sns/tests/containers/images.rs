//! Where images come from: a registry, with and without a login, and what is said when there is none.

use testkit::Registry;

use super::host::{Host, IMAGE, is_running, sleeper, starts, unit, yaml};

fn pod(image: &str) -> String {
    let text = sleeper("main", "restart: always").replace(IMAGE, image);
    yaml("1.0.0", &format!("containers:\n{text}"))
}

/// A host that has nothing, and a registry that has this image.
fn host_and(registry: &Registry) -> (Host, String) {
    let host = Host::new();
    host.podman.trust(registry).unwrap();
    let name = registry.push(&host.podman, IMAGE, "team/app:1").unwrap();
    host.podman.run(&["rmi", "--force", IMAGE]).unwrap();
    (host, name)
}

#[test]
fn an_image_that_does_not_exist_is_told_in_one_line_and_harms_nobody() {
    let registry = Registry::new().unwrap();
    let host = Host::new();
    host.podman.trust(&registry).unwrap();
    let missing = format!("{}/no/such:1", registry.address());
    host.pod("web", &[("pod.yaml", &pod(&missing))]);
    host.pod("neighbour", &[("pod.yaml", &pod(IMAGE))]);
    host.start();
    host.wait("neighbour:1.0.0", "the neighbour to run", |now| {
        now.readiness
    });
    let status = host.wait_for_reason("web:1.0.0", &missing);
    let ps = host.bench.ok(&["cluster", "ps"]);
    assert!(ps.contains(&missing), "{ps}");
    assert!(!is_running(&status) && host.containers().len() == 1);
    // It is tried again, and comes when the image does.
    registry.push(&host.podman, IMAGE, "no/such:1").unwrap();
    host.wait("web:1.0.0", "it to run", |now| now.readiness);
}

#[test]
fn an_image_is_pulled_when_it_is_not_there() {
    let registry = Registry::new().unwrap();
    let (host, name) = host_and(&registry);
    host.pod("web", &[("pod.yaml", &pod(&name))]);
    host.start();
    let status = host.wait("web:1.0.0", "it to run", |now| now.readiness);
    assert_eq!(unit(&status, "main").image, name);
}

#[test]
fn a_pull_tells_how_it_gets_on() {
    let host = Host::new();
    host.podman.run(&["rmi", "--force", IMAGE]).unwrap();
    let slow = "case $1 in pull) echo 'Copying blob 1 of 2' >&2; exec sleep 600;; esac";
    host.podman.intercept(slow).unwrap();
    host.pod("web", &[("pod.yaml", &pod(IMAGE))]);
    host.start();
    host.wait_for_reason("web:1.0.0", "Copying blob 1 of 2");
    // Whoever has changed their mind does not wait for it.
    host.state("web", "stopped");
    host.wait("web:1.0.0", "it to be given up", |now| {
        now.status == hostfiles::PodPhase::Exited
    });
    host.podman.intercept("").unwrap();
}

#[test]
fn an_image_is_pinned_by_its_digest() {
    let registry = Registry::new().unwrap();
    let (host, name) = host_and(&registry);
    host.podman.run(&["pull", "--quiet", &name]).unwrap();
    let digest = host
        .podman
        .run(&["image", "inspect", "--format", "{{.Digest}}", &name]);
    let digest = digest.unwrap().trim().to_owned();
    host.podman.run(&["rmi", "--force", &name]).unwrap();
    let pinned = format!("{}@{digest}", name.trim_end_matches(":1"));
    host.pod("web", &[("pod.yaml", &pod(&pinned))]);
    host.start();
    host.wait("web:1.0.0", "it to run", |now| now.readiness);
}

#[test]
fn a_registry_that_wants_a_login() {
    let registry = Registry::with_login().unwrap();
    let (host, name) = host_and(&registry);
    host.pod("web", &[("pod.yaml", &pod(&name))]);
    host.start();
    host.wait_for_reason("web:1.0.0", "authentication required");
    registry.log_in(&host.podman).unwrap();
    host.wait("web:1.0.0", "it to run", |now| now.readiness);
}

#[test]
fn download_again_brings_what_has_changed() {
    let registry = Registry::new().unwrap();
    let (host, name) = host_and(&registry);
    host.pod("web", &[("pod.yaml", &pod(&name))]);
    host.start();
    host.wait("web:1.0.0", "it to run", |now| now.readiness);
    let id = || {
        let ids = host
            .podman
            .words(&["image", "inspect", "--format", "{{.Id}}", &name]);
        ids.unwrap()
    };
    let first = id();
    host.podman
        .image("localhost/new:1", &["LABEL new=1"])
        .unwrap();
    registry
        .push(&host.podman, "localhost/new:1", "team/app:1")
        .unwrap();
    let quiet = host.verb("web:1.0.0", &["download"]);
    assert_eq!((quiet.code, id()), (0, first.clone()), "{quiet}");
    let forced = host.verb("web:1.0.0", &["download", "-f"]);
    assert_eq!(forced.code, 0, "{forced}");
    assert_ne!(id(), first);
    // What runs goes on with the old one until it is run again.
    assert_eq!(starts(&host.status("web:1.0.0").unwrap(), "main"), 1);
    host.bench.ok(&["pod", "rerun", "web", "main"]);
    let image = host.podman.run(&[
        "inspect",
        "--format",
        "{{.Image}}",
        &host.containers().join(" "),
    ]);
    assert_eq!(image.unwrap().trim(), id().join(" "));
}

//! The plan, as tables: what is wanted, what is present, what a person reads.
//!
//! A tree is written in words: `hosts=1`, `plugins=1`, `p-1.0.0.wasm=1`, and for a release
//! `web:1.0.0=running,pod1,conf=1,routes=1,inactive=1`.

use simplenetes_sync::plan::{Options, plan};
use simplenetes_sync::{Config, Digest, Mark, Release, Tree};

fn tree(words: &str) -> Tree {
    let mut tree = Tree::default();
    for word in words.split_whitespace() {
        let (name, value) = word.split_once('=').unwrap();
        let digest = Digest::of(value.as_bytes());
        match name {
            "hosts" => tree.hosts_conf = Some(digest),
            "ports" => tree.cluster_ports_conf = Some(digest),
            "peers" => tree.peers_conf = Some(digest),
            "plugins" => tree.plugins_yaml = Some(digest),
            _ if name.ends_with(".wasm") => drop(tree.plugins.insert(name.to_owned(), digest)),
            _ => drop(tree.releases.insert(name.parse().unwrap(), release(value))),
        }
    }
    tree
}

fn release(words: &str) -> Release {
    let mut release = Release::default();
    for word in words.split(',') {
        let digest = Digest::of(word.as_bytes());
        match word.split_once('=') {
            Some(("routes", _)) => release.routes = Some(digest),
            Some(("inactive", _)) => release.routes_inactive = Some(digest),
            Some((name, _)) => {
                let mark = Mark {
                    digest,
                    executable: false,
                };
                let config = Config {
                    files: [("file".to_owned(), mark)].into(),
                };
                release.configs.insert(name.parse().unwrap(), config);
            }
            None if word.starts_with("pod") => release.pod = Some(digest),
            None if word.starts_with("ports") => release.portmappings = Some(digest),
            None if word == "-" => {}
            None => release.state = Some(word.parse().unwrap()),
        }
    }
    release
}

#[test]
fn only_the_pods_that_are_meant_change() {
    let (wanted, present) = ("web:1.0.0=running", "api:1.0.0=running");
    let options = Options {
        pods: Some(["web".parse().unwrap()].into()),
        ..Options::default()
    };
    let plan = plan(&tree(wanted), &tree(present), &options);
    assert_eq!(plan.to_string(), "+ web:1.0.0 running\n");
}

fn check(wanted: &str, present: &str, expected: &[&str]) {
    check_overwriting("", wanted, present, expected);
}

fn check_overwriting(overwrite: &str, wanted: &str, present: &str, expected: &[&str]) {
    let options = Options {
        overwrite: overwrite
            .split_whitespace()
            .map(|id| id.parse().unwrap())
            .collect(),
        pods: None,
    };
    let plan = plan(&tree(wanted), &tree(present), &options);
    let lines: Vec<String> = plan.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines, expected, "wanted {wanted}\npresent {present}");
}

#[test]
fn nothing_to_do() {
    check("", "", &[]);
    let all = "hosts=1 plugins=1 p-1.0.0.wasm=1 web:1.0.0=running,pod1,ports1,conf=1,routes=1";
    check(all, all, &[]);
}

#[test]
fn files_of_the_host() {
    check("hosts=2", "hosts=1", &["~ hosts.conf"]);
    check("ports=2", "ports=1", &["~ clusterports.conf"]);
    check("ports=1", "", &["~ clusterports.conf"]);
    check("peers=2", "peers=1", &["~ peers.conf"]);
    check("", "peers=1", &["- peers.conf"]);
    check("", "ports=1", &[]);
    check("plugins=1", "", &["~ plugins.yaml"]);
    check("", "plugins=1", &["- plugins.yaml"]);
    check(
        "p-1.0.0.wasm=1",
        "",
        &["+ plugin p-1.0.0.wasm (sha256 6b86b273ff34)"],
    );
    check(
        "p-1.0.0.wasm=1",
        "p-1.0.0.wasm=2",
        &["+ plugin p-1.0.0.wasm (sha256 6b86b273ff34)"],
    );
    // A plugin that nobody names any more stays: running pods may need it until the new one is accepted.
    check("", "p-1.0.0.wasm=1", &[]);
}

#[test]
fn releases_come_and_go() {
    check(
        "web:1.0.0=running,pod1,conf=1",
        "",
        &["+ web:1.0.0 running"],
    );
    check("web:1.0.0=stopped,pod1", "", &["+ web:1.0.0 stopped"]);
    check("web:1.0.0=removed,pod1", "", &[]);
    check("web:1.0.0=pod1", "", &[]);
    check(
        "",
        "web:1.0.0=running,pod1",
        &["- web:1.0.0 running -> removed (not in the project)"],
    );
    check(
        "",
        "web:1.0.0=stopped,pod1",
        &["- web:1.0.0 stopped -> removed (not in the project)"],
    );
    check("", "web:1.0.0=removed,pod1", &[]);
    check(
        "",
        "web:1.0.0=-",
        &["- web:1.0.0 unknown -> removed (not in the project)"],
    );
}

#[test]
fn states_change() {
    check(
        "web:1.0.0=stopped,pod1",
        "web:1.0.0=running,pod1",
        &["~ web:1.0.0 running -> stopped"],
    );
    check(
        "web:1.0.0=removed,pod1",
        "web:1.0.0=running,pod1",
        &["- web:1.0.0 running -> removed"],
    );
    check(
        "web:1.0.0=pod1",
        "web:1.0.0=running,pod1",
        &["- web:1.0.0 running -> removed"],
    );
    check(
        "web:1.0.0=running,pod1",
        "web:1.0.0=pod1",
        &["~ web:1.0.0 unknown -> running"],
    );
}

#[test]
fn a_pod_that_was_delivered_changes_only_when_it_is_named() {
    let held =
        "! web:1.0.0 pod differs and is not sent: give it a new version, or overwrite it by name";
    let (wanted, present) = ("web:1.0.0=running,pod2", "web:1.0.0=running,pod1");
    check(wanted, present, &[held]);
    check_overwriting("web:1.0.1 api:1.0.0", wanted, present, &[held]);
    check_overwriting("web:1.0.0", wanted, present, &["~ web:1.0.0 pod"]);
    check(
        "web:1.0.0=running,pod1,ports2",
        "web:1.0.0=running,pod1,ports1",
        &[held],
    );
    // A host that never got it whole gets it.
    check(wanted, "web:1.0.0=running", &["~ web:1.0.0 pod"]);
}

#[test]
fn a_version_that_was_removed_comes_back_as_the_project_has_it() {
    let wanted = "web:1.0.0=running,pod2,ports2";
    check(
        wanted,
        "web:1.0.0=removed,pod1,ports1",
        &["~ web:1.0.0 pod", "~ web:1.0.0 removed -> running"],
    );
    check(
        wanted,
        "web:1.0.0=pod1,ports1",
        &["~ web:1.0.0 pod", "~ web:1.0.0 unknown -> running"],
    );
    // What stays or becomes removed needs no new pod, and nothing is missing that could be held back.
    check("web:1.0.0=removed,pod2", "web:1.0.0=removed,pod1", &[]);
    check("web:1.0.0=removed", "web:1.0.0=removed,pod1", &[]);
    check(
        "web:1.0.0=removed,pod2",
        "web:1.0.0=running,pod1",
        &["- web:1.0.0 running -> removed"],
    );
}

#[test]
fn configs_and_routes_change() {
    check(
        "web:1.0.0=running,a=2,b=1",
        "web:1.0.0=running,a=1,b=1",
        &["~ web:1.0.0 config a"],
    );
    check(
        "web:1.0.0=running,a=1",
        "web:1.0.0=running",
        &["~ web:1.0.0 config a"],
    );
    check("web:1.0.0=running", "web:1.0.0=running,a=1", &[]);
    check(
        "web:1.0.0=running,inactive=1",
        "web:1.0.0=running,routes=1",
        &["~ web:1.0.0 routes, inactive"],
    );
    check(
        "web:1.0.0=running,routes=1",
        "web:1.0.0=running,inactive=1",
        &["~ web:1.0.0 routes, active"],
    );
    check(
        "web:1.0.0=running",
        "web:1.0.0=running,routes=1",
        &["- web:1.0.0 routes"],
    );
}

#[test]
fn the_order_depends_on_names_alone() {
    check(
        "web:1.0.0=stopped,pod1,a=2 api:1.0.0=running,pod1 web:1.10.0=running,pod1 plugins=2 p-1.0.0.wasm=1 hosts=2",
        "web:1.0.0=running,pod1,a=1 old:1.0.0=running,pod1",
        &[
            "~ hosts.conf",
            "+ plugin p-1.0.0.wasm (sha256 6b86b273ff34)",
            "~ plugins.yaml",
            "+ api:1.0.0 running",
            "- old:1.0.0 running -> removed (not in the project)",
            "~ web:1.0.0 config a",
            "~ web:1.0.0 running -> stopped",
            "+ web:1.10.0 running",
        ],
    );
}

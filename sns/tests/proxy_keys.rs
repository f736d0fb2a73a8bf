//! The keys by which proxies know each other: made by `sns`, carried by a sync, changed without a gap.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::bench::Bench;

/// Two hosts that have proxies.
fn bench() -> Bench {
    let bench = Bench::with_native_host();
    bench.add_host("worker", "127.0.0.2:32767");
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    bench
}

/// The public keys that a host has in the project.
fn public(bench: &Bench, host: &str) -> Vec<String> {
    let text = bench.read(&format!("{host}/proxy-keys.txt"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// What the other host knows of a host.
fn known(bench: &Bench, at: &str, address: &str) -> Vec<String> {
    let peers = bench.read_home(at, "peers.conf");
    let line = peers.lines().find(|line| line.starts_with(address));
    let words = line.unwrap().split(' ').skip(1);
    words.map(str::to_owned).collect()
}

#[test]
fn every_host_gets_a_key_and_knows_those_of_the_others() {
    let bench = bench();
    let key = bench.cluster.host_home("worker").join("proxy-key.txt");
    let mode = fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let secret = fs::read_to_string(&key).unwrap();
    let secret = secret.lines().last().unwrap();
    for host in ["laptop", "worker"] {
        assert_eq!(
            known(&bench, host, "127.0.0.2:32767"),
            public(&bench, "worker")
        );
        assert_eq!(public(&bench, host).len(), 1);
        assert!(!bench.read_home(host, "peers.conf").contains(secret));
    }
    assert_ne!(public(&bench, "laptop"), public(&bench, "worker"));
    // Nothing changes when it is done once more.
    let before = public(&bench, "worker");
    bench.ok(&["host", "init", "worker"]);
    assert_eq!(public(&bench, "worker"), before);
    assert_eq!(bench.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_new_key_is_known_beside_the_former_one_until_that_is_forgotten() {
    let bench = bench();
    let former = public(&bench, "worker");
    bench.ok(&["host", "rekey", "worker", "--proxy"]);
    let both = public(&bench, "worker");
    assert_eq!((both.len(), &both[1]), (2, &former[0]));
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    assert_eq!(known(&bench, "laptop", "127.0.0.2:32767"), both);
    bench.ok(&["host", "rekey", "worker", "--proxy", "--forget"]);
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    assert_eq!(known(&bench, "laptop", "127.0.0.2:32767"), both[..1]);
    assert!(
        !bench
            .read_home("worker", "proxy-key.txt")
            .contains(&former[0])
    );
    let once_more = bench.ok(&["host", "rekey", "worker", "--proxy", "--forget"]);
    assert!(!once_more.contains("newest key only"), "{once_more}");
}

#[test]
fn a_damaged_file_of_keys_is_refused_and_not_shown() {
    let bench = bench();
    bench.write_home("worker", "proxy-key.txt", "secret words\n");
    let path = bench.cluster.host_home("worker").join("proxy-key.txt");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let said = bench.run(&["host", "init", "worker"]).stderr;
    assert!(said.contains("is no file of keys of a proxy"), "{said}");
    assert!(!said.contains("secret words"), "{said}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let said = bench.run(&["host", "rekey", "worker", "--proxy"]);
    assert_ne!(said.code, 0);
    let said = said.stderr;
    assert!(said.contains("can be read by others"), "{said}");
}

#[test]
fn two_versions_of_the_proxy_pod_cannot_both_run() {
    let bench = Bench::with_native_host();
    let pod = include_str!("../../pods/proxy/pod.yaml");
    let conf = include_str!("../../pods/proxy/config/conf/proxy.conf");
    let files = [("pod.yaml", pod), ("config/conf/proxy.conf", conf)];
    bench.attach("proxy", "laptop", &files);
    bench.ok(&["pod", "compile", "proxy"]);
    let next = pod.replace("podVersion: 0.1.0", "podVersion: 0.2.0");
    bench.change_pod("proxy", "pod.yaml", &next);
    bench.ok(&["pod", "compile", "proxy"]);
    bench.commit();
    let refused = bench.run(&["cluster", "sync"]);
    assert_eq!(refused.code, 3, "{refused}");
    for part in ["proxy:0.1.0", "proxy:0.2.0", "32767", "a hard release"] {
        assert!(refused.stderr.contains(part), "{part}: {refused}");
    }
    bench.ok(&["pod", "state", "proxy:0.1.0", "-s", "removed"]);
    bench.commit();
    bench.ok(&["cluster", "sync"]);
}

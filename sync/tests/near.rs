//! What the near end reads, and which projects it refuses.

use std::collections::BTreeMap;
use std::fs;

use hostfiles::{HostState, PeerKey, Routers};
use names::HostName;
use simplenetes_sync::near::{Near, peers, routers};
use simplenetes_sync::{Config, Digest};

use crate::world::{World, host, write};

fn refusal(world: &World) -> String {
    use std::error::Error;
    let error = Near::new(world.project.clone())
        .wanted(&host(), &Routers::default())
        .unwrap_err();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text.replace(&world.directory.path().display().to_string(), "…")
}

fn check(prepare: impl FnOnce(&World), expected: &str) {
    let world = World::new();
    world.add("web:1.0.0", "running", "a");
    prepare(&world);
    let refusal = refusal(&world);
    assert!(
        refusal.starts_with(expected),
        "{refusal}\n  should begin with: {expected}"
    );
}

#[test]
fn what_cannot_be_carried_whole_is_refused() {
    check(
        |world| fs::remove_file(world.release("web:1.0.0").pod()).unwrap(),
        "…/project/h1/pods/web/release/1.0.0/pod is missing, so web:1.0.0 was never compiled to its end",
    );
    check(
        |world| write(&world.release("web:1.0.0").state(), "runing\n", 0o644),
        "the project has a file that the host would refuse: cannot understand …/project/h1/pods/web/release/1.0.0/pod.state: pod.state: found `runing`",
    );
    check(
        |world| write(&world.release("web:1.0.0").portmappings(), "61000\n", 0o644),
        "the project has a file that the host would refuse: cannot understand …/project/h1/pods/web/release/1.0.0/pod.portmappings.conf: portmappings.conf, line 1",
    );
    check(
        |world| {
            std::os::unix::fs::symlink(
                "/etc/passwd",
                world.release("web:1.0.0").path().join("config/conf/x"),
            )
            .unwrap();
        },
        "a config of web:1.0.0 cannot be carried: …/project/h1/pods/web/release/1.0.0/config/conf/x cannot be part of a config: it is neither",
    );
    check(
        |world| {
            write(
                &world.release("web:1.0.0").path().join("config/conf/..data"),
                "x",
                0o644,
            );
        },
        "a config of web:1.0.0 cannot be carried: …/project/h1/pods/web/release/1.0.0/config/conf/..data cannot be part",
    );
    check(
        |world| {
            write(
                &world.release("web:1.0.0").path().join("config/Conf/x"),
                "x",
                0o644,
            );
        },
        "…/project/h1/pods/web/release/1.0.0/config/Conf is no name of a config",
    );
}

#[test]
fn plugins_must_be_what_was_granted() {
    let yaml =
        |digest: &str| format!("plugins:\n- name: p\n  version: 1.0.0\n  digest: {digest}\n");
    let granted = Digest::of(b"component").to_string();
    let found = Digest::of(b"other").to_string();
    let plugins = |world: &World| {
        write(
            &world.project.host(&host()).plugins_yaml(),
            &yaml(&granted),
            0o644,
        );
    };
    check(
        plugins,
        "plugins.yaml of host h1 names plugin p, but …/project/_plugins/p-1.0.0.wasm is missing",
    );
    check(
        |world| {
            plugins(world);
            write(
                &world.project.plugins_dir().join("p-1.0.0.wasm"),
                "other",
                0o644,
            );
        },
        &format!(
            "…/project/_plugins/p-1.0.0.wasm has the digest {found}, but plugins.yaml of host h1 grants {granted}"
        ),
    );

    let world = World::new();
    plugins(&world);
    write(
        &world.project.plugins_dir().join("p-1.0.0.wasm"),
        "component",
        0o644,
    );
    assert_eq!(world.sync().steps.len(), 4);
    assert_eq!(
        fs::read(world.home.plugins_dir().join("p-1.0.0.wasm")).unwrap(),
        b"component"
    );
}

#[test]
fn a_removed_release_needs_no_pod() {
    let world = World::new();
    write(&world.release("web:1.0.0").state(), "removed\n", 0o644);
    assert_eq!(world.wanted().tree.releases.len(), 1);
}

#[test]
fn the_checksum_is_what_sha256sum_says() {
    let world = World::new();
    let release = world.add("web:1.0.0", "running", "abc");
    let config = Config::read(&release.path().join("config/conf")).unwrap();
    // find . -type f -exec sha256sum {} + | LC_ALL=C sort | sha256sum
    let lines = "aaa9402664f1a41f40ebbc52c9993eb66aeb366602958fdfaa283b71e64db123  ./.hidden\n\
                 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  ./main.cfg\n\
                 e3b98a4da31a127d4bde6e43033f66ba274cab0eb7eb1c70ec41402bf6273dd8  ./bin/tool\n";
    assert_eq!(
        config.checksum().as_str(),
        Digest::of(lines.as_bytes()).to_string()
    );
}

#[test]
fn routers_have_the_own_address_first_and_only_active_hosts_besides() {
    let host = |name: &str, state, address: Option<&str>| {
        (
            name.parse().unwrap(),
            state,
            address.map(|address| address.parse().unwrap()),
        )
    };
    let hosts = [
        host("a", HostState::Active, Some("10.0.0.1:1")),
        host("b", HostState::Inactive, Some("10.0.0.2:1")),
        host("c", HostState::Active, Some("10.0.0.3:1")),
        host("d", HostState::Active, None),
    ];
    let check = |own: &str, expected: &[&str]| {
        let found: Vec<String> = routers(&own.parse().unwrap(), &hosts)
            .0
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, expected, "of {own}");
    };
    check("a", &["10.0.0.1:1", "10.0.0.3:1"]);
    check("c", &["10.0.0.3:1", "10.0.0.1:1"]);
    check("b", &["10.0.0.2:1", "10.0.0.1:1", "10.0.0.3:1"]);
    check("d", &[]);
}

#[test]
fn peers_are_all_hosts_that_take_part_and_have_keys() {
    let key = |byte| PeerKey::new([byte; 32]);
    let host = |name: &str, state, address: Option<&str>| {
        let address = address.map(|address| address.parse().unwrap());
        (name.parse::<HostName>().unwrap(), state, address)
    };
    let hosts = [
        host("a", HostState::Active, Some("10.0.0.1:1")),
        host("b", HostState::Inactive, Some("10.0.0.2:1")),
        host("c", HostState::Disabled, Some("10.0.0.3:1")),
        host("d", HostState::Active, None),
        host("e", HostState::Active, Some("10.0.0.5:1")),
    ];
    let keys = ["a", "b", "c", "d"].into_iter().zip(1..);
    let mut keys: BTreeMap<HostName, Vec<PeerKey>> = keys
        .map(|(name, byte)| (name.parse().unwrap(), vec![key(byte)]))
        .collect();
    keys.insert("e".parse().unwrap(), Vec::new());
    let check = |own: &str, expected: &[&str]| {
        let found = peers(&own.parse().unwrap(), &hosts, &keys);
        let found: Vec<String> = found
            .0
            .iter()
            .map(|peer| peer.address.to_string())
            .collect();
        assert_eq!(found, expected, "of {own}");
    };
    check("a", &["10.0.0.1:1", "10.0.0.2:1"]);
    check("b", &["10.0.0.2:1", "10.0.0.1:1"]);
    // Without an address or a key of its own it is believed by nobody.
    check("d", &[]);
    check("e", &[]);
}

/// Puts a link in the place of what the project has.
#[expect(
    clippy::disallowed_methods,
    reason = "the input of a test is moved before anybody reads it"
)]
fn to_link(path: &std::path::Path) {
    let target = path.with_file_name("elsewhere");
    if path.exists() {
        fs::rename(path, &target).unwrap();
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&target, path).unwrap();
}

#[test]
fn no_link_of_a_project_is_followed() {
    type Place = fn(&World) -> std::path::PathBuf;
    let places: [Place; 11] = [
        |world| world.release("web:1.0.0").pod(),
        |world| world.release("web:1.0.0").state(),
        |world| world.release("web:1.0.0").portmappings(),
        |world| world.release("web:1.0.0").ingress(),
        |world| world.release("web:1.0.0").ingress_inactive(),
        |world| world.release("web:1.0.0").configs_dir(),
        |world| world.release("web:1.0.0").path().join("config/conf"),
        |world| world.release("web:1.0.0").path().to_owned(),
        |world| world.project.host(&host()).pods_dir().join("web"),
        |world| world.project.host(&host()).pods_dir(),
        |world| world.project.host(&host()).plugins_yaml(),
    ];
    for place in places {
        let world = World::new();
        world.add("web:1.0.0", "running", "a");
        let path = place(&world);
        to_link(&path);
        let refusal = refusal(&world);
        assert!(
            refusal.contains("is a symbolic link, and a sync follows none in the project"),
            "{}: {refusal}",
            path.display()
        );
    }
}

#[test]
fn a_component_that_is_a_link_or_no_file_is_refused() {
    for kind in ["link", "directory"] {
        let world = World::new();
        let component = world.project.plugins_dir().join("p-1.0.0.wasm");
        let digest = Digest::of(b"component");
        write(
            &world.project.host(&host()).plugins_yaml(),
            &format!(
                "plugins:\n- name: p\n  version: 1.0.0\n  digest: {digest}\n  source: here\n  grants: {{}}\n"
            ),
            0o644,
        );
        write(&component.with_file_name("elsewhere"), "component", 0o644);
        match kind {
            "link" => std::os::unix::fs::symlink("elsewhere", &component).unwrap(),
            _ => fs::create_dir(&component).unwrap(),
        }
        let refusal = refusal(&world);
        let expected = ["is a symbolic link", "is no regular file"][usize::from(kind != "link")];
        assert!(refusal.contains(expected), "{refusal}");
    }
}

#[test]
fn a_file_without_an_end_in_sight_is_not_read() {
    let world = World::new();
    let pod = world.add("web:1.0.0", "running", "a").pod();
    // It has a length and no contents.
    let sparse = fs::File::options().write(true).open(&pod).unwrap();
    sparse.set_len(1 << 40).unwrap();
    assert!(refusal(&world).contains("is larger than 4 GiB"));
    let world = World::new();
    let release = world.add("web:1.0.0", "running", "a");
    let config = fs::File::create(release.path().join("config/conf/huge")).unwrap();
    config.set_len(1 << 40).unwrap();
    assert!(refusal(&world).contains("config/conf/huge: file too large"));
}

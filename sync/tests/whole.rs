//! A sync from end to end: what lies on the host afterwards, what stays, and who is refused.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use simplenetes_sync::far::{FarError, Recovered, Takeover, init};
use simplenetes_sync::{Far, Options, journal_open, recover};

use crate::world::{AtHand, World, at, cluster, holder, tamper, write};

#[test]
fn a_release_arrives_whole_and_a_second_sync_has_nothing_to_do() {
    let world = World::new();
    let source = world.add("web:1.0.0", "running", "one");
    write(&source.source(), "api: 1\n", 0o644);
    write(
        &source.ingress(),
        "bind 80\nprotocol http\nclusterport 61000\n",
        0o644,
    );
    write(&source.path().join("config/_devconf/x"), "stays", 0o644);
    write(&source.path().join("config/loose"), "stays", 0o644);
    assert_eq!(
        world.sync().to_string(),
        "~ hosts.conf\n~ clusterports.conf\n+ web:1.0.0 running\n"
    );

    let release = world.on_host("web:1.0.0");
    let config = release.config(&"conf".parse().unwrap());
    assert_eq!(fs::read_to_string(release.state()).unwrap(), "running\n");
    assert_eq!(
        fs::metadata(release.pod()).unwrap().permissions().mode() & 0o777,
        0o755
    );
    assert_eq!(
        fs::read_to_string(release.portmappings()).unwrap(),
        "61000:30000:4096:false\n"
    );
    assert!(release.ingress().is_file() && !release.source().exists());
    assert_eq!(fs::read_to_string(config.join("main.cfg")).unwrap(), "one");
    assert_eq!(fs::read_to_string(config.join(".hidden")).unwrap(), "h");
    assert_eq!(
        fs::metadata(config.join("bin/tool"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o755
    );
    assert!(
        !release.path().join("config/_devconf").exists()
            && !release.path().join("config/loose").exists()
    );
    assert_eq!(
        fs::read_to_string(world.home.hosts_conf()).unwrap(),
        "127.0.0.1:32767\n"
    );
    assert_eq!(
        fs::read_to_string(world.home.commit_chain()).unwrap(),
        "aaaaaaa bbbbbbb\n"
    );
    assert!(!world.home.sync_dir().join("stage").exists() && !journal_open(&world.home));

    let before = world.snapshot();
    assert!(world.sync().is_empty());
    assert_eq!(world.snapshot(), before);
}

#[test]
fn a_config_changes_at_once_and_its_mounted_directory_stays() {
    let world = World::new();
    let source = world.add("web:1.0.0", "running", "one");
    world.sync();
    let config = world.on_host("web:1.0.0").config(&"conf".parse().unwrap());
    let inode = fs::metadata(&config).unwrap().ino();
    let former = fs::read_link(config.join("..data")).unwrap();

    write(&source.path().join("config/conf/main.cfg"), "two", 0o644);
    write(&source.path().join("config/conf/new.cfg"), "new", 0o644);
    fs::remove_file(source.path().join("config/conf/.hidden")).unwrap();
    assert_eq!(world.sync().to_string(), "~ web:1.0.0 config conf\n");

    assert_eq!(fs::metadata(&config).unwrap().ino(), inode);
    assert_eq!(fs::read_to_string(config.join("main.cfg")).unwrap(), "two");
    assert_eq!(fs::read_to_string(config.join("new.cfg")).unwrap(), "new");
    assert!(config.join(".hidden").symlink_metadata().is_err());
    assert!(!config.join(former).exists());
    assert!(world.sync().is_empty());
}

#[test]
fn the_layout_of_the_original_is_taken_over() {
    let world = World::new();
    world.add("web:1.0.0", "running", "one");
    let release = world.on_host("web:1.0.0");
    for (path, text) in [
        ("pod", "#!/bin/sh\n# web:1.0.0\n"),
        ("config/conf/main.cfg", "old"),
        ("config/conf/bin/tool", "old"),
    ] {
        write(&release.path().join(path), text, 0o755);
    }
    write(&release.path().join("config/conf/gone/deep"), "old", 0o644);
    write(&release.path().join("log/x.log"), "kept", 0o644);
    write(&release.portmappings(), "61000:30000:4096:false\n", 0o644);
    assert_eq!(
        world.sync().to_string(),
        "~ hosts.conf\n~ clusterports.conf\n~ web:1.0.0 config conf\n~ web:1.0.0 unknown -> running\n"
    );
    let config = release.config(&"conf".parse().unwrap());
    assert_eq!(fs::read_to_string(config.join("bin/tool")).unwrap(), "t");
    assert!(!config.join("gone").exists());
    assert_eq!(
        fs::read_to_string(release.log_dir().join("x.log")).unwrap(),
        "kept"
    );
    assert!(world.sync().is_empty());
}

#[test]
fn files_that_were_tampered_with_are_put_right() {
    let world = World::new();
    world.add("web:1.0.0", "running", "one");
    world.sync();
    let release = world.on_host("web:1.0.0");
    let config = release.config(&"conf".parse().unwrap());
    let before = world.snapshot();
    tamper(&config.join("main.cfg"), "tampered");
    fs::remove_file(release.state()).unwrap();
    fs::remove_file(release.pod()).unwrap();
    assert_eq!(world.sync().steps.len(), 3);
    assert_eq!(fs::read_to_string(config.join("main.cfg")).unwrap(), "one");
    assert!(world.sync().is_empty());
    assert_eq!(world.snapshot().len(), before.len());
}

#[test]
fn routes_and_overwritten_pods() {
    let world = World::new();
    let source = world.add("web:1.0.0", "running", "one");
    write(
        &source.ingress(),
        "bind 80\nprotocol http\nclusterport 61000\n",
        0o644,
    );
    world.sync();
    let release = world.on_host("web:1.0.0");

    write(
        &source.ingress_inactive(),
        "bind 80\nprotocol http\nclusterport 61000\n",
        0o644,
    );
    fs::remove_file(source.ingress()).unwrap();
    assert_eq!(world.sync().to_string(), "~ web:1.0.0 routes, inactive\n");
    assert!(!release.ingress().exists() && release.ingress_inactive().exists());

    write(&source.pod(), "#!/bin/sh\n# changed\n", 0o755);
    assert_eq!(world.sync().held_back.len(), 1);
    assert!(
        !fs::read_to_string(release.pod())
            .unwrap()
            .contains("changed")
    );
    let options = Options {
        overwrite: ["web:1.0.0".parse().unwrap()].into(),
        pods: None,
    };
    assert_eq!(world.sync_with(&options).to_string(), "~ web:1.0.0 pod\n");
    assert!(
        fs::read_to_string(release.pod())
            .unwrap()
            .contains("changed")
    );
}

#[test]
fn a_release_that_left_the_project_is_removed_and_its_files_stay() {
    let world = World::new();
    let source = world.add("web:1.0.0", "running", "one");
    world.sync();
    fs::remove_dir_all(source.path()).unwrap();
    assert_eq!(
        world.sync().to_string(),
        "- web:1.0.0 running -> removed (not in the project)\n"
    );
    let release = world.on_host("web:1.0.0");
    assert_eq!(fs::read_to_string(release.state()).unwrap(), "removed\n");
    assert!(release.pod().is_file());
}

#[test]
fn only_the_commits_change_when_nothing_else_does() {
    let world = World::new();
    world.add("web:1.0.0", "running", "one");
    world.sync();
    let wanted = world.wanted();
    let mut far = Far::open(world.home.clone(), &cluster(), &holder()).unwrap();
    let plan = far.plan(&wanted.tree, &Options::default()).unwrap();
    assert!(plan.is_empty());
    far.stage(
        &plan,
        &wanted.tree,
        &AtHand(&wanted),
        &at(&["aaaaaaa", "bbbbbbb", "ccccccc"]),
    )
    .unwrap()
    .apply()
    .unwrap();
    assert_eq!(far.commit_chain().unwrap().head(), Some("ccccccc"));
}

#[test]
fn a_second_sync_is_told_who_is_at_work() {
    let world = World::new();
    let far = Far::open(world.home.clone(), &cluster(), &holder()).unwrap();
    let error = Far::open(world.home.clone(), &cluster(), &holder()).unwrap_err();
    assert!(matches!(error, FarError::Lock(_)));
    let message = error.to_string();
    assert!(
        message.contains("is locked by anna (process 1, since noon): a test"),
        "{message}"
    );
    fs::create_dir(world.home.sync_dir().join("stage")).unwrap();
    assert!(
        matches!(recover(&world.home).unwrap(), Recovered::Busy(who) if who.starts_with("anna"))
    );
    drop(far);
    assert_eq!(recover(&world.home).unwrap(), Recovered::Undone);
    assert_eq!(recover(&world.home).unwrap(), Recovered::Nothing);
    Far::open(world.home.clone(), &cluster(), &holder()).unwrap();
}

#[test]
fn a_host_of_another_cluster_or_of_none_is_refused() {
    let world = World::new();
    write(&world.home.sync_dir().join("stage/1"), "left", 0o644);
    let message = Far::open(world.home.clone(), &"other-1".parse().unwrap(), &holder())
        .unwrap_err()
        .to_string();
    assert!(
        world.home.sync_dir().join("stage").exists(),
        "what another cluster left is not recovered"
    );
    assert!(
        message.contains("belongs to cluster test-1, not to other-1"),
        "{message}"
    );

    assert!(!init(&world.home, &cluster(), Takeover::Refused).unwrap());
    let message = init(&world.home, &"other-1".parse().unwrap(), Takeover::Refused)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("is the host home of cluster test-1 already"),
        "{message}"
    );
    assert!(init(&world.home, &"other-1".parse().unwrap(), Takeover::Forced).unwrap());
    let empty = hostfiles::HostHome::new(world.directory.path().join("empty"));
    let message = Far::open(empty, &cluster(), &holder())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("make it one with `sns host init`"),
        "{message}"
    );
}

#[test]
fn behind_is_refused_unless_forced() {
    let world = World::new();
    world.sync();
    let far = Far::open(world.home.clone(), &cluster(), &holder()).unwrap();
    let behind = ["aaaaaaa".to_owned()];
    assert!(matches!(far.check(&behind, false), Err(FarError::Chain(_))));
    far.check(&behind, true).unwrap();
}

#[test]
fn a_stage_that_is_not_applied_is_thrown_away() {
    let world = World::new();
    world.add("web:1.0.0", "running", "one");
    let before = world.snapshot();
    let wanted = world.wanted();
    let mut far = Far::open(world.home.clone(), &cluster(), &holder()).unwrap();
    let plan = far.plan(&wanted.tree, &Options::default()).unwrap();
    let marks = at(&["aaaaaaa"]);
    drop(
        far.stage(&plan, &wanted.tree, &AtHand(&wanted), &marks)
            .unwrap(),
    );
    assert_eq!(world.snapshot(), before);
    assert!(!world.home.sync_dir().join("stage").exists());
}

#[test]
fn a_large_file_that_changed_in_place_is_noticed() {
    let world = World::new();
    let source = world.add("web:1.0.0", "running", "one");
    let large = "x".repeat(100_000);
    write(&source.path().join("config/conf/large"), &large, 0o644);
    world.sync();
    // The memory of digests is there now, and it is of no use to anybody who changes the file.
    assert!(world.sync().is_empty());
    let path = world
        .on_host("web:1.0.0")
        .config(&"conf".parse().unwrap())
        .join("large");
    tamper(&path, &large.replace('x', "y"));
    assert_eq!(world.sync().to_string(), "~ web:1.0.0 config conf\n");
    write(&world.home.sync_dir().join("digests.json"), "torn", 0o600);
    assert!(world.sync().is_empty());
}

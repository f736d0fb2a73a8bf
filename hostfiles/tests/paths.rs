//! Where files lie, and which names count.

use std::fs;
use std::path::Path;

use hostfiles::{HostHome, Project};

fn touch(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    hostfiles::replace(path, b"x\n", 0o644).unwrap();
}

#[test]
fn releases_of_a_host_are_sorted_and_hidden_ones_skipped() {
    let directory = tempfile::tempdir().unwrap();
    let home = HostHome::new(directory.path());
    assert!(home.releases().unwrap().is_empty());
    for path in [
        "web/release/1.10.0",
        "web/release/1.9.0",
        "api/release/1.0.0-rc1",
        "web/release/.1.0.0.1617",
        ".old/release/1.0.0",
        "Foreign/release/1.0.0",
        "empty/log",
    ] {
        fs::create_dir_all(home.pods_dir().join(path)).unwrap();
    }
    touch(&home.pods_dir().join("web/release/2.0.0"));
    let releases: Vec<String> = home
        .releases()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(releases, ["api:1.0.0-rc1", "web:1.9.0", "web:1.10.0"]);
}

#[test]
fn a_release_s_files() {
    let release = HostHome::new("/home/sns/h1").release(&"web:1.0.0".parse().unwrap());
    let path = |path: std::path::PathBuf| {
        path.strip_prefix(release.path())
            .unwrap()
            .display()
            .to_string()
    };
    assert_eq!(
        release.path(),
        Path::new("/home/sns/h1/pods/web/release/1.0.0")
    );
    let conf = "conf".parse().unwrap();
    assert_eq!(path(release.status()), ".pod.status");
    assert_eq!(path(release.config(&conf)), "config/conf");
    assert_eq!(path(release.config_checksum(&conf)), "config/conf.txt");
    assert_eq!(path(release.ramdisk(&conf)), "ramdisk/conf");
    assert_eq!(
        path(release.root_dir(&"main".parse().unwrap())),
        "root/main"
    );
}

#[test]
fn a_project_is_found_from_below_and_lists_its_hosts() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("cluster");
    touch(&root.join("cluster-id.txt"));
    for host in ["b", "a", ".c", "_plugins"] {
        touch(&root.join(host).join("host.env"));
    }
    fs::create_dir_all(root.join("nohost/deep")).unwrap();
    let project = Project::find(&root.join("nohost/deep")).unwrap();
    assert_eq!(project.path(), root);
    let hosts = project.hosts().unwrap();
    assert_eq!(
        hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["a", "b"]
    );

    let host = project.host(&hosts[0]);
    touch(&host.pod_log(&"web".parse().unwrap()));
    fs::create_dir_all(host.pods_dir().join("detached")).unwrap();
    assert_eq!(host.attached().unwrap().len(), 1);
    assert!(host.releases().unwrap().is_empty());

    let error = Project::find(directory.path()).unwrap_err().to_string();
    assert!(error.contains("sns cluster create"), "{error}");
}

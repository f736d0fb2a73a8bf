//! `sns host …`.

use insta::assert_snapshot;

use crate::bench::{Bench, PROGRAM, RUN, WEB};

#[test]
fn a_local_host_is_registered_and_initialised() {
    let bench = Bench::new();
    let register = ["host", "register", "laptop", "--address=local", &bench.home_option("laptop"), "--router-address=192.168.1.5"];
    assert_snapshot!(bench.show(&register), @"");
    assert_snapshot!(bench.redact(&bench.read("laptop/host.env")), @"");
    assert_snapshot!(bench.show(&["host", "init", "laptop"]), @"");
    assert_eq!(bench.read_home("laptop", "cluster-id.txt"), bench.read("cluster-id.txt"));
    assert_snapshot!(bench.show(&["host", "ls"]), @"");
    assert_eq!(bench.run(&["host", "init", "laptop"]).code, 0, "it can be repeated");
}

#[test]
fn a_relative_home_lies_below_the_users_home() {
    let bench = Bench::new();
    bench.ok(&["host", "register", "laptop", "--address=local", "--dir-home=simplenetes/host-laptop"]);
    bench.ok(&["host", "init", "laptop"]);
    assert!(bench.cluster.folder().join("home/simplenetes/host-laptop/pods").is_dir());
}

#[test]
fn a_remote_host_can_be_registered_and_nothing_more() {
    let bench = Bench::new();
    let register = ["host", "register", "worker1", "-a", "10.0.0.5:2222", "-e", "80 443", "-r", "10.0.0.5", "-s", "snssuper"];
    assert_snapshot!(bench.show(&register), @"");
    assert_snapshot!(bench.read("worker1/host.env"), @"");
    assert_snapshot!(bench.read("worker1/host-superuser.env"), @"");
    assert_snapshot!(bench.show(&["host", "init", "worker1"]), @"");
}

#[test]
fn a_jump_host_keeps_the_port_of_ssh_private() {
    let bench = Bench::new();
    bench.ok(&["host", "register", "worker1", "-a", "10.0.0.5", "-j", "../backdoor"]);
    let env = bench.read("worker1/host.env");
    assert!(env.contains("\nEXPOSE=\n") && env.contains("\nJUMPHOST=../backdoor\n"), "{env}");
}

#[test]
fn what_cannot_be_registered() {
    let bench = Bench::with_host();
    assert_snapshot!(bench.show(&["host", "register", "laptop", "--address=local"]), @"");
    assert_snapshot!(bench.show(&["host", "register", "other", "--address=local", &bench.home_option("laptop")]), @"");
    assert_snapshot!(bench.show(&["host", "register", "pods", "--address=local"]), @"");
    assert_snapshot!(bench.show(&["host", "register", "x", "--address=local", "--jump-host=../y"]), @"");
    assert_snapshot!(bench.show(&["host", "register", "x", "--address=-oProxyCommand=x"]), @"");
    assert_snapshot!(bench.show(&["host", "register", "x", "--address=local", "--router-address=0.0.0.0"]), @"");
}

#[test]
fn the_home_of_another_cluster_is_not_taken_by_accident() {
    let bench = Bench::with_host();
    bench.write_home("laptop", "cluster-id.txt", "other-1\n");
    assert_snapshot!(bench.show(&["host", "init", "laptop"]), @"");
    bench.ok(&["host", "init", "laptop", "--force"]);
    assert_eq!(bench.read_home("laptop", "cluster-id.txt"), bench.read("cluster-id.txt"));
}

#[test]
fn states_and_lists() {
    let bench = Bench::with_host();
    assert_snapshot!(bench.show(&["host", "state", "laptop", "--state=disabled"]), @"");
    assert_snapshot!(bench.show(&["host", "state", "laptop"]), @"");
    assert_eq!(bench.ok(&["host", "ls"]), "");
    assert_eq!(bench.ok(&["host", "ls", "-s", "disabled"]), "laptop disabled\n");
    assert_snapshot!(bench.show(&["host", "ls", "--all", "--json"]), @"");
    assert_snapshot!(bench.show(&["host", "state", "lapto"]), @"");
    assert_snapshot!(bench.show(&["host", "state", "laptop", "-s", "asleep"]), @"");
}

#[test]
fn a_pod_is_attached_once_with_its_configs_and_its_variables() {
    let bench = Bench::with_host();
    let yaml = format!("{WEB}    args: [\"${{mode}}\", \"${{GLOBAL}}\", \"${{_hidden}}\"]\n");
    bench.cluster.add_pod("web", &[("pod.yaml", &yaml), ("config/conf/a.txt", "a\n"), ("config/_tpl/t", "t\n")]).unwrap();
    bench.write("cluster-vars.env", "GLOBAL=1\n");
    assert_snapshot!(bench.show(&["host", "attach", "web@laptop"]), @"");
    assert_eq!(bench.read("_config/web/conf/a.txt"), "a\n");
    assert_eq!(bench.read("_config/web/_tpl/t"), "t\n");
    assert!(bench.read("laptop/pods/web/log.txt").contains(" tester ATTACHED web@laptop\n"));
    assert!(bench.read("log.txt").contains(" tester IMPORT_POD_CFG web "));
    assert_snapshot!(bench.show(&["host", "attach", "web@laptop"]), @"");
}

#[test]
fn a_pod_is_cloned_from_its_link() {
    let bench = Bench::with_host();
    let source = bench.cluster.folder().join("server/web");
    crate::bench::write(&source.join("pod.yaml"), PROGRAM);
    crate::bench::write(&source.join("run.sh"), RUN);
    bench.cluster.make_repository(&source).unwrap();
    let link = format!("--link={}", source.display());
    assert_snapshot!(bench.show(&["host", "attach", "web@laptop", &link]), @"");
    assert_eq!(bench.read("laptop/pods/web/git.url").trim(), source.display().to_string());
    bench.ok(&["host", "detach", "web"]);
    assert_snapshot!(bench.show(&["host", "attach", "web@laptop", "--link=https://example.com/other.git"]), @"");
}

#[test]
fn what_cannot_be_attached() {
    let bench = Bench::with_host();
    assert_snapshot!(bench.show(&["host", "attach", "web@laptop"]), @"");
    assert_snapshot!(bench.show(&["host", "attach", "web@lapto"]), @"");
    assert_snapshot!(bench.show(&["host", "attach", "web"]), @"");
    assert_snapshot!(bench.show(&["host", "attach", "web@laptop", "--link=--upload-pack=x"]), @"");
    crate::bench::write(&bench.cluster.pods().join("plain/pod.yaml"), PROGRAM);
    assert_snapshot!(bench.show(&["host", "attach", "plain@laptop"]), @"");
    bench.cluster.add_pod("empty", &[("README.md", "nothing\n")]).unwrap();
    assert_snapshot!(bench.show(&["host", "attach", "empty@laptop"]), @"");
}

#[test]
fn the_proxy_needs_no_repository() {
    let bench = Bench::with_host();
    assert_snapshot!(bench.show(&["host", "attach", "proxy@laptop"]), @"");
    assert!(bench.cluster.project().join("_config/proxy/conf/proxy.conf").is_file());
}

#[test]
fn a_detached_pod_is_hidden_and_kept() {
    let bench = Bench::with_host();
    bench.attach("web", "laptop", &[("pod.yaml", PROGRAM), ("run.sh", RUN)]);
    assert_snapshot!(bench.show(&["host", "detach", "web@laptop"]), @"");
    assert_snapshot!(bench.show(&["host", "detach", "web@laptop"]), @"");
    bench.attach("web", "laptop", &[]);
}

#[test]
fn configs_are_imported_again_only_when_nothing_is_lost() {
    let bench = Bench::with_host();
    bench.attach("web", "laptop", &[("pod.yaml", PROGRAM), ("run.sh", RUN), ("config/conf/a", "1\n")]);
    assert_snapshot!(bench.show(&["cluster", "importconfig", "web"]), @"");
    bench.commit();
    bench.change_pod("web", "config/conf/a", "2\n");
    assert_snapshot!(bench.show(&["cluster", "importconfig", "web"]), @"");
    assert_eq!(bench.read("_config/web/conf/a"), "2\n");
    assert_snapshot!(bench.show(&["cluster", "importconfig", "wbe"]), @"");
}

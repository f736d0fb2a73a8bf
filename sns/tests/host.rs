//! `sns host …`.

use insta::assert_snapshot;

use crate::bench::{Bench, PROGRAM, RUN, WEB};

#[test]
fn a_local_host_is_registered_and_initialised() {
    let bench = Bench::new();
    let register = [
        "host",
        "register",
        "laptop",
        "--address=local",
        &bench.home_option("laptop"),
        "--router-address=192.168.1.5",
    ];
    assert_snapshot!(bench.show(&register), @r"
    $ sns host register laptop --address=local --dir-home=[HOSTS]/laptop --router-address=192.168.1.5
    | ok: host laptop registered at [PROJECT]/laptop
    | hint: prepare its home with `sns host init laptop`
    [exit 0]
    ");
    assert_snapshot!(bench.redact(&bench.read("laptop/host.env")), @r"
    HOST=local
    EXPOSE=
    INTERNAL=192.168.0.0/16 10.0.0.0/8 172.16.0.0/12
    HOSTHOME=[HOSTS]/laptop
    ROUTERADDRESS=192.168.1.5:32767
    ");
    assert_snapshot!(bench.show(&["host", "init", "laptop"]), @r"
    $ sns host init laptop
    | warning: no first-party plugins were found, so no pod can be compiled for this host yet
    | hint: looked in [FOLDER]/no-plugins; built components lie there after `cargo xtask plugins`
    | ok: host laptop is ready at [HOSTS]/laptop for cluster [CLUSTER]
    [exit 0]
    ");
    assert_eq!(
        bench.read_home("laptop", "cluster-id.txt"),
        bench.read("cluster-id.txt")
    );
    assert_snapshot!(bench.show(&["host", "ls"]), @r"
    $ sns host ls
    laptop active
    [exit 0]
    ");
    assert_eq!(
        bench.run(&["host", "init", "laptop"]).code,
        0,
        "it can be repeated"
    );
}

#[test]
fn a_relative_home_lies_below_the_users_home() {
    let bench = Bench::new();
    bench.ok(&[
        "host",
        "register",
        "laptop",
        "--address=local",
        "--dir-home=simplenetes/host-laptop",
    ]);
    bench.ok(&["host", "init", "laptop"]);
    assert!(
        bench
            .cluster
            .folder()
            .join("home/simplenetes/host-laptop/pods")
            .is_dir()
    );
}

#[test]
fn a_remote_host_is_registered_before_it_can_be_reached() {
    let bench = Bench::new();
    let register = [
        "host",
        "register",
        "worker1",
        "-a",
        "127.0.0.1:1",
        "-e",
        "80 443",
        "-r",
        "10.0.0.5",
        "-s",
        "snssuper",
        "--no-scan",
    ];
    assert_snapshot!(bench.show(&register), @r"
    $ sns host register worker1 -a 127.0.0.1:[PORT] -e 80 443 -r 10.0.0.5 -s snssuper --no-scan
    | ok: host worker1 registered at [PROJECT]/worker1
    [exit 0]
    ");
    assert_snapshot!(bench.read("worker1/host.env"), @r"
    HOST=127.0.0.1
    PORT=1
    JUMPHOST=
    USER=sns
    FLAGS=-oConnectTimeout=30
    KEYFILE=id_rsa
    EXPOSE=1 80 443
    INTERNAL=192.168.0.0/16 10.0.0.0/8 172.16.0.0/12
    HOSTHOME=worker1
    ROUTERADDRESS=10.0.0.5:32767
    ");
    assert_snapshot!(bench.read("worker1/host-superuser.env"), @r"
    HOST=127.0.0.1
    PORT=1
    JUMPHOST=
    USER=snssuper
    KEYFILE=id_rsa_super
    ");
    let init = bench.run(&["host", "init", "worker1"]);
    assert_eq!(init.code, 8, "{init}");
    assert!(
        init.stderr.contains("could not reach host worker1"),
        "{init}"
    );
}

#[test]
fn a_jump_host_keeps_the_port_of_ssh_private() {
    let bench = Bench::new();
    bench.ok(&[
        "host",
        "register",
        "worker1",
        "-a",
        "10.0.0.5",
        "-j",
        "../backdoor",
        "--no-scan",
    ]);
    let env = bench.read("worker1/host.env");
    assert!(
        env.contains("\nEXPOSE=\n") && env.contains("\nJUMPHOST=../backdoor\n"),
        "{env}"
    );
}

#[test]
fn what_cannot_be_registered() {
    let bench = Bench::with_host();
    assert_snapshot!(bench.show(&["host", "register", "laptop", "--address=local"]), @r"
    $ sns host register laptop --address=local
    | error: [PROJECT]/laptop exists already
    | hint: choose another name; to change a host, edit its host.env
    [exit 3]
    ");
    assert_snapshot!(bench.show(&["host", "register", "other", "--address=local", &bench.home_option("laptop")]), @r"
    $ sns host register other --address=local --dir-home=[HOSTS]/laptop
    | error: host laptop has that home already: [HOSTS]/laptop
    | hint: give another --dir-home
    [exit 3]
    ");
    assert_snapshot!(bench.show(&["host", "register", "pods", "--address=local"]), @r"
    $ sns host register pods --address=local
    | error: invalid value 'pods' for '<HOST>': `pods` is not a host name: letters, digits, `-` and `_`, beginning with a letter or digit, 63 at most; `pods` and `keys` are reserved
    |
    | For more information, try '--help'.
    [exit 2]
    ");
    assert_snapshot!(bench.show(&["host", "register", "x", "--address=local", "--jump-host=../y"]), @r"
    $ sns host register x --address=local --jump-host=../y
    | error: --jump-host makes no sense for a host on this machine
    [exit 2]
    ");
    assert_snapshot!(bench.show(&["host", "register", "x", "--address=-oProxyCommand=x"]), @r"
    $ sns host register x --address=-oProxyCommand=x
    | error: `-oProxyCommand=x` is not an address: expected `local`, a name or an IP, perhaps with :PORT
    [exit 2]
    ");
    assert_snapshot!(bench.show(&["host", "register", "x", "--address=local", "--router-address=0.0.0.0"]), @r"
    $ sns host register x --address=local --router-address=0.0.0.0
    | error: invalid value '0.0.0.0' for '--router-address <IP[:PORT]>': other hosts must be able to reach it, so it cannot be 0.0.0.0
    |
    | For more information, try '--help'.
    [exit 2]
    ");
}

#[test]
fn the_home_of_another_cluster_is_not_taken_by_accident() {
    let bench = Bench::with_host();
    bench.write_home("laptop", "cluster-id.txt", "other-1\n");
    assert_snapshot!(bench.show(&["host", "init", "laptop"]), @r"
    $ sns host init laptop
    | error: host laptop: [HOSTS]/laptop is the host home of cluster other-1 already: choose another HOSTHOME in host.env
    | hint: `sns host init laptop --force` takes it over
    [exit 5]
    ");
    bench.ok(&["host", "init", "laptop", "--force"]);
    assert_eq!(
        bench.read_home("laptop", "cluster-id.txt"),
        bench.read("cluster-id.txt")
    );
}

#[test]
fn states_and_lists() {
    let bench = Bench::with_host();
    assert_snapshot!(bench.show(&["host", "state", "laptop", "--state=disabled"]), @r"
    $ sns host state laptop --state=disabled
    | ok: host laptop is disabled from the next sync on
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["host", "state", "laptop"]), @r"
    $ sns host state laptop
    disabled
    [exit 0]
    ");
    assert_eq!(bench.ok(&["host", "ls"]), "");
    assert_eq!(
        bench.ok(&["host", "ls", "-s", "disabled"]),
        "laptop disabled\n"
    );
    assert_snapshot!(bench.show(&["host", "ls", "--all", "--json"]), @r#"
    $ sns host ls --all --json
    [
      {
        "home": "[HOSTS]/laptop",
        "host": "laptop",
        "local": true,
        "pods": [],
        "routerAddress": "127.0.0.1:[PORT]",
        "state": "disabled"
      }
    ]
    [exit 0]
    "#);
    assert_snapshot!(bench.show(&["host", "state", "lapto"]), @r"
    $ sns host state lapto
    | error: there is no host `lapto` in the project
    | hint: did you mean `laptop`?
    | hint: `sns host ls -a` lists them, `sns host register` adds one
    [exit 3]
    ");
    assert_snapshot!(bench.show(&["host", "state", "laptop", "-s", "asleep"]), @r"
    $ sns host state laptop -s asleep
    | error: invalid value 'asleep' for '--state <STATE>': expected active, inactive or disabled
    |
    | For more information, try '--help'.
    [exit 2]
    ");
}

#[test]
fn a_pod_is_attached_once_with_its_configs_and_its_variables() {
    let bench = Bench::with_host();
    let yaml = format!("{WEB}    args: [\"${{mode}}\", \"${{GLOBAL}}\", \"${{_hidden}}\"]\n");
    bench
        .cluster
        .add_pod(
            "web",
            &[
                ("pod.yaml", &yaml),
                ("config/conf/a.txt", "a\n"),
                ("config/_tpl/t", "t\n"),
            ],
        )
        .unwrap();
    bench.write("cluster-vars.env", "GLOBAL=1\n");
    assert_snapshot!(bench.show(&["host", "attach", "web@laptop"]), @r"
    $ sns host attach web@laptop
    | the configs of the pod were imported to _config/web; change them there
    | ok: pod web is attached to host laptop
    | the pod uses variables that cluster-vars.env does not define yet:
    |   web_mode=
    | hint: compile it with `sns pod compile web`
    [exit 0]
    ");
    assert_eq!(bench.read("_config/web/conf/a.txt"), "a\n");
    assert_eq!(bench.read("_config/web/_tpl/t"), "t\n");
    assert!(
        bench
            .read("laptop/pods/web/log.txt")
            .contains(" tester ATTACHED web@laptop\n")
    );
    assert!(
        bench
            .read("log.txt")
            .contains(" tester IMPORT_POD_CFG web ")
    );
    assert_snapshot!(bench.show(&["host", "attach", "web@laptop"]), @r"
    $ sns host attach web@laptop
    | error: pod web is attached to host laptop already
    [exit 3]
    ");
}

#[test]
fn a_pod_is_cloned_from_its_link() {
    let bench = Bench::with_host();
    let source = bench.cluster.folder().join("server/web");
    crate::bench::write(&source.join("pod.yaml"), PROGRAM);
    crate::bench::write(&source.join("run.sh"), RUN);
    bench.cluster.make_repository(&source).unwrap();
    let link = format!("--link={}", source.display());
    assert_snapshot!(bench.show(&["host", "attach", "web@laptop", &link]), @r"
    $ sns host attach web@laptop --link=[FOLDER]/server/web
    | cloning [FOLDER]/server/web …
    | ok: pod web is attached to host laptop
    | hint: compile it with `sns pod compile web`
    [exit 0]
    ");
    assert_eq!(
        bench.read("laptop/pods/web/git.url").trim(),
        source.display().to_string()
    );
    bench.ok(&["host", "detach", "web"]);
    assert_snapshot!(bench.show(&["host", "attach", "web@laptop", "--link=https://example.com/other.git"]), @r"
    $ sns host attach web@laptop --link=https://example.com/other.git
    | error: [PODS]/web comes from [FOLDER]/server/web, not from https://example.com/other.git
    | hint: leave out --link, or move that directory away
    [exit 3]
    ");
}

#[test]
fn what_cannot_be_attached() {
    let bench = Bench::with_host();
    assert_snapshot!(bench.show(&["host", "attach", "web@laptop"]), @r"
    $ sns host attach web@laptop
    | error: there is no pod at [PODS]/web
    | hint: let it be cloned with --link=GITURL, or name the directory of your pods in PODPATH
    [exit 3]
    ");
    assert_snapshot!(bench.show(&["host", "attach", "web@lapto"]), @r"
    $ sns host attach web@lapto
    | error: there is no host `lapto` in the project
    | hint: did you mean `laptop`?
    | hint: `sns host ls -a` lists them, `sns host register` adds one
    [exit 3]
    ");
    assert_snapshot!(bench.show(&["host", "attach", "web"]), @r"
    $ sns host attach web
    | error: invalid value 'web' for '<POD@HOST>': expected POD@HOST, as in web@laptop
    |
    | For more information, try '--help'.
    [exit 2]
    ");
    assert_snapshot!(bench.show(&["host", "attach", "web@laptop", "--link=--upload-pack=x"]), @r"
    $ sns host attach web@laptop --link=--upload-pack=x
    | error: invalid value '--upload-pack=x' for '--link <GITURL>': expected a link to a git repository, as in https://example.com/web.git
    |
    | For more information, try '--help'.
    [exit 2]
    ");
    crate::bench::write(&bench.cluster.pods().join("plain/pod.yaml"), PROGRAM);
    assert_snapshot!(bench.show(&["host", "attach", "plain@laptop"]), @r"
    $ sns host attach plain@laptop
    | error: [PODS]/plain is not a git repository that can be used
    |   because: could not find repository at '[PODS]/plain'
    | hint: a project and its pods are git repositories: run `git init` and commit
    [exit 3]
    ");
    bench
        .cluster
        .add_pod("empty", &[("README.md", "nothing\n")])
        .unwrap();
    assert_snapshot!(bench.show(&["host", "attach", "empty@laptop"]), @r"
    $ sns host attach empty@laptop
    | error: [PODS]/empty has no pod.yaml, so it is not a pod
    | hint: the pod.yaml lies at the top of the pod's repository
    [exit 3]
    ");
}

#[test]
fn the_proxy_needs_no_repository() {
    let bench = Bench::with_host();
    assert_snapshot!(bench.show(&["host", "attach", "proxy@laptop"]), @r"
    $ sns host attach proxy@laptop
    | the configs of the pod were imported to _config/proxy; change them there
    | ok: pod proxy is attached to host laptop
    | hint: compile it with `sns pod compile proxy`
    [exit 0]
    ");
    assert!(
        bench
            .cluster
            .project()
            .join("_config/proxy/conf/proxy.conf")
            .is_file()
    );
}

#[test]
fn a_detached_pod_is_hidden_and_kept() {
    let bench = Bench::with_host();
    bench.attach("web", "laptop", &[("pod.yaml", PROGRAM), ("run.sh", RUN)]);
    assert_snapshot!(bench.show(&["host", "detach", "web@laptop"]), @r"
    $ sns host detach web@laptop
    | ok: pod web detached from host laptop; kept as laptop/pods/.web.[TIME]
    [exit 0]
    ");
    assert_snapshot!(bench.show(&["host", "detach", "web@laptop"]), @r"
    $ sns host detach web@laptop
    | error: pod `web` is not attached to host laptop
    | hint: no pod is attached to any host
    [exit 3]
    ");
    bench.attach("web", "laptop", &[]);
}

#[test]
fn names_that_do_not_exist_are_corrected() {
    let bench = Bench::with_host();
    bench.attach("web", "laptop", &[("pod.yaml", PROGRAM), ("run.sh", RUN)]);
    assert_snapshot!(bench.show(&["host", "detach", "nosuch"]), @r"
    $ sns host detach nosuch
    | error: pod `nosuch` is not attached to any host that takes part
    | hint: attached pods: web@laptop
    [exit 3]
    ");
    assert_snapshot!(bench.show(&["host", "detach", "wbe@laptop"]), @r"
    $ sns host detach wbe@laptop
    | error: pod `wbe` is not attached to host laptop
    | hint: did you mean `web`?
    | hint: attached pods: web@laptop
    [exit 3]
    ");
    for arguments in [
        ["host", "attach", "wbe@laptop"],
        ["host", "attach", "prxoy@laptop"],
    ] {
        let refused = bench.run(&arguments);
        assert!(
            refused.code == 3 && refused.stderr.contains("hint: did you mean `"),
            "{refused}"
        );
    }
    assert_snapshot!(bench.show(&["host", "ls", "--pod=wbe"]), @r"
    $ sns host ls --pod=wbe
    | warning: pod `wbe` is not attached to any host
    | hint: did you mean `web`?
    [exit 0]
    ");
    let refused = bench.run(&["host", "attach", "web@lapto"]);
    assert!(
        refused.stderr.contains("hint: did you mean `laptop`?"),
        "{refused}"
    );
}

#[test]
fn configs_are_imported_again_only_when_nothing_is_lost() {
    let bench = Bench::with_program();
    assert_snapshot!(bench.show(&["cluster", "importconfig", "web"]), @r"
    $ sns cluster importconfig web
    | error: _config/web has changes that are not committed
    | hint: commit them first; then they can be compared and brought back
    [exit 5]
    ");
    bench.commit();
    bench.change_pod("web", "config/conf/a", "2\n");
    assert_snapshot!(bench.show(&["cluster", "importconfig", "web"]), @r"
    $ sns cluster importconfig web
    | ok: configs of pod web are in _config/web
    | hint: bring them into compiled releases with `sns pod updateconfig web`
    [exit 0]
    ");
    assert_eq!(bench.read("_config/web/conf/a"), "2\n");
    assert_snapshot!(bench.show(&["cluster", "importconfig", "wbe"]), @r"
    $ sns cluster importconfig wbe
    | error: pod `wbe` is not attached to any host that takes part
    | hint: did you mean `web`?
    | hint: attach it with `sns host attach wbe@HOST`
    [exit 3]
    ");
}

#[test]
fn what_is_overlooked_is_said() {
    let bench = Bench::with_host();
    let env = bench.read("laptop/host.env");
    bench.write("my.host/host.env", &env);
    bench.write("notes/readme.txt", "no host\n");
    bench.write("laptop/pods/Web/log.txt", "\n");
    bench.attach("web", "laptop", &[("pod.yaml", PROGRAM), ("run.sh", RUN)]);
    bench.ok(&["pod", "compile", "web"]);
    bench.write("laptop/pods/web/release/1.0/pod", RUN);
    bench.write("laptop/pods/web/release/.1.0.0.1700000000/pod", RUN);
    std::os::unix::fs::symlink(
        "1.0.0",
        bench
            .cluster
            .project()
            .join("laptop/pods/web/release/1.0.1"),
    )
    .unwrap();
    let warnings = "\
        warning: my.host is overlooked: `my.host` is not a host name: letters, digits, `-` and `_`, beginning with a letter or digit, 63 at most; `pods` and `keys` are reserved\n\
        warning: laptop/pods/Web is overlooked: `Web` is not a pod name: a lower-case letter, then lower-case letters, digits and `_`, not ending in `_`, 63 at most\n\
        warning: laptop/pods/web/release/1.0 is overlooked: `1.0` is not a version: expected MAJOR.MINOR.PATCH and perhaps `-tag` of lower-case letters, digits, `.` and `-`, as in 1.0.0 or 1.2.0-rc1\n\
        warning: laptop/pods/web/release/1.0.1 is overlooked: it is a symbolic link, not a directory\n";
    for arguments in [
        &["host", "ls"][..],
        &["pod", "ls"],
        &["pod", "compile", "web"],
        &["cluster", "diff"],
        &["cluster", "sync"],
    ] {
        let outcome = bench.run(arguments);
        assert!(
            outcome.stderr.starts_with(warnings),
            "{arguments:?} {outcome}"
        );
    }
}

#[test]
fn a_registration_that_fails_leaves_nothing_in_the_way_of_the_next() {
    let bench = Bench::new();
    let log = bench.read("log.txt");
    let path = bench.cluster.project().join("log.txt");
    // As on a full disk, one of the files cannot be written.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let register = ["host", "register", "h9", "--address=local"];
    assert_eq!(bench.run(&register).code, 7);
    assert!(!bench.cluster.project().join("h9").exists());
    std::fs::remove_dir(&path).unwrap();
    bench.write("log.txt", &log);
    bench.ok(&register);
    assert_eq!(bench.ok(&["host", "ls"]), "h9 active\n");

    bench.write("half/host.state", "active\n");
    let refused = bench.run(&["host", "register", "half", "--address=local"]);
    assert_eq!(refused.code, 3, "{refused}");
    assert!(refused.stderr.contains("it has no host.env"), "{refused}");
}

#[test]
fn a_host_that_cannot_be_read_is_not_passed_over() {
    let bench = Bench::with_host();
    let env = bench.cluster.project().join("laptop/host.env");
    std::fs::remove_file(&env).unwrap();
    // A loop of links cannot be read by anybody, not even by root.
    std::os::unix::fs::symlink(&env, &env).unwrap();
    for command in [["host", "ls"], ["pod", "ls"]] {
        let refused = bench.run(&command);
        assert_eq!(refused.code, 7, "{refused}");
        let stderr = bench.redact(&refused.stderr);
        assert!(
            stderr.contains("could not read the host directory [PROJECT]/laptop"),
            "{stderr}"
        );
    }
}

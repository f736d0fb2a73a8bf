//! `sns pod compile`.

use insta::assert_snapshot;

use crate::bench::{Bench, PROGRAM, RUN, WEB};

#[test]
fn a_foreign_program_is_compiled_without_a_plugin() {
    let bench = Bench::with_program();
    bench.commit();
    assert_snapshot!(bench.show(&["pod", "compile", "web"]), @r"
    $ sns pod compile web
    | compiling web:1.0.0 for host laptop …
    | ok: web:1.0.0 compiled for host laptop
    | hint: bring it to the hosts: git add . && git commit; then sns cluster sync
    [exit 0]
    ");
    let release = "laptop/pods/web/release/1.0.0";
    assert_eq!(bench.read(&format!("{release}/pod")), RUN);
    assert_eq!(bench.read(&format!("{release}/pod.state")), "running\n");
    assert_eq!(bench.read(&format!("{release}/config/conf/a")), "1\n");
    assert_eq!(
        bench
            .read(&format!("{release}/config/conf.txt"))
            .trim()
            .len(),
        64
    );
    assert_snapshot!(bench.show(&["pod", "compile", "web"]), @r"
    $ sns pod compile web
    | web:1.0.0@laptop exists already and was left as it is
    | pod web was not compiled: nothing is new
    | hint: raise podVersion in its pod.yaml to compile what has changed
    [exit 0]
    ");
    assert_eq!(bench.ok(&["pod", "compile", "web", "-v"]), "1.0.0\n");
}

#[test]
fn the_examples_of_the_manual_compile_without_a_word() {
    let bench = Bench::new().with_plugins();
    bench.add_host("laptop", "192.168.1.5");
    for (pod, text) in [
        ("native", podspec::EXAMPLE),
        ("containers", podspec::EXAMPLE_CONTAINERS),
    ] {
        let files = [("pod.yaml", text), ("config/settings/a", "1\n")];
        bench.attach(pod, "laptop", &files);
        bench.commit();
        let said = bench.show(&["pod", "compile", pod]);
        assert!(
            !said.contains("warning") && said.ends_with("[exit 0]"),
            "{said}"
        );
    }
}

#[test]
fn a_cluster_port_without_a_host_port_exists_in_the_cluster_and_has_no_mapping() {
    let bench = Bench::new().with_plugins();
    bench.add_host("laptop", "192.168.1.5");
    let yaml = "api: 1.0.0-beta2\npodVersion: 1.0.0\ncontainers:\n- name: main\n  image: nginx\n  expose:\n  \
                - {targetPort: 80, clusterPort: 5432, sendProxy: v2}\n  \
                - {targetPort: 81, hostPort: 30000, clusterPort: 5433, sendProxy: v2}\n";
    bench.attach("web", "laptop", &[("pod.yaml", yaml)]);
    bench.commit();
    let said = bench.show(&["pod", "compile", "web"]);
    assert!(!said.contains("warning"), "{said}");
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    assert_eq!(
        bench.read("laptop/pods/web/release/1.0.0/pod.portmappings.conf"),
        "5433:30000:4096:true\n"
    );
    let ports = bench.read_home("laptop", "clusterports.conf");
    assert_eq!(ports, "5432\n5433\n");
}

#[test]
fn a_native_pod_gets_ports_files_and_a_log_line() {
    let bench = Bench::with_native_host();
    bench.attach("web", "laptop", &[("pod.yaml", WEB)]);
    bench.commit();
    assert_snapshot!(bench.show(&["pod", "compile", "web"]), @r"
    $ sns pod compile web
    | compiling web:1.0.0 for host laptop …
    | loading plugin native-runtime 0.1.0 …
    | ok: web:1.0.0 compiled for host laptop
    | hint: bring it to the hosts: git add . && git commit; then sns cluster sync
    [exit 0]
    ");
    let release = "laptop/pods/web/release/1.0.0";
    assert_eq!(
        bench.read(&format!("{release}/pod.portmappings.conf")),
        "61000:30000:4096:false\n"
    );
    assert!(
        bench
            .read(&format!("{release}/pod"))
            .starts_with("#!/usr/bin/env -S simplenetesd pod\n")
    );
    assert!(
        bench
            .read(&format!("{release}/.pod.yaml"))
            .contains("hostPort: 30000")
    );
    assert!(
        !bench
            .cluster
            .project()
            .join(release)
            .join("pod.ingress.conf")
            .exists()
    );
    assert_snapshot!(bench.redact(bench.read("laptop/pods/web/log.txt").lines().last().unwrap().split_once(" tester ").unwrap().1), @"COMPILE_POD web:1.0.0 pod.yaml=[DIGEST] cluster-vars.env=[DIGEST] config=<none>");
    assert_snapshot!(bench.show(&["pod", "info", "web"]), @r"
    $ sns pod info web
    host: laptop
    pod: web-1.0.0
    podVersion: 1.0.0
    runtime: native
    plugin: native-runtime 0.1.0 [DIGEST]
    hostPorts: 30000
    labels:
    volumes:
    ramdisks:
    containers:
        - name: main
          container: main-web-1.0.0
          configs:
          restart: always
          mounts:
          ports: 30000:8080
          clusterPorts: 61000
    [exit 0]
    ");
}

#[test]
fn hosts_on_one_address_share_ports_and_replicas_share_the_cluster_port() {
    let bench = Bench::with_native_host();
    bench.add_host("second", "127.0.0.1");
    bench.add_host("third", "127.0.0.3");
    bench.attach("web", "laptop", &[("pod.yaml", WEB)]);
    bench.attach("web", "second", &[]);
    bench.ok(&["pod", "compile", "web"]);
    bench.attach("web", "third", &[]);
    bench.ok(&["pod", "compile", "web"]);
    let ports = ["laptop", "second", "third"].map(|host| {
        bench.read(&format!(
            "{host}/pods/web/release/1.0.0/pod.portmappings.conf"
        ))
    });
    assert_eq!(
        ports,
        [
            "61000:30000:4096:false\n",
            "61000:30001:4096:false\n",
            "61000:30000:4096:false\n"
        ]
    );
}

/// Two pods that were compiled on two branches, which are merged: both were given port 61000.
fn merged() -> Bench {
    let bench = Bench::with_native_host();
    bench.add_host("second", "127.0.0.2");
    bench.attach("m1", "laptop", &[("pod.yaml", WEB)]);
    bench.attach("m2", "second", &[("pod.yaml", WEB)]);
    bench.commit();
    bench.git(&["checkout", "-q", "-b", "other"]);
    bench.ok(&["pod", "compile", "m2"]);
    bench.commit();
    bench.git(&["checkout", "-q", "-"]);
    bench.ok(&["pod", "compile", "m1"]);
    bench.commit();
    bench.git(&["merge", "-q", "-m", "Merge", "other"]);
    bench
}

#[test]
fn a_cluster_port_that_was_chosen_on_two_branches_is_refused() {
    let bench = merged();
    let accident = "cluster port 61000 was chosen for one of m1:1.0.0@laptop and m2:1.0.0@second, and the other has it too";
    let sync = bench.run(&["cluster", "sync"]);
    assert_eq!(sync.code, 3, "{sync}");
    assert!(sync.stderr.contains(accident), "{sync}");
    bench.attach("m1", "second", &[]);
    let compile = bench.run(&["pod", "compile", "m1"]);
    assert_eq!(compile.code, 3, "{compile}");
    assert!(compile.stderr.contains(accident), "{compile}");
    assert!(
        !bench
            .cluster
            .project()
            .join("second/pods/m1/release/1.0.0")
            .exists()
    );
    bench.change_pod("m1", "pod.yaml", &WEB.replace("1.0.0\n", "1.0.1\n"));
    bench.ok(&["pod", "compile", "m1"]);
    bench.ok(&["pod", "state", "m1:1.0.0", "-s", "removed"]);
    bench.commit();
    bench.ok(&["cluster", "sync"]);
}

#[test]
fn a_cluster_port_is_shared_on_purpose_by_writing_it() {
    let bench = Bench::with_native_host();
    let yaml = WEB.replace("${CLUSTERPORTAUTO1}", "5432");
    for pod in ["m1", "m2"] {
        bench.attach(pod, "laptop", &[("pod.yaml", &yaml)]);
        bench.ok(&["pod", "compile", pod]);
    }
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    assert_eq!(bench.read_home("laptop", "clusterports.conf"), "5432\n");
}

#[test]
fn compiles_at_the_same_time_choose_different_ports() {
    let bench = Bench::with_native_host();
    let pods = ["a", "b", "c", "d"];
    for pod in pods {
        bench.attach(pod, "laptop", &[("pod.yaml", WEB)]);
    }
    std::thread::scope(|scope| {
        for pod in pods {
            let bench = &bench;
            scope.spawn(move || bench.ok(&["pod", "compile", pod]));
        }
    });
    let ports = pods.map(|pod| {
        bench.read(&format!(
            "laptop/pods/{pod}/release/1.0.0/pod.portmappings.conf"
        ))
    });
    let different: std::collections::BTreeSet<&String> = ports.iter().collect();
    assert_eq!(different.len(), pods.len(), "{ports:?}");
}

#[test]
fn a_plain_directory_is_no_repository() {
    let bench = Bench::with_host();
    let pod = bench.cluster.pods().join("web");
    crate::bench::write(&pod.join("pod.yaml"), PROGRAM);
    bench
        .cluster
        .make_repository(&bench.cluster.pods())
        .unwrap();
    let refused = bench.run(&["host", "attach", "web@laptop"]);
    assert_eq!(refused.code, 3, "{refused}");
    assert!(
        refused.stderr.contains("web is not a git repository"),
        "{refused}"
    );
}

#[test]
fn all_mistakes_of_a_text_are_shown_and_nothing_is_left() {
    let bench = Bench::with_native_host();
    let yaml = "api: 1.0.0-beta2\nruntime: native\npodVersion: 1.0.0\nprocesses:\n  - name: main\n    comand: [sleep, \"1\"]\n    restart: allways\n";
    bench.attach("web", "laptop", &[("pod.yaml", yaml)]);
    assert_snapshot!(bench.show(&["pod", "compile", "web"]), @r#"
    $ sns pod compile web
    | compiling web:1.0.0 for host laptop …
    | loading plugin native-runtime 0.1.0 …
    | [PODS]/web/pod.yaml:6:5: error: unknown key `comand`
    |   6 |     comand: [sleep, "1"]
    |     |     ^
    |   expected: name, restart, signal, mounts, startupProbe, readinessProbe, livenessProbe, expose, stopTimeout, limits, command, args, env, workingDir or user
    |   hint: did you mean `command`?
    | [PODS]/web/pod.yaml:7:14: error: `allways` is not allowed here
    |   7 |     restart: allways
    |     |              ^
    |   expected: never, always, on-failure, on-config or on-interval:SECONDS
    |   hint: did you mean `always`?
    | error: pod web was not compiled: 2 errors in its pod.yaml
    [exit 4]
    "#);
    assert!(
        !bench
            .cluster
            .project()
            .join("laptop/pods/web/release/1.0.0")
            .exists()
    );
    bench.change_pod("web", "pod.yaml", "api: [\n");
    assert_snapshot!(bench.show(&["pod", "compile", "web"]), @r"
    $ sns pod compile web
    | [PODS]/web/pod.yaml:1:6: error: this is not YAML: unclosed bracket '['
    |   1 | api: [
    |     |      ^
    |   hint: close it with `]` or `}` before the next key
    | [PODS]/web/pod.yaml:1:1: error: `podVersion` is missing
    |   1 | api: [
    |     | ^
    |   expected: a line `podVersion: MAJOR.MINOR.PATCH or MAJOR.MINOR.PATCH-tag, as in 1.0.0` at the beginning of a line
    | error: pod web was not compiled: 2 errors in its pod.yaml
    [exit 4]
    ");
}

#[test]
fn a_variable_without_a_value_says_where_it_belongs() {
    let bench = Bench::with_native_host();
    let yaml = WEB.replace("[/bin/sleep, infinity]", "[/bin/sleep, \"${seconds}\"]");
    bench.attach("web", "laptop", &[("pod.yaml", &yaml)]);
    assert_snapshot!(bench.show(&["pod", "compile", "web"]), @r#"
    $ sns pod compile web
    | compiling web:1.0.0 for host laptop …
    | loading plugin native-runtime 0.1.0 …
    | [PODS]/web/pod.yaml:6:28: warning: variable `${seconds}` has no value and becomes empty
    |   6 |     command: [/bin/sleep, "${seconds}"]
    |     |                            ^
    |   hint: define it in cluster-vars.env: web_seconds=
    | ok: web:1.0.0 compiled for host laptop
    | hint: bring it to the hosts: git add . && git commit; then sns cluster sync
    [exit 0]
    "#);
}

#[test]
fn values_are_inserted_as_they_are() {
    let bench = Bench::with_native_host();
    let yaml = WEB.replace("[/bin/sleep, infinity]", "[/bin/sleep, \"${seconds}\"]");
    bench.attach("web", "laptop", &[("pod.yaml", &yaml)]);
    bench.write("cluster-vars.env", "web_seconds=1&2`x`\n");
    bench.ok(&["pod", "compile", "web"]);
    assert!(
        bench
            .read("laptop/pods/web/release/1.0.0/pod")
            .contains("1&2`x`")
    );
}

#[test]
fn a_missing_config_and_a_missing_plugin() {
    let bench = Bench::with_native_host();
    let yaml = format!(
        "{WEB}    mounts:\n      - volume: conf\n        dest: /mnt/conf\nvolumes:\n  - name: conf\n    type: config\n"
    );
    bench.attach("web", "laptop", &[("pod.yaml", &yaml)]);
    assert_snapshot!(bench.show(&["pod", "compile", "web"]), @r"
    $ sns pod compile web
    | compiling web:1.0.0 for host laptop …
    | loading plugin native-runtime 0.1.0 …
    | [PODS]/web/pod.yaml:16:11: error: config `conf` has no directory _config/web/conf
    |   16 |   - name: conf
    |      |           ^
    |   hint: make the directory, or import the pod's own: sns cluster importconfig web
    | error: pod web was not compiled: 1 error in its pod.yaml
    [exit 4]
    ");
    bench.change_pod(
        "web",
        "pod.yaml",
        &WEB.replace("runtime: native", "runtime: natives"),
    );
    assert_snapshot!(bench.show(&["pod", "compile", "web"]), @r"
    $ sns pod compile web
    | compiling web:1.0.0 for host laptop …
    | error: host laptop has no plugin for pods with `runtime: natives`
    | hint: did you mean `native`?
    | hint: `sns host init laptop` installs the first-party plugins, `sns plugin install PLUGIN@laptop --file=FILE` others
    [exit 3]
    ");
    bench.write("laptop/plugins.yaml", "plugins: []\n");
    bench.change_pod("web", "pod.yaml", WEB);
    assert_snapshot!(bench.show(&["pod", "compile", "web"]), @r"
    $ sns pod compile web
    | compiling web:1.0.0 for host laptop …
    | error: host laptop has no plugin for pods with `runtime: native`
    | hint: `sns host init laptop` installs the first-party plugins, `sns plugin install PLUGIN@laptop --file=FILE` others
    [exit 3]
    ");
}

#[test]
fn a_component_that_was_not_granted_is_not_run() {
    let bench = Bench::with_native_host();
    bench.attach("web", "laptop", &[("pod.yaml", WEB)]);
    let yaml = bench.read("laptop/plugins.yaml");
    let digest = yaml
        .split_once("digest: ")
        .unwrap()
        .1
        .split_whitespace()
        .next()
        .unwrap()
        .trim_matches('"')
        .to_owned();
    bench.write(
        "laptop/plugins.yaml",
        &yaml.replace(&digest, &"0".repeat(64)),
    );
    assert_snapshot!(bench.show(&["pod", "compile", "web"]), @r"
    $ sns pod compile web
    | compiling web:1.0.0 for host laptop …
    | error: _plugins/native-runtime-0.1.0.wasm is not what host laptop granted
    | hint: granted: [DIGEST]
    | hint: found:   [DIGEST]
    | hint: bring it back from git, or install it again: sns plugin install native-runtime@laptop
    [exit 3]
    ");
}

#[test]
fn what_is_not_committed_is_compiled_and_said() {
    let bench = Bench::with_host();
    bench.attach("web", "laptop", &[("pod.yaml", PROGRAM), ("run.sh", RUN)]);
    bench.commit();
    crate::bench::write(
        &bench.cluster.pods().join("web/pod.yaml"),
        &PROGRAM.replace("1.0.0\n", "1.0.1\n"),
    );
    assert_snapshot!(bench.show(&["pod", "compile", "web"]), @r"
    $ sns pod compile web
    | warning: not committed: pod.yaml; so the log of the pod cannot say what was compiled
    | compiling web:1.0.1 for host laptop …
    | ok: web:1.0.1 compiled for host laptop
    | hint: bring it to the hosts: git add . && git commit; then sns cluster sync
    [exit 0]
    ");
    let log = bench.read("laptop/pods/web/log.txt");
    assert!(
        log.contains("COMPILE_POD web:1.0.1 pod.yaml=<unknown> cluster-vars.env="),
        "{log}"
    );
}

#[test]
fn unknown_names_and_superfluous_versions() {
    let bench = Bench::with_host();
    bench.attach("web", "laptop", &[("pod.yaml", PROGRAM), ("run.sh", RUN)]);
    assert_snapshot!(bench.show(&["pod", "compile", "wbe"]), @r"
    $ sns pod compile wbe
    | error: pod `wbe` is not attached to any host that takes part
    | hint: did you mean `web`?
    | hint: attach it with `sns host attach wbe@HOST`
    [exit 3]
    ");
    assert_snapshot!(bench.show(&["pod", "compile", "web@desktop"]), @r"
    $ sns pod compile web@desktop
    | error: there is no host `desktop` in the project
    | hint: `sns host ls -a` lists them, `sns host register` adds one
    [exit 3]
    ");
    assert_snapshot!(bench.show(&["pod", "compile", "web:1.0.0"]), @r"
    $ sns pod compile web:1.0.0
    | error: the version stands in the pod.yaml: leave it out
    [exit 2]
    ");
}

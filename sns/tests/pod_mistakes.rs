//! A pod.yaml with many mistakes: all are shown, those of the plugin too, and as many as are counted.

use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use crate::bench::{Bench, PROGRAM, RUN};

const MISTAKES: &str = "\
api: 1.0.0-beta3
runtime: native
podVersion: 1.0.0
processes:
  - name: main
    command: 5
    restart: sometimes
#endif
";

#[test]
fn the_plugins_mistakes_stand_beside_the_others_and_each_is_counted_once() {
    let bench = Bench::with_native_host();
    bench.attach("web", "laptop", &[("pod.yaml", MISTAKES)]);
    assert_snapshot!(bench.show(&["pod", "compile", "web", "--json"]), @r#"
    $ sns pod compile web --json
    {
      "compiled": [],
      "diagnostics": [
        {
          "column": 6,
          "expected": "1.0.0-beta1 or 1.0.0-beta2",
          "file": "[PODS]/web/pod.yaml",
          "hint": "did you mean `1.0.0-beta1`?",
          "line": 1,
          "message": "`1.0.0-beta3` is not allowed here",
          "path": "api",
          "severity": "error"
        },
        {
          "column": 14,
          "expected": "never, always, on-failure, on-config or on-interval:SECONDS",
          "file": "[PODS]/web/pod.yaml",
          "hint": null,
          "line": 7,
          "message": "`sometimes` is not allowed here",
          "path": "processes[0].restart",
          "severity": "error"
        },
        {
          "column": 1,
          "expected": null,
          "file": "[PODS]/web/pod.yaml",
          "hint": null,
          "line": 8,
          "message": "`#endif` closes nothing",
          "path": "",
          "severity": "error"
        },
        {
          "column": 14,
          "expected": null,
          "file": "[PODS]/web/pod.yaml",
          "hint": "write a list, as in `command: [one, two]`; there is no shell that would split a line",
          "line": 6,
          "message": "`command` is not a list",
          "path": "processes[0].command",
          "severity": "error"
        }
      ],
      "existing": [],
      "release": "web:1.0.0"
    }
    | compiling web:1.0.0 for host laptop …
    | loading plugin native-runtime 0.1.0 …
    | [PODS]/web/pod.yaml:1:6: error: `1.0.0-beta3` is not allowed here
    |   1 | api: 1.0.0-beta3
    |     |      ^
    |   expected: 1.0.0-beta1 or 1.0.0-beta2
    |   hint: did you mean `1.0.0-beta1`?
    | [PODS]/web/pod.yaml:7:14: error: `sometimes` is not allowed here
    |   7 |     restart: sometimes
    |     |              ^
    |   expected: never, always, on-failure, on-config or on-interval:SECONDS
    | [PODS]/web/pod.yaml:8:1: error: `#endif` closes nothing
    |   8 | #endif
    |     | ^
    | [PODS]/web/pod.yaml:6:14: error: `command` is not a list
    |   6 |     command: 5
    |     |              ^
    |   hint: write a list, as in `command: [one, two]`; there is no shell that would split a line
    | error: pod web was not compiled: 4 errors in its pod.yaml
    [exit 4]
    "#);
}

const EXPOSED: &str = "\
api: 1.0.0-beta2
runtime: executable
podVersion: 1.0.0
executable:
  file: run.sh
  expose:
    - hostPort: 30000
      clusterPort: 2000
      ingress:
        - protocol: https
          domain: example.com
          pathBeg: /
";

#[test]
fn a_program_is_exposed_as_its_yaml_says() {
    let bench = Bench::with_host();
    bench.attach("web", "laptop", &[("pod.yaml", EXPOSED), ("run.sh", RUN)]);
    bench.commit();
    bench.ok(&["pod", "compile", "web"]);
    let release = "laptop/pods/web/release/1.0.0";
    assert_eq!(bench.read(&format!("{release}/pod")), RUN);
    let info = bench.ok(&["pod", "info", "web"]);
    assert!(
        info.contains("hostPorts: 30000\nclusterPorts: 2000\n"),
        "{info}"
    );
    let mappings = bench.read(&format!("{release}/pod.portmappings.conf"));
    assert_eq!(mappings, "2000:30000:4096:false\n");
    assert!(
        bench
            .read(&format!("{release}/pod.ingress.conf"))
            .contains("example.com")
    );
}

#[test]
fn a_program_that_is_none_is_a_mistake_in_the_pod_yaml() {
    let bench = Bench::with_host();
    let yaml = |file: &str| PROGRAM.replace("run.sh", file);
    bench.attach(
        "web",
        "laptop",
        &[
            ("pod.yaml", &yaml("gone.sh")),
            ("plain", "echo\n"),
            ("config/conf/a", "1\n"),
            ("compiled", "#!/usr/bin/env -S simplenetesd pod\n"),
            ("run.sh", RUN),
        ],
    );
    bench.commit();
    assert_snapshot!(bench.show(&["pod", "compile", "web"]), @"
    $ sns pod compile web
    | compiling web:1.0.0 for host laptop …
    | [PODS]/web/pod.yaml:5:9: error: cannot read the program `gone.sh`: No such file or directory (os error 2)
    |   5 |   file: gone.sh
    |     |         ^
    |   hint: name a file seen from the directory of the pod.yaml; what a build makes has to be built first
    | error: pod web was not compiled: 1 error in its pod.yaml
    [exit 4]
    ");
    bench.change_pod("web", "pod.yaml", &yaml("plain"));
    assert_snapshot!(bench.show(&["pod", "compile", "web"]), @"
    $ sns pod compile web
    | compiling web:1.0.0 for host laptop …
    | [PODS]/web/pod.yaml:5:9: error: `plain` is no program: it begins neither with `#!` nor as an ELF file
    |   5 |   file: plain
    |     |         ^
    |   hint: the first line of a script names its interpreter, as in `#!/bin/sh`
    | error: pod web was not compiled: 1 error in its pod.yaml
    [exit 4]
    ");
    for (file, said) in [
        (
            "../../../../../../bin/sh",
            "lies outside of the pod's directory",
        ),
        ("config", "is no file"),
        ("compiled", "is a pod that was compiled already"),
    ] {
        bench.change_pod("web", "pod.yaml", &yaml(file));
        let outcome = bench.run(&["pod", "compile", "web"]);
        assert!(outcome.stderr.contains(said), "{file}: {outcome}");
    }
    let volumes = "volumes:\n  - name: fast\n    type: ramdisk\n";
    bench.change_pod("web", "pod.yaml", &format!("{}{volumes}", yaml("gone.sh")));
    let ramdisk = bench.run(&["pod", "compile", "web"]);
    assert!(
        ramdisk
            .stderr
            .contains("nobody makes the ramdisks of a program: fast"),
        "{ramdisk}"
    );
    bench.change_pod("web", "pod.yaml", &PROGRAM.replace("file: run.sh", "{}"));
    let nothing = bench.run(&["pod", "compile", "web"]);
    assert!(nothing.stderr.contains("1 error in its"), "{nothing}");
    let program = bench.cluster.pods().join("web/run.sh");
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o644)).unwrap();
    bench.change_pod("web", "pod.yaml", &yaml("run.sh"));
    let plain = bench.run(&["pod", "compile", "web"]);
    assert!(
        plain.code == 0 && plain.stderr.contains("chmod +x run.sh"),
        "{plain}"
    );
}

//! A pod.yaml with many mistakes: all are shown, those of the plugin too, and as many as are counted.

use insta::assert_snapshot;

use crate::bench::Bench;

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

//! `sns pod compile --standalone`: a pod that runs as it is, without any cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use insta::assert_snapshot;
use testkit::{Outcome, wait_until};

use crate::bench::{Bench, write};

const LIMIT: Duration = Duration::from_secs(30);

/// It says what it was given, and then waits.
const POD: &str = "\
api: 1.0.0-beta2
runtime: native
podVersion: 1.0.0
volumes:
  - name: conf
    type: config
#iftrue ${devmode}
  - name: src
    type: host
    bind: ./src
#endif
processes:
  - name: main
    command: [/bin/sh, -c, 'cat mnt/conf/a; echo ${greeting}; exec sleep 600']
    restart: always
    mounts:
      - volume: conf
        dest: /mnt/conf
#iftrue ${devmode}
      - volume: src
        dest: /mnt/src
#endif
";

/// A pod in a directory of its own, removed when it is dropped.
struct Alone {
    bench: Bench,
    directory: PathBuf,
}

impl Alone {
    fn new(files: &[(&str, &str)]) -> Self {
        let bench = Bench::empty().with_plugins();
        let directory = bench.cluster.folder().join("web");
        for (path, text) in files {
            write(&directory.join(path), text);
        }
        Self { bench, directory }
    }

    fn with_pod() -> Self {
        Self::new(&[
            ("pod.yaml", POD),
            ("pod.env", "devmode=true\ngreeting=hello\n"),
            ("config/conf/a", "one\n"),
            ("src/page", "page\n"),
        ])
    }

    fn show(&self, arguments: &[&str]) -> String {
        let outcome = self.bench.run_in(&self.directory, arguments);
        self.bench.shown(arguments, &outcome)
    }

    fn compile(&self) {
        let arguments = ["pod", "compile", "--standalone"];
        let outcome = self.bench.run_in(&self.directory, &arguments);
        outcome.success().unwrap();
    }

    /// A verb of the compiled pod, called as a user does.
    fn pod(&self, words: &[&str]) -> Outcome {
        let program = self.directory.join("pod");
        let mut command = self.bench.cluster.command(program.to_str().unwrap());
        command.args(words).current_dir(&self.directory);
        command.env("SIMPLENETES_PLUGINS", self.bench.plugins());
        Outcome::of(&mut command).unwrap()
    }

    fn ok(&self, words: &[&str]) -> String {
        self.pod(words).success().unwrap()
    }

    fn wait_for_log(&self, text: &str) {
        let told = || Ok(self.ok(&["logs"]).contains(text).then_some(()));
        wait_until(text, LIMIT, told).unwrap();
    }

    fn read(&self, path: &str) -> String {
        read(&self.directory.join(path))
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if self.directory.join(".pod.status").exists() {
            self.pod(&["rm", "--kill"]);
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_pod_is_compiled_runs_reloads_and_is_removed_in_its_own_directory() {
    let alone = Alone::with_pod();
    assert_snapshot!(alone.show(&["pod", "compile", "--standalone"]), @r"
    $ sns pod compile --standalone
    | loading plugin native-runtime 0.1.0 …
    | ok: web:1.0.0 compiled: ./pod
    | hint: start it: ./pod run
    [exit 0]
    ");
    assert!(alone.read("pod").contains("bind: "));
    assert!(!alone.directory.join("pod.state").exists());
    alone.ok(&["run"]);
    alone.wait_for_log(" one");
    assert!(alone.ok(&["ps"]).contains("status: running"));
    let page = alone.ok(&["exec", "--", "cat", "mnt/src/page"]);
    assert_eq!(page, "page\n", "the source itself is mounted");
    write(&alone.directory.join("config/conf/a"), "two\n");
    alone.wait_for_log(" two");
    // The same version compiled again, while it runs.
    write(
        &alone.directory.join("pod.env"),
        "devmode=true\ngreeting=goodbye\n",
    );
    alone.compile();
    alone.wait_for_log(" goodbye");
    alone.ok(&["stop"]);
    assert!(alone.ok(&["ps"]).contains("status: exited"));
    alone.ok(&["rm"]);
    assert!(alone.ok(&["ps"]).contains("status: removed"));
}

#[test]
fn what_is_wrong_is_said_with_the_way_out() {
    let alone = Alone::new(&[]);
    let compile = ["pod", "compile", "--standalone"];
    assert_snapshot!(alone.show(&compile), @r"
    $ sns pod compile --standalone
    | error: there is no [FOLDER]/pod.yaml
    | hint: go to the pod's directory, or name it: --standalone DIR
    [exit 3]
    ");
    let port = "    expose:\n      - {targetPort: 80, hostPort: '${HOSTPORTAUTO1}'}\n";
    write(&alone.directory.join("pod.yaml"), &format!("{POD}{port}"));
    assert_snapshot!(alone.show(&compile), @r"
    $ sns pod compile --standalone
    | loading plugin native-runtime 0.1.0 …
    | pod.yaml:7:1: warning: variable `${devmode}` has no value and becomes empty
    |   7 | #iftrue ${devmode}
    |     | ^
    |   hint: define it in pod.env: devmode=
    | pod.yaml:14:50: warning: variable `${greeting}` has no value and becomes empty
    |   14 |     command: [/bin/sh, -c, 'cat mnt/conf/a; echo ${greeting}; exec sleep 600']
    |      |                                                  ^
    |   hint: define it in pod.env: greeting=
    | pod.yaml:24:36: error: `` is not allowed here
    |   24 |       - {targetPort: 80, hostPort: '${HOSTPORTAUTO1}'}
    |      |                                    ^
    |   expected: a number from 1 to 65535
    | pod.yaml:24:37: error: only a cluster chooses `${HOSTPORTAUTO1}`
    |   24 |       - {targetPort: 80, hostPort: '${HOSTPORTAUTO1}'}
    |      |                                     ^
    |   hint: write a port into pod.env: HOSTPORTAUTO1=8080
    | pod.yaml:5:11: error: config `conf` has no directory config/conf
    |   5 |   - name: conf
    |     |           ^
    |   hint: make the directory, beside the pod.yaml; the unit finds its files where it mounts the config
    | error: pod web was not compiled: 3 errors in its pod.yaml
    [exit 4]
    ");
    write(&alone.directory.join("pod.env"), "greeting\n");
    assert_snapshot!(alone.show(&compile), @r"
    $ sns pod compile --standalone
    | error: pod.env:1: found `greeting`, expected NAME=value, or a comment that begins with `#`
    [exit 4]
    ");
    write(&alone.directory.join("pod.env"), "");
    write(
        &alone.directory.join("pod.yaml"),
        &POD.replace("native", "natvie"),
    );
    assert_snapshot!(alone.show(&compile), @r"
    $ sns pod compile --standalone
    | error: there is no plugin for pods with `runtime: natvie`
    | hint: did you mean `native`?
    | hint: name plugins of your own in [FOLDER]/home/.config/simplenetes/plugins.yaml
    | hint: looked in [PROGRAMS]/plugins; built components lie there after `cargo xtask plugins`
    [exit 3]
    ");
    assert!(!alone.directory.join("pod").exists());
}

#[test]
fn nothing_of_the_user_is_overwritten_and_no_pod_is_lost_from_sight() {
    let alone = Alone::with_pod();
    write(&alone.directory.join("pod"), "my notes\n");
    let compile = ["pod", "compile", "--standalone"];
    assert_snapshot!(alone.show(&compile), @r"
    $ sns pod compile --standalone
    | error: ./pod is in the way: it was not compiled by this program
    | hint: move it away, or name another directory with --outfile
    [exit 5]
    ");
    assert_eq!(alone.read("pod"), "my notes\n");
    fs::remove_file(alone.directory.join("pod")).unwrap();
    assert_snapshot!(alone.show(&["pod", "compile", "--standalone", "--outfile", "notes"]), @r"
    $ sns pod compile --standalone --outfile notes
    | error: a compiled pod cannot be called [FOLDER]/web/notes
    | hint: its files lie beside it, so it has a directory of its own: --outfile=DIR/pod
    [exit 3]
    ");
    alone.compile();
    alone.ok(&["run"]);
    write(
        &alone.directory.join("pod.yaml"),
        &POD.replace("1.0.0\n", "1.0.1\n"),
    );
    assert_snapshot!(alone.show(&compile), @r"
    $ sns pod compile --standalone
    | error: ./pod is web-1.0.0 now (running), and would be lost from sight as web:1.0.1
    | hint: remove it first: ./pod rm
    [exit 5]
    ");
    assert_snapshot!(alone.show(&["pod", "compile", "other", "--standalone"]), @r"
    $ sns pod compile other --standalone
    | error: ./pod is web-1.0.0 now (running), and would be lost from sight as other:1.0.1
    | hint: remove it first: ./pod rm
    [exit 5]
    ");
    alone.ok(&["rm"]);
    alone.compile();
    assert_eq!(
        alone.ok(&["version"]).lines().last(),
        Some("podVersion 1.0.1")
    );
}

#[test]
fn names_places_and_values_can_be_said() {
    let alone = Alone::with_pod();
    let folder = alone.bench.cluster.folder().to_owned();
    let said = [
        "pod",
        "compile",
        "other",
        "--standalone",
        "web",
        "-o",
        "out",
    ];
    fs::create_dir(folder.join("out")).unwrap();
    alone.bench.run_in(&folder, &said).success().unwrap();
    let pod = read(&folder.join("out/pod"));
    assert!(pod.contains("\npod: other\n"), "{pod}");
    let src = alone.directory.join("src");
    assert!(pod.contains(src.to_str().unwrap()), "{pod}");
    assert_eq!(read(&folder.join("out/config/conf/a")), "one\n");
    assert!(!alone.directory.join("pod").exists());
    let ports = "    expose:\n      - {targetPort: 80, hostPort: 8080, clusterPort: 1080}\n";
    write(&alone.directory.join("pod.yaml"), &format!("{POD}{ports}"));
    alone.compile();
    assert_eq!(
        alone.read("pod.portmappings.conf"),
        "1080:8080:4096:false\n"
    );
    write(
        &alone.directory.join("pod.yaml"),
        &POD.replace("greeting", "USER"),
    );
    alone.compile();
    assert!(!alone.directory.join("pod.portmappings.conf").exists());
    assert!(!alone.read("pod").contains("tester"));
    let arguments = ["pod", "compile", "--standalone", "--source-env"];
    let taken = alone.bench.run_in(&alone.directory, &arguments);
    taken.success().unwrap();
    assert!(alone.read("pod").contains("tester"));
}

#[test]
fn the_example_shows_what_is_saved() {
    const ENV: &str = include_str!("../../examples/standalone/pod.env");
    let port = testkit::free_port().unwrap();
    let alone = Alone::new(&[
        (
            "pod.yaml",
            include_str!("../../examples/standalone/pod.yaml"),
        ),
        ("pod.env", &ENV.replace("8181", &port.to_string())),
        ("src/index.html", "source\n"),
        ("config/www/index.html", "release\n"),
    ]);
    let page = || testkit::fetch(([127, 0, 0, 1], port).into(), "/index.html");
    alone.compile();
    alone.ok(&["run"]);
    let is_ready = || Ok(alone.pod(&["readiness"]).code == 0).map(|is| is.then_some(()));
    wait_until("the server to listen", LIMIT, is_ready).unwrap();
    assert_eq!(page().unwrap(), "source\n");
    write(&alone.directory.join("src/index.html"), "saved\n");
    assert_eq!(page().unwrap(), "saved\n");
    let env = alone
        .read("pod.env")
        .replace("devmode=true", "devmode=false");
    write(&alone.directory.join("pod.env"), &env);
    alone.compile();
    let shows = || Ok(page().is_ok_and(|page| page == "release\n").then_some(()));
    wait_until("the page of the release", LIMIT, shows).unwrap();
    alone.ok(&["rm"]);
    assert!(page().is_err(), "nobody listens any more");
}

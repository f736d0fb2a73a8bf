//! Encrypted configs: from an operator's hand through git and a sync into the memory of a host, and everything that
//! is refused on the way.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use testkit::{Daemon, Outcome, wait_until};

use crate::bench::{Bench, PROGRAM, RUN, write};

/// Says what it sees without saying it, at its start and when it is told of a change.
const POD: &str = "\
api: 1.0.0-beta2
runtime: native
podVersion: 1.0.0
volumes:
  - {name: keys, type: config, encrypted: true}
  - {name: conf, type: config}
processes:
  - name: main
    command:
      - sh
      - -c
      - 'say() { cksum <keys/db; }; trap say HUP; say; while :; do sleep 600 & wait; kill $!; done'
    restart: always
    signal:
      - sig: HUP
    mounts:
      - {volume: keys, dest: /keys}
";
const LIMIT: Duration = Duration::from_secs(60);

/// A project with a host, an operator who has a key, and a pod with an encrypted config.
fn bench() -> Bench {
    let bench = Bench::with_native_host();
    bench.ok(&["secret", "keygen"]);
    bench.ok(&["secret", "operator", "add", "anna"]);
    let files = [("pod.yaml", POD), ("config/conf/a", "plain\n")];
    bench.attach("web", "laptop", &files);
    bench
}

fn set(bench: &Bench, secret: &str) -> String {
    let file = bench.cluster.folder().join("secret");
    write(&file, secret);
    let from = format!("--from-file={}", file.display());
    let shown = bench.show(&["secret", "set", "web/keys/db", &from]);
    fs::remove_file(file).unwrap();
    shown
}

/// What the pod says of a secret.
fn said_of(secret: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), secret);
    #[expect(
        clippy::disallowed_methods,
        reason = "a test asks a program of the system"
    )]
    let mut command = std::process::Command::new("sh");
    let command = command.args(["-c", "cksum <\"$0\""]).arg(file.path());
    Outcome::of(command)
        .unwrap()
        .success()
        .unwrap()
        .trim()
        .to_owned()
}

fn log(bench: &Bench) -> String {
    let log = "pods/web/release/1.0.0/log/main-web-1.0.0-stdout.log";
    fs::read_to_string(bench.cluster.host_home("laptop").join(log)).unwrap_or_default()
}

fn wait_for(bench: &Bench, secret: &str) {
    let expected = said_of(secret);
    let said = || Ok(log(bench).contains(&expected).then_some(()));
    wait_until("the pod to see its secret", LIMIT, said).unwrap();
}

fn bring(bench: &Bench) {
    bench.ok(&["pod", "updateconfig", "web"]);
    bench.commit();
    bench.ok(&["cluster", "sync"]);
}

fn start(bench: &Bench) -> Daemon {
    let home = bench.cluster.host_home("laptop");
    Daemon::start(&mut bench.cluster.daemon("laptop"), &home).unwrap()
}

/// The files below that hold the text, links not followed, what is in memory left out.
fn holders(directory: &Path, text: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let is_memory = path.ends_with("ramdisk");
        if path.is_symlink() || is_memory {
            continue;
        }
        if path.is_dir() {
            holders(&path, text, found);
        } else if String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(text) {
            found.push(path.display().to_string());
        }
    }
}

fn wait_for_message(bench: &Bench, part: &str) {
    let mut last = String::new();
    let told = || {
        last = bench.show(&["pod", "ps", "web", "--json"]);
        Ok(last.contains(part).then_some(()))
    };
    wait_until(&format!("ps to say: {part}"), LIMIT, told)
        .unwrap_or_else(|_| panic!("{part}: {last}"));
}

#[test]
fn a_secret_comes_from_the_operator_to_the_pod_and_lies_in_plain_text_nowhere_else() {
    let bench = bench();
    set(&bench, "correct horse 1");
    bench.ok(&["pod", "compile", "web"]);
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    let mut daemon = start(&bench);
    wait_for(&bench, "correct horse 1");

    set(&bench, "correct horse 2");
    bring(&bench);
    wait_for(&bench, "correct horse 2");
    // Another key and another text for the same secret concern nobody, nor does another daemon.
    bench.ok(&["host", "rekey", "laptop"]);
    bench.ok(&["secret", "encrypt"]);
    bring(&bench);
    daemon.stop().unwrap();
    let _daemon = start(&bench);
    set(&bench, "correct horse 3");
    bring(&bench);
    wait_for(&bench, "correct horse 3");
    assert_eq!(log(&bench).lines().count(), 3, "{}", log(&bench));

    let mut found = Vec::new();
    holders(bench.cluster.folder(), "correct horse", &mut found);
    assert_eq!(found, [""; 0]);
    bench.ok(&["pod", "state", "web", "--state=removed"]);
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    let ramdisk = bench
        .cluster
        .host_home("laptop")
        .join("pods/web/release/1.0.0/ramdisk");
    let is_gone = || Ok((!ramdisk.exists()).then_some(()));
    wait_until("the memory of the pod to be given back", LIMIT, is_gone).unwrap();
}

#[test]
fn a_pod_that_runs_is_left_alone_when_its_secret_cannot_be_opened() {
    let bench = bench();
    set(&bench, "correct horse 1");
    bench.ok(&["pod", "compile", "web"]);
    bench.commit();
    bench.ok(&["cluster", "sync"]);
    let key = bench.cluster.host_home("laptop").join("age-key.txt");
    let away = key.with_file_name("away.txt");
    fs::hard_link(&key, &away).unwrap();
    fs::remove_file(&key).unwrap();
    let _daemon = start(&bench);
    wait_for_message(&bench, "there is no key at");
    assert_eq!(log(&bench), "");
    fs::hard_link(&away, &key).unwrap();
    wait_for(&bench, "correct horse 1");

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    set(&bench, "correct horse 2");
    bring(&bench);
    wait_for_message(&bench, "can be read by others: `chmod 600` it");
    assert_eq!(log(&bench).lines().count(), 1);
    // What lies on a host may also have been damaged there.
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let config = "pods/web/release/1.0.0/config/keys/..data/db";
    let text = bench.read_home("laptop", config);
    let lines: Vec<&str> = text.lines().collect();
    let cut = [&lines[..3], &lines[4..]].concat().join("\n");
    bench.write_home("laptop", config, &cut);
    let config = "pods/web/release/1.0.0/config/keys/extra";
    bench.write_home("laptop", config, "correct horse");
    wait_for_message(&bench, "config/keys/db ");
    assert_eq!(log(&bench).lines().count(), 1);
    assert!(
        !bench
            .show(&["pod", "ps", "web", "--json"])
            .contains("horse")
    );
}

#[test]
fn what_a_host_could_not_open_is_not_compiled() {
    let bench = bench();
    let said = bench.show(&["pod", "compile", "web"]);
    assert!(said.contains("sns secret set web/keys/FILE"), "{said}");
    bench.write("_config/web/keys/db", "correct horse\n");
    let said = bench.show(&["pod", "compile", "web"]);
    assert!(said.contains("web/keys/db: it is not encrypted"), "{said}");
    assert!(
        said.contains("sns secret encrypt web") && said.contains("[exit 3]"),
        "{said}"
    );
    let said = bench.show(&["secret", "check"]);
    assert!(
        said.contains("web/keys/db: it is not encrypted") && said.contains("[exit 3]"),
        "{said}"
    );
    bench.ok(&["secret", "encrypt"]);
    assert_eq!(
        bench.ok(&["secret", "show", "web/keys/db"]),
        "correct horse\n"
    );
    bench.ok(&["secret", "check"]);
    bench.ok(&["pod", "compile", "web"]);

    bench.add_host("other", "127.0.0.2");
    bench.ok(&["host", "attach", "web@other"]);
    let said = bench.show(&["pod", "compile", "web@other"]);
    assert!(
        said.contains("web/keys/db: it is not encrypted to host other"),
        "{said}"
    );
    let said = bench.show(&["secret", "encrypt", "web"]);
    assert!(
        said.contains("it is not encrypted to host other; now it is right"),
        "{said}"
    );
    bench.ok(&["pod", "compile", "web@other"]);

    // What is right keeps its bytes.
    let before = bench.read("_config/web/keys/db");
    bench.ok(&["secret", "reencrypt"]);
    let said = set(&bench, "correct horse\n");
    assert!(said.contains("web/keys/db says that already"), "{said}");
    assert_eq!(bench.read("_config/web/keys/db"), before);

    bench.ok(&["host", "detach", "web@other"]);
    let said = bench.show(&["secret", "check"]);
    assert!(
        said.contains("it is still encrypted to host other"),
        "{said}"
    );
    let said = bench.show(&["secret", "reencrypt"]);
    assert!(
        said.contains("warning: host other could read these secrets before"),
        "{said}"
    );
    let said = bench.ok(&["secret", "ls"]);
    assert!(
        said.contains("web/keys/db  ok     host laptop, operator anna"),
        "{said}"
    );
    let said = bench.ok(&["secret", "ls", "--json"]);
    assert!(
        said.contains("\"state\": \"ok\"") && said.contains("\"extra\": []"),
        "{said}"
    );
}

#[test]
fn operators_come_and_go() {
    let bench = bench();
    set(&bench, "correct horse");
    let bobs = bench.cluster.folder().join("bob.txt");
    let identity = format!("--identity={}", bobs.display());
    bench.ok(&["secret", "keygen", &identity]);
    assert_eq!(
        fs::metadata(&bobs).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let said = bench.show(&["secret", "keygen", &identity]);
    assert!(
        said.contains("there is a key at") && said.contains("[exit 3]"),
        "{said}"
    );
    let said = bench.show(&["secret", "show", "web/keys/db", &identity]);
    assert!(said.contains("it is not encrypted to this key"), "{said}");
    assert!(said.contains("it is encrypted to operator anna"), "{said}");

    bench.ok(&["secret", "operator", "add", "bob", &identity]);
    let said = bench.show(&["secret", "encrypt", &identity]);
    assert!(said.contains("it is not encrypted to this key"), "{said}");
    bench.ok(&["secret", "encrypt"]);
    assert_eq!(
        bench.ok(&["secret", "show", "web/keys/db", &identity]),
        "correct horse"
    );
    bench.ok(&["secret", "operator", "rm", "anna"]);
    bench.ok(&["secret", "encrypt", &identity]);
    let said = bench.show(&["secret", "show", "web/keys/db"]);
    assert!(said.contains("it is not encrypted to this key"), "{said}");
    let listed = bench.ok(&["secret", "operator", "ls"]);
    assert!(
        listed.contains("bob") && !listed.contains("anna"),
        "{listed}"
    );

    fs::set_permissions(&bobs, fs::Permissions::from_mode(0o640)).unwrap();
    let said = bench.show(&["secret", "show", "web/keys/db", &identity]);
    assert!(
        said.contains("can be read by others") && said.contains("chmod 600"),
        "{said}"
    );
    fs::remove_file(&bobs).unwrap();
    let said = bench.show(&["secret", "show", "web/keys/db", &identity]);
    assert!(
        said.contains("you have no key at") && said.contains("sns secret keygen"),
        "{said}"
    );
}

#[test]
fn what_is_meant_by_mistake_is_refused() {
    let bench = bench();
    let check = |arguments: &[&str], parts: &[&str]| {
        let said = bench.show(arguments);
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
    };
    check(
        &["secret", "set", "web/conf/db"],
        &[
            "pod web has no encrypted config `conf`",
            "its encrypted configs are: keys",
            "[exit 3]",
        ],
    );
    check(
        &["secret", "set", "web/keys"],
        &["expected POD/CONFIG/FILE", "[exit 2]"],
    );
    check(
        &["secret", "set", "web/keys/../x"],
        &["expected POD/CONFIG/FILE", "[exit 2]"],
    );
    check(&["secret", "set", "wep/keys/db"], &["[exit 3]"]);
    check(
        &["secret", "set", "web/keys/db"],
        &["the secret is empty", "[exit 3]"],
    );
    check(
        &["secret", "show", "web/keys/db"],
        &["there is no secret web/keys/db", "[exit 3]"],
    );
    check(
        &["secret", "operator", "rm", "ana"],
        &["there is no operator `ana`", "anna", "[exit 3]"],
    );
    check(
        &["secret", "operator", "add", "bob", "age1x"],
        &["is no age recipient", "[exit 2]"],
    );
    check(
        &["secret", "operator", "add", "anna", &own_key(&bench)],
        &["operator anna is there already"],
    );
    check(
        &["secret", "operator", "add", "an na"],
        &["cannot name a reader"],
    );
    bench.write("operators.txt", "nonsense\n");
    check(
        &["secret", "operator", "ls"],
        &["operators.txt:1: ", "is no age recipient", "[exit 4]"],
    );
}

fn own_key(bench: &Bench) -> String {
    bench.ok(&["secret", "keygen", "--show"]).trim().to_owned()
}

#[test]
fn nothing_opens_a_config_for_a_program() {
    let bench = Bench::with_host();
    let volume = "volumes:\n- {name: keys, type: config, encrypted: true}\n";
    let pod = format!("{PROGRAM}{volume}");
    let files = [
        ("pod.yaml", pod.as_str()),
        ("run.sh", RUN),
        ("config/keys/a", "1\n"),
    ];
    bench.attach("web", "laptop", &files);
    let said = bench.show(&["pod", "compile", "web"]);
    assert!(
        said.contains("the config `keys` cannot be encrypted") && said.contains("[exit 4]"),
        "{said}"
    );
}

#[test]
fn a_secret_is_edited_in_memory() {
    let bench = bench();
    set(&bench, "correct horse\n");
    let editor = |script: &str| {
        let file = bench.cluster.folder().join("editor");
        write(&file, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = bench.cluster.sns(&["secret", "edit", "web/keys/db"]);
        Outcome::of(command.env("EDITOR", file)).unwrap()
    };
    let seen = bench.cluster.folder().join("seen");
    let before = bench.read("_config/web/keys/db");
    let script = format!(
        "stat -f -c %T \"$1\" >{0}; dirname \"$1\" >>{0}",
        seen.display()
    );
    assert!(editor(&script).stderr.contains("was not changed"));
    assert_eq!(bench.read("_config/web/keys/db"), before);
    let told = fs::read_to_string(seen).unwrap();
    let (kind, folder) = told.split_once('\n').unwrap();
    assert_eq!(kind, "tmpfs");
    assert!(!Path::new(folder.trim()).exists(), "{folder}");
    assert_eq!(editor("exit 1").code, 3);
    assert_eq!(bench.read("_config/web/keys/db"), before);
    editor("echo 'battery staple' >>\"$1\"").success().unwrap();
    assert_eq!(
        bench.ok(&["secret", "show", "web/keys/db"]),
        "correct horse\nbattery staple\n"
    );
}

//! Secrets of a host, with the real daemon: programs and files get them, nobody else ever does, and what is wrong
//! with one is said without it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::LazyLock;

use hostfiles::Format as _;
use serde_json::json;
use simplenetes_plugin::{Grants, SecretGrant};
use testkit::Daemon;

use crate::host::{Host, is_running, pid};
use crate::mock;

const WEB: &str = "web:1.0.0";
/// No other process on this machine has it, another run of this test included.
static SECRET: LazyLock<String> = LazyLock::new(|| format!("correct-horse-{}", std::process::id()));
const NAMED: &str = "plugin mock 0.1.0 failed in `plan`";

/// A host with the plugin, which may have this secret filled in.
fn host(name: &str) -> Host {
    let host = Host::new();
    let mut grants: Grants = serde_json::from_value(mock::grants()).unwrap();
    let programs = json!([
        {"program": "echo", "arguments": ["it-is-{secret:db}!"]},
        {"program": "ls", "arguments": ["/nowhere/{secret:db}"]},
        {"program": "printenv", "arguments": ["PASSWORD"], "environment": ["PASSWORD"]},
        {"program": "sleep", "arguments": ["600"], "environment": ["PASSWORD"]},
        {"program": "cat", "arguments": ["[root/kept]"], "stdin": true},
    ]);
    let programs = serde_json::from_value::<Grants>(json!({"programs": programs})).unwrap();
    // The first grant that fits is the one that counts.
    grants.programs.splice(0..0, programs.programs);
    grants.secrets.push(SecretGrant {
        name: name.parse().unwrap(),
        reason: "to log in".into(),
    });
    let grants = serde_json::to_value(grants).unwrap();
    mock::install_as(&host, &mock::component(), grants);
    host
}

fn put(host: &Host, name: &str, content: &[u8], mode: u32) {
    let path = host.home().secrets_dir().join(name);
    fs::create_dir_all(host.home().secrets_dir()).unwrap();
    hostfiles::replace(&path, content, mode).unwrap();
}

/// A daemon whose own words go into this file.
fn daemon(host: &Host, said: &Path) -> Daemon {
    let home = host.home().path().to_owned();
    let mut command = host.command(&[home.to_str().unwrap()]);
    let said = fs::File::create(said).unwrap();
    command.stderr(Stdio::from(said));
    Daemon::start(&mut command, &home).unwrap()
}

/// All files below that hold the secret, as text or as JSON holds bytes.
fn holders(directory: &Path, found: &mut Vec<String>) {
    let numbers: Vec<String> = SECRET.bytes().map(|byte| byte.to_string()).collect();
    let numbers = numbers.join(",");
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            holders(&path, found);
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        if text.contains(SECRET.as_str()) || text.contains(&numbers) {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
}

/// All processes that show the secret to those who look at them: `pid/cmdline` or `pid/environ`.
fn showing() -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        for file in ["cmdline", "environ"] {
            // Some end meanwhile.
            let path = entry.as_ref().unwrap().path().join(file);
            let bytes = fs::read(&path).unwrap_or_default();
            if String::from_utf8_lossy(&bytes).contains(SECRET.as_str()) {
                found.push(path.strip_prefix("/proc").unwrap().display().to_string());
            }
        }
    }
    found
}

#[test]
fn programs_and_files_get_a_secret_and_nobody_else_does() {
    let host = host("db");
    put(&host, "db", format!("{}\n", *SECRET).as_bytes(), 0o600);
    fs::create_dir_all(host.release(WEB).path().join("root")).unwrap();
    mock::pod(&host, WEB, "pry");
    let said = host.home().path().with_file_name("said");
    let mut daemon = daemon(&host, &said);
    let status = host.wait(WEB, "the pod to run", is_running);

    let root = host.release(WEB).path().join("root");
    let config = root.join("config");
    let text = fs::read_to_string(&config).unwrap();
    // A file gets it byte for byte.
    assert_eq!(text, format!("password = {}\n\n", *SECRET));
    let mode = fs::metadata(&config).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        fs::read_to_string(root.join("kept")).unwrap(),
        format!("{}\n", *SECRET)
    );

    let environment = fs::read(format!("/proc/{}/environ", pid(&status))).unwrap();
    let mut variables = environment.split(|byte| *byte == 0);
    let expected = format!("PASSWORD={}", *SECRET);
    assert!(variables.any(|pair| pair == expected.as_bytes()));
    // The unit alone: neither daemon nor shim, and no list of processes.
    assert_eq!(showing(), [format!("{}/environ", pid(&status))]);

    // Every look has brought something, and none the secret.
    let seen = fs::read_to_string(root.join("found")).unwrap();
    let size = SECRET.len() + 1;
    for part in [
        r#"argument: 0 "#,
        r#""it-is-[secret]!\n""#,
        r#""[secret]\n" """#,
        r#""first\n[secret]\nlast\n""#,
        &format!(r#"kept: 0 {size} "" """#),
        r#"file: 0 9 "[secret]\n""#,
    ] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    assert!(!seen.contains(SECRET.as_str()), "{seen}");

    // It is nowhere else: status, logs, records, the plugin's own state.
    let record = host.release(WEB).run_dir().join("driver.json");
    testkit::wait_until("the state of the plugin", crate::host::LIMIT, || {
        let text = fs::read_to_string(&record).unwrap_or_default();
        Ok((text.len() > seen.len()).then_some(()))
    })
    .unwrap();
    daemon.stop().unwrap();
    let mut found = Vec::new();
    holders(host.home().path().parent().unwrap(), &mut found);
    found.sort();
    assert_eq!(found, ["config", "db", "kept"]);
    assert!(fs::read_to_string(&said).unwrap().contains("start main"));
    // A restart of the daemon changes nothing of it.
    let _next = host.daemon();
    let after = host.wait(WEB, "the pod to be adopted", is_running);
    assert_eq!(pid(&after), pid(&status));
}

#[test]
fn a_program_that_fails_with_the_secret_on_its_lips_is_not_quoted() {
    let host = host("db");
    // Not the one that no process may show: this is an argument.
    let secret = "battery-staple";
    put(&host, "db", secret.as_bytes(), 0o600);
    mock::pod(&host, WEB, "blurt");
    let _daemon = host.daemon();
    let status = host.wait(WEB, "the failure", |status| {
        status.message.contains("blurt: ended with")
    });
    assert!(status.message.contains("/nowhere/[secret]"), "{status:?}");
    assert!(!status.to_text().contains(secret), "{status:?}");
}

#[test]
fn what_is_not_granted_or_no_name_is_refused_and_named_by_ps() {
    for (behaviour, words) in [
        ("covet", "the secret `other` is not granted"),
        ("stray", "`../cluster-id.txt` is not a name of a secret"),
    ] {
        let host = host("db");
        put(&host, "other", SECRET.as_bytes(), 0o600);
        mock::pod(&host, WEB, behaviour);
        let _daemon = host.daemon();
        let status = host.wait(WEB, words, |status| status.message.contains(words));
        assert!(status.message.contains(NAMED), "{status:?}");
        assert!(!host.release(WEB).path().join("root").exists());
    }
}

#[test]
fn a_secret_that_others_could_read_is_not_used_until_it_is_put_right() {
    let host = host("other");
    mock::pod(&host, WEB, "covet");
    let _daemon = host.daemon();
    let wait = |words: &str| {
        let status = host.wait(WEB, words, |status| status.message.contains(words));
        let message = &status.message;
        assert!(message.contains("the secret `other`"), "{message}");
        assert!(!message.contains(SECRET.as_str()), "{message}");
    };
    wait("let only its owner read it");
    put(&host, "other", SECRET.as_bytes(), 0o644);
    wait("can be read by others");
    put(&host, "other", SECRET.as_bytes(), 0o600);
    let written = host.release(WEB).path().join("root/config");
    // The plugin starts nothing, and that is what is said now.
    let status = host.wait(WEB, "the file", |_| written.exists());
    assert_eq!(fs::read_to_string(written).unwrap(), *SECRET, "{status:?}");
}

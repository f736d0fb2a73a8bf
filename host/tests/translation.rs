//! Plugins that are translated while the daemon has other things to do.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use testkit::wait_until;

use crate::host::{Host, LIMIT, is_running, shell, stop};
use crate::mock;

const WEB: &str = "web:1.0.0";
const MOCK: &str = "mock:1.0.0";

/// A plugin that no cache knows: the one for tests with a section that means nothing.
fn unknown_component() -> Vec<u8> {
    let name = b"salt";
    let salt = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos()
        .to_le_bytes();
    let mut component = mock::component();
    // A custom section: its number, its size, the length of its name, its name, and what it holds.
    component.push(0);
    component.push(u8::try_from(1 + name.len() + salt.len()).unwrap());
    component.push(u8::try_from(name.len()).unwrap());
    component.extend_from_slice(name);
    component.extend_from_slice(&salt);
    component
}

/// The process that translates for this daemon.
fn translator(daemon: u32) -> Option<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.into_iter().find(|pid| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
        let is_child =
            read("status").is_ok_and(|text| text.contains(&format!("\nPPid:\t{daemon}\n")));
        is_child && read("cmdline").is_ok_and(|words| words.contains("translate"))
    })
}

#[test]
fn nobody_waits_for_the_translation_of_another_kind() {
    let host = Host::new();
    host.pod(WEB, "running", &shell("main", "", "exec sleep 600"));
    mock::pod(&host, MOCK, "serve");
    mock::install_as(&host, &unknown_component(), mock::grants());
    let daemon = host.daemon();
    let translator = wait_until("a translation", LIMIT, || Ok(translator(daemon.id()))).unwrap();
    stop(translator);
    host.wait(WEB, "the pod to run", is_running);
    host.state(WEB, "stopped");
    host.wait(WEB, "the stop", |status| status.units[0].status == "exited");
    host.wait(MOCK, "what it waits for", |status| {
        status
            .message
            .contains("plugin mock 0.1.0 is translated for this machine")
    });
    // What should not run any more waits for nothing.
    host.state(MOCK, "stopped");
    host.wait(MOCK, "the end of the wait", |status| {
        status.units[0].status == "non-existent"
    });
    host.state(MOCK, "running");
    let pid = Pid::from_raw(i32::try_from(translator).unwrap()).unwrap();
    kill_process(pid, Signal::CONT).unwrap();
    host.wait(MOCK, "the answer of the plugin", is_running);
}

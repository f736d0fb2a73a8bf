//! Plugins that are taken away, damaged or there twice: running pods are left alone, and what was
//! revoked does not stay in service.

use std::fs;

use hostfiles::{PluginsYaml, PodPhase, read_if_present, write};

use crate::host::{Host, is_running, pid, shell};

const WEB: &str = "web:1.0.0";

fn listed(host: &Host) -> PluginsYaml {
    read_if_present(&host.home().plugins_yaml())
        .unwrap()
        .unwrap()
}

fn list(host: &Host, plugins: &PluginsYaml) {
    write(&host.home().plugins_yaml(), plugins).unwrap();
}

#[test]
fn a_plugin_that_is_taken_away_ends_no_unit_that_it_would_have_to_probe() {
    let host = Host::new();
    let keys = "restart: always; livenessProbe: {timeoutSeconds: 5, check: {cmd: [\"true\"]}}";
    host.pod(WEB, "running", &shell("main", keys, "exec sleep 600"));
    let _daemon = host.daemon();
    let before = host.wait(WEB, "the pod to run", is_running);
    let yaml = fs::read(host.home().plugins_yaml()).unwrap();
    fs::remove_file(host.home().plugins_yaml()).unwrap();
    host.wait(WEB, "a probe that cannot be run", |status| {
        status.message.contains("liveness probe was not run")
    });
    Host::put(&host.home().plugins_yaml(), &yaml);
    let after = host.wait(WEB, "the probe to be run again", |status| {
        status.message.is_empty()
    });
    assert_eq!((pid(&after), after.units[0].start_count), (pid(&before), 1));
}

#[test]
fn a_kind_that_two_plugins_want_stays_with_the_one_that_has_it() {
    let host = Host::new();
    host.pod(WEB, "running", &shell("main", "", "exec sleep 600"));
    let _daemon = host.daemon();
    host.wait(WEB, "the pod to run", is_running);
    let one = listed(&host);
    let mut two = one.clone();
    let mut other = two.plugins[0].clone();
    other.name = "other".into();
    fs::copy(
        host.home().plugins_dir().join(one.plugins[0].file_name()),
        host.home().plugins_dir().join(other.file_name()),
    )
    .unwrap();
    two.plugins.push(other);
    list(&host, &two);
    host.wait(WEB, "the problem", |status| {
        status.message.contains("both want to run pods")
    });
    // It can still be stopped and started.
    host.state(WEB, "stopped");
    host.wait(WEB, "the stop", |status| status.units[0].status == "exited");
    host.state(WEB, "running");
    host.wait(WEB, "the next start", is_running);
    list(&host, &one);
    host.wait(WEB, "the end of the problem", |status| {
        status.message.is_empty()
    });
}

#[test]
fn a_plugin_that_was_revoked_is_out_of_service_even_while_another_is_damaged() {
    let host = Host::new();
    host.pod(WEB, "stopped", &shell("main", "", "exec sleep 600"));
    let _daemon = host.daemon();
    host.wait(WEB, "the first look", |_| true);
    let mut plugins = listed(&host);
    plugins.plugins[0].name = "ghost".into();
    plugins.plugins[0].digest = "0".repeat(64);
    list(&host, &plugins);
    let status = host.wait(WEB, "the explanation", |status| {
        status.message.contains("no plugin for `runtime: native`")
    });
    assert_eq!(status.status, PodPhase::Exited);
}

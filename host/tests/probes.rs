//! Probes of units that listen in a network namespace of their own and publish nothing. They need root.

use std::fs;

use crate::host::{Host, pid, shell};

const WEB: &str = "web:1.0.0";
const HTTP: &str = "{timeoutSeconds: 9, check: {http: {port: 8080, path: /health}}}";

/// A unit with these keys, which does this in a network of its own.
pub(crate) fn apart(name: &str, unshare: &str, keys: &str, script: &str) -> String {
    let inside = format!("exec unshare {unshare} sh -c 'busybox ip link set lo up; {script}'");
    shell(name, keys, &inside)
}

/// A web server with the page `/health`.
pub(crate) fn server(address: &str) -> String {
    format!("mkdir -p www; touch www/health; exec busybox httpd -f -p {address} -h www")
}

#[test]
fn every_probe_goes_to_where_the_unit_listens() {
    let host = Host::new();
    let keys = format!(
        "restart: always; startupProbe: {{timeoutSeconds: 60, check: {{tcp: {{port: 8080}}}}}}; readinessProbe: {HTTP}; livenessProbe: {HTTP}"
    );
    let six = format!("readinessProbe: {HTTP}");
    let units = apart("main", "-n", &keys, &server("127.0.0.1:8080"))
        + &apart("six", "-n", &six, &server("[::1]:8080"));
    host.pod(WEB, "running", &units);
    let _daemon = host.daemon();
    let ready = host.wait(WEB, "readiness", |status| status.readiness);
    // Whatever is asked, it is the unit that answers.
    let page = |unit: &str| {
        let root = host.release(WEB).root_dir(&unit.parse().unwrap());
        root.join("www/health")
    };
    fs::remove_file(page("six")).unwrap();
    let not_ready = host.wait(WEB, "the page to be missed", |status| !status.readiness);
    let expected = "readiness probe: http://127.0.0.1:8080/health inside pod web: answered 404";
    assert!(not_ready.message.contains(expected), "{not_ready:#?}");
    fs::write(page("six"), "").unwrap();
    host.wait(WEB, "readiness", |status| status.readiness);
    fs::remove_file(page("main")).unwrap();
    host.wait(WEB, "a restart", |status| status.units[0].start_count == 2);
    let again = host.wait(WEB, "readiness", |status| status.readiness);
    assert_ne!(pid(&again), pid(&ready));
}

#[test]
fn what_a_probe_meets_inside_is_told() {
    let host = Host::new();
    let cases = [
        (
            "refuses",
            "exec sleep 600",
            "{tcp: {port: 8080}}",
            "127.0.0.1:8080 inside pod refuses: Connection refused",
        ),
        (
            "refuses_pages",
            "exec sleep 600",
            "{http: {port: 8080, path: /}}",
            "http://127.0.0.1:8080/ inside pod refuses_pages: Connection refused",
        ),
        (
            "hangs",
            "exec busybox nc -ll -p 8080 -e sleep 600",
            "{http: {port: 8080, path: /}}",
            "http://127.0.0.1:8080/ inside pod hangs: no answer within 1 s",
        ),
        (
            "chatters",
            "exec busybox nc -ll -p 8080 -e echo SSH-2.0",
            "{http: {port: 8080, path: /}}",
            "http://127.0.0.1:8080/ inside pod chatters: the answer is not HTTP",
        ),
    ];
    for (pod, script, check, _) in cases {
        let keys = format!("readinessProbe: {{timeoutSeconds: 1, check: {check}}}");
        let unit = apart("main", "-n", &keys, script);
        host.pod(&format!("{pod}:1.0.0"), "running", &unit);
    }
    let _daemon = host.daemon();
    for (pod, _, _, expected) in cases {
        let is_told = |status: &hostfiles::PodStatus| status.message.contains(expected);
        host.wait(&format!("{pod}:1.0.0"), expected, is_told);
    }
}

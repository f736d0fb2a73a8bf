//! Files as the original system left them, its quirks included: they lie on hosts and in projects.

use hostfiles::{
    ClusterId, ClusterVars, CommitChain, Format, HostAddress, HostEnv, IngressAction, IngressConf,
    IngressProtocol, PluginsYaml, PodAction, PodPhase, PodStatus, PodVerb, PortMappings, Routers,
};
use names::PodState;

/// Reads a kept sample.
fn sample<F: Format>(name: &str) -> F {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/samples")
        .join(name);
    hostfiles::read(&path).unwrap()
}

#[test]
fn routers_in_lines_and_joined_by_the_original_s_bug() {
    assert_eq!(sample::<Routers>("hosts.conf").0.len(), 2);
    let joined: Routers = sample("hosts.conf.joined");
    assert_eq!(
        joined.to_text(),
        "192.168.1.1:32767\n192.168.1.2:32767\n192.168.1.3:32767\n"
    );
    assert_eq!(joined.own().unwrap().to_string(), "192.168.1.1:32767");
    assert_eq!(joined.others().len(), 2);
}

#[test]
fn port_mappings_with_nothing_ready_and_with_several_on_a_line() {
    assert_eq!(
        sample::<PortMappings>("portmappings.conf.empty"),
        PortMappings::default()
    );
    assert_eq!(PortMappings::default().to_text(), "\n");
    let joined: PortMappings = sample("portmappings.conf.joined");
    assert_eq!(
        joined.to_text(),
        "61000:30000:10:true\n61001:30001:4096:false\n61002:30002:4096:false\n61003:30003:4096:true\n"
    );
    assert_eq!(
        PortMappings::merged(joined.0.iter().rev().chain(&joined.0).copied()),
        joined
    );
}

#[test]
fn one_word_files() {
    assert_eq!(sample::<PodState>("pod.state"), PodState::Running);
    assert_eq!(
        sample::<ClusterId>("cluster-id.txt").as_str(),
        "mycluster-12345"
    );
    assert_eq!(
        sample::<CommitChain>("commit-chain.txt").hashes(),
        ["42aa8c8", "b7525da", "4b0d133"]
    );
    let action: PodAction = sample("pod.action");
    assert_eq!(
        (action.verb, action.words),
        (PodVerb::Rerun, vec!["main".to_owned(), "job".to_owned()])
    );
}

#[test]
fn settings_of_a_host() {
    let env: HostEnv = sample("host.env");
    assert_eq!(env.address(), Some(HostAddress::Remote("192.168.1.2")));
    assert_eq!(
        (env.port(), env.user(), env.host_home()),
        (22, Some("sns"), "worker1")
    );
    assert_eq!((env.get("EXPOSE"), env.get("NOSUCHKEY")), (None, None));
    assert_eq!(
        env.router_address().unwrap().to_string(),
        "192.168.1.2:32767"
    );
    assert_eq!(
        HostEnv::parse("HOST=local\n").unwrap().address(),
        Some(HostAddress::Local)
    );
    assert_eq!(HostEnv::default().host_home(), "cluster-host");
}

#[test]
fn a_changed_setting_leaves_the_other_lines_alone() {
    let mut env: HostEnv = sample("host.env");
    env.set("HOST", "10.0.0.1");
    env.set("COLOUR", "blue");
    let text = env.to_text();
    assert!(
        text.starts_with("# The first worker.\nHOST=10.0.0.1\nPORT=22\n"),
        "{text}"
    );
    assert!(
        text.ends_with(
            "HOSTHOME=worker1 \nROUTERADDRESS=192.168.1.2:32767\nHOST=shadowed\nCOLOUR=blue\n"
        ),
        "{text}"
    );
}

#[test]
fn variables_of_a_cluster() {
    let vars: ClusterVars = sample("cluster-vars.env");
    assert_eq!(vars.get("web_motd"), Some("a=b & c"));
    assert_eq!(vars.get("# Global."), None);
    let names: Vec<&str> = vars.lines().map(|(_, name, _)| name).collect();
    assert_eq!(names, ["DOMAIN", "web_mode", "web_motd", "_raw"]);
}

#[test]
fn routes_of_the_worked_example() {
    let blocks = sample::<IngressConf>("pod.ingress.conf").0;
    assert_eq!(blocks.len(), 5);
    assert_eq!(blocks[0].hosts, ["WWW.abc.com", "*.def.com"]);
    assert_eq!(blocks[0].path_beg, ["/", "/static/"]);
    assert_eq!(
        (blocks[1].bind, blocks[1].weight, blocks[1].path[0].as_str()),
        (443, 200, "/admin")
    );
    assert_eq!(blocks[2].action, IngressAction::RedirectToHttps);
    assert_eq!(
        blocks[3].action,
        IngressAction::Server("61000".parse().unwrap())
    );
    assert_eq!(
        (blocks[4].protocol, blocks[4].hosts.len()),
        (IngressProtocol::Tcp, 0)
    );
}

#[test]
fn status_of_containers_and_of_a_foreign_executable() {
    let status: PodStatus = sample("pod.status");
    assert_eq!(
        (status.status, status.readiness, status.pid),
        (PodPhase::Running, true, Some(4711))
    );
    assert_eq!(status.units.len(), 2);
    assert_eq!(status.units[0].ports, "30000:80");
    assert_eq!(
        (status.units[1].network.as_str(), status.units[1].exit_code),
        ("none", Some(0))
    );

    let foreign: PodStatus = sample("pod.status.executable");
    assert_eq!(
        (
            foreign.pod.as_str(),
            foreign.pod_version.as_str(),
            foreign.units.len()
        ),
        ("proxy-0.1.0", "", 0)
    );
}

#[test]
fn status_is_written_as_it_was_read() {
    let trimmed = |text: &str| {
        text.lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect::<String>()
    };
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/pod.status");
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(PodStatus::parse(&text).unwrap().to_text(), trimmed(&text));
}

#[test]
fn plugins_of_a_host() {
    let plugins: PluginsYaml = sample("plugins.yaml");
    let native = plugins.get("native-runtime").unwrap();
    assert_eq!(native.file_name(), "native-runtime-0.1.0.wasm");
    assert_eq!(native.grants["processes"][0], "{pod:program} {pod:args}");
}

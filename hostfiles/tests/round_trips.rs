//! parse(to_text(x)) = x for every format, and no text makes a parser panic or change its mind.

use std::fmt::Debug;

use hostfiles::{
    ActionStatus, ClusterId, ClusterPorts, ClusterVars, CommitChain, ConfigChecksum, Endpoint,
    Endpoints, Format, HostEnv, HostState, IngressAction, IngressBlock, IngressConf,
    IngressProtocol, Inside, PluginEntry, PluginsYaml, PodAction, PodPhase, PodStatus, PodVerb,
    PortMapping, PortMappings, Routers, SshHostKey, SshHostKeys, UnitStatus,
};
use names::{AcceptProxy, ClusterPort, HostPort, PodState, SendProxy};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Cases per property: SOAK, or a tenth of the full count.
fn cases(full: u32) -> ProptestConfig {
    let soak = std::env::var("SOAK")
        .ok()
        .and_then(|text| text.parse().ok());
    ProptestConfig::with_cases(soak.unwrap_or(full / 10).max(10))
}

fn same<F: Format + PartialEq + Debug>(value: &F) {
    assert_eq!(
        F::parse(&value.to_text()).as_ref(),
        Ok(value),
        "{}",
        value.to_text()
    );
}

/// What a parser accepts, it prints in a way that it understands as the same.
fn settles<F: Format + PartialEq + Debug>(text: &str) {
    if let Ok(value) = F::parse(text) {
        same(&value);
    }
}

fn cluster_port() -> impl Strategy<Value = ClusterPort> {
    any::<u16>().prop_filter_map("a cluster port", |number| ClusterPort::new(number).ok())
}

fn host_port() -> impl Strategy<Value = HostPort> {
    any::<u16>().prop_filter_map("a host port", |number| HostPort::new(number).ok())
}

fn mapping() -> impl Strategy<Value = PortMapping> {
    (cluster_port(), host_port(), any::<u32>(), any::<bool>()).prop_map(
        |(cluster_port, host_port, max_conn, send_proxy)| PortMapping {
            cluster_port,
            host_port,
            max_conn,
            send_proxy,
        },
    )
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let inside =
        (1..=u16::MAX, any::<u32>(), any::<u64>()).prop_map(|(target_port, pid, start_time)| {
            Inside {
                target_port,
                pid,
                start_time,
            }
        });
    let headers = (
        select(AcceptProxy::ALL.to_vec()),
        select(SendProxy::ALL.to_vec()),
        option::of("[!-~]{1,20}"),
    );
    (mapping(), any::<bool>(), option::of(inside), headers).prop_map(
        |(mapping, is_inside_only, inside, (accept, send, pod))| Endpoint {
            host_port: Some(mapping.host_port).filter(|_| !is_inside_only || inside.is_none()),
            inside,
            accept,
            send,
            pod,
            ..mapping.into()
        },
    )
}

fn words() -> impl Strategy<Value = Vec<String>> {
    vec("[!-~]{1,12}", 0..4)
}

fn action() -> impl Strategy<Value = IngressAction> {
    prop_oneof![
        cluster_port().prop_map(IngressAction::Server),
        Just(IngressAction::RedirectToHttps),
        "[!-~]{1,20}".prop_map(IngressAction::RedirectLocation),
        "[!-~]{1,20}".prop_map(IngressAction::RedirectPrefix),
        "[1-5][0-9]{2} [!-~]{1,20}".prop_map(IngressAction::ErrorFile),
    ]
}

fn block() -> impl Strategy<Value = IngressBlock> {
    let protocol = select(vec![
        IngressProtocol::Http,
        IngressProtocol::Https,
        IngressProtocol::Tcp,
    ]);
    (
        1..=u16::MAX,
        protocol,
        words(),
        any::<i32>(),
        words(),
        words(),
        words(),
        action(),
    )
        .prop_map(
            |(bind, protocol, hosts, weight, path, path_beg, path_end, action)| IngressBlock {
                bind,
                protocol,
                hosts,
                weight,
                path,
                path_beg,
                path_end,
                action,
            },
        )
}

fn unit() -> impl Strategy<Value = UnitStatus> {
    let value = "([!-~]([ -~]{0,20}[!-~])?)?";
    let known = (
        "[a-z]{1,8}",
        value,
        value,
        option::of(any::<bool>()),
        value,
        value,
        value,
    );
    (
        known,
        any::<u32>(),
        value,
        option::of(any::<u32>()),
        option::of(any::<i32>()),
    )
        .prop_map(
            |(
                (name, container, image, image_exists, mounts, ports, network),
                start_count,
                status,
                pid,
                exit_code,
            )| {
                let restart = "on-interval:10".to_owned();
                UnitStatus {
                    name,
                    container,
                    image,
                    image_exists,
                    restart,
                    mounts,
                    ports,
                    network,
                    start_count,
                    status,
                    pid,
                    exit_code,
                }
            },
        )
}

fn status() -> impl Strategy<Value = PodStatus> {
    let times = (
        option::of(any::<u64>()),
        option::of(any::<u64>()),
        any::<u64>(),
    );
    let rest = (
        select(PodPhase::ALL.to_vec()),
        option::of(any::<u32>()),
        any::<bool>(),
        "([!-~][ -~]{0,20}[!-~])?",
    );
    let action = (
        "[a-z0-9-]{1,20}",
        select(PodVerb::ALL.to_vec()),
        option::of(prop_oneof![
            Just(Ok(())),
            "([!-~][ -~]{0,20}[!-~])?".prop_map(Err),
        ]),
    );
    let action = option::of(action)
        .prop_map(|action| action.map(|(id, verb, outcome)| ActionStatus { id, verb, outcome }));
    let rest = (rest, action);
    (vec(host_port(), 0..3), times, rest, vec(unit(), 0..4)).prop_map(
        |(host_ports, (created, started, updated), (rest, action), units)| {
            let (status, pid, readiness, message) = rest;
            PodStatus {
                action,
                pod: "web-1.0.0".to_owned(),
                pod_version: "1.0.0".to_owned(),
                host_ports,
                created,
                started,
                updated,
                status,
                pid,
                readiness,
                message,
                units,
            }
        },
    )
}

fn tree() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn plugins() -> impl Strategy<Value = PluginsYaml> {
    let entry = ("[0-9a-f]{64}", "\\PC{0,30}", tree());
    vec(entry, 0..3).prop_map(|entries| {
        let entry = |(number, (digest, source, grants))| PluginEntry {
            name: format!("plugin-{number}"),
            version: "0.1.0".to_owned(),
            digest,
            source,
            grants,
        };
        PluginsYaml {
            plugins: (0..).zip(entries).map(entry).collect::<Vec<PluginEntry>>(),
        }
    })
}

#[test]
fn words_that_are_whole_files() {
    PodState::ALL.iter().for_each(same);
    HostState::ALL.iter().for_each(same);
    for verb in PodVerb::ALL {
        same(&PodAction::new(verb));
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn what_programs_write(
        mappings in vec(mapping(), 0..20),
        routers in vec(any::<std::net::SocketAddr>().prop_filter("no scope", |address| match address {
            std::net::SocketAddr::V6(address) => address.scope_id() == 0 && address.flowinfo() == 0,
            std::net::SocketAddr::V4(_) => true,
        }), 0..10),
        hashes in vec("[0-9a-f]{40}", 0..20),
        id in "[!-~]{1,40}",
        checksum in "[0-9a-f]{64}",
        endpoints in vec(endpoint(), 0..10),
        units in vec("[a-z][a-z0-9_]{0,8}", 0..4),
        token in option::of("[a-z0-9_-]{1,64}"),
        server_keys in btree_set(vec(any::<u8>(), 1..64), 0..16),
    ) {
        same(&ClusterPorts::merged(mappings.iter().map(|mapping| mapping.cluster_port)));
        same(&PortMappings(mappings));
        same(&Endpoints::merged(endpoints));
        same(&Routers(routers));
        same(&CommitChain::new(hashes).unwrap());
        same(&id.parse::<ClusterId>().unwrap());
        same(&checksum.parse::<ConfigChecksum>().unwrap());
        let key = |bytes: &Vec<u8>| {
            let blob = [&[0, 0, 0, 11], b"ssh-ed25519".as_slice(), bytes].concat();
            SshHostKey::new(blob).unwrap()
        };
        same(&SshHostKeys(server_keys.iter().map(key).collect()));
        same(&PodAction { verb: PodVerb::Rerun, words: units, id: token });
    }

    #[test]
    fn ingress_blocks(blocks in vec(block(), 0..6)) {
        same(&IngressConf(blocks));
    }

    #[test]
    fn pod_status(status in status()) {
        same(&status);
    }

    #[test]
    fn plugins_and_their_grants(plugins in plugins()) {
        same(&plugins);
    }

    #[test]
    fn what_people_edit_keeps_every_line(lines in vec("[ -~]{0,30}", 0..10), value in "[!-~]{1,20}") {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        if let Ok(mut env) = HostEnv::parse(&text) {
            prop_assert_eq!(env.to_text(), text.clone());
            env.set("HOSTHOME", &value);
            prop_assert_eq!(env.host_home(), value.as_str());
        }
        if let Ok(vars) = ClusterVars::parse(&text) {
            prop_assert_eq!(vars.to_text(), text);
        }
    }

    #[test]
    fn no_text_panics(text in "[\\PC\n\t]{0,200}") {
        settles::<PortMappings>(&text);
        settles::<Endpoints>(&text);
        settles::<Routers>(&text);
        settles::<ClusterPorts>(&text);
        settles::<CommitChain>(&text);
        settles::<ClusterId>(&text);
        settles::<ConfigChecksum>(&text);
        settles::<PodAction>(&text);
        settles::<IngressConf>(&text);
        settles::<PodStatus>(&text);
        settles::<PluginsYaml>(&text);
        settles::<PodState>(&text);
        settles::<HostState>(&text);
        settles::<HostEnv>(&text);
        settles::<SshHostKeys>(&text);
        settles::<ClusterVars>(&text);
    }

    #[test]
    fn no_line_of_words_panics(text in "((cluster|host|target|pid|start|max|in|out|pod|new)(=(61000|1|v1|absent|a|))?[ \n]){0,30}") {
        settles::<Endpoints>(&text);
    }

    #[test]
    fn no_block_of_keys_panics(text in "((bind|host|protocol|weight|path|clusterport|redirect_to_https)( (80|http|a|true|61000))?\n){0,20}") {
        settles::<IngressConf>(&text);
    }
}

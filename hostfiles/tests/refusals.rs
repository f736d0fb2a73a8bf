//! Torn and foreign content is refused, and the message names the file, the line and the way out.

use hostfiles::{
    ClusterId, ClusterPorts, ClusterVars, CommitChain, ConfigChecksum, Format, HostEnv, HostState,
    IngressConf, PluginsYaml, PodAction, PodStatus, PortMappings, ReadError, Routers,
};
use names::PodState;

fn check<F: Format>(text: &str, message: &str) {
    let error = F::parse(text).err().map(|error| error.to_string());
    let error = error.unwrap_or_else(|| panic!("`{text}` was accepted as {}", F::NAME));
    assert!(
        error.starts_with(message),
        "{error}\n  should begin with: {message}"
    );
}

#[test]
fn each_format_says_what_is_wrong() {
    check::<PodState>("", "pod.state: found ``, expected one of running");
    check::<PodState>("runn", "pod.state: found `runn`");
    check::<HostState>("on", "host.state: found `on`, expected one of active");
    check::<Routers>(
        "1.2.3.4:5\n1.2.3.4\n",
        "hosts.conf, line 2: found `1.2.3.4`, expected the IP address",
    );
    check::<PortMappings>(
        "61000:30000:10:true\n61000:30",
        "portmappings.conf, line 2: found `61000:30`, expected clusterPort",
    );
    check::<PortMappings>(
        "30000:80:1:true",
        "portmappings.conf, line 1: found `30000:80:1:true`",
    );
    check::<PortMappings>(
        "61000:80:1:yes",
        "portmappings.conf, line 1: found `61000:80:1:yes`",
    );
    check::<ClusterPorts>(
        "# ports\n61000\n80\n",
        "clusterports.conf, line 3: found `80`, expected a cluster port",
    );
    check::<ClusterId>("\n", "cluster-id.txt: found ``");
    check::<ClusterId>("a b", "cluster-id.txt: found `a b`");
    check::<CommitChain>("42aa8c8 HEAD", "commit-chain.txt: found `HEAD`");
    check::<ConfigChecksum>("e3b0", "config checksum: found `e3b0`, expected a SHA-256");
    check::<ClusterVars>(
        "A=1\nnonsense\n",
        "cluster-vars.env, line 2: found `nonsense`, expected NAME=value",
    );
    check::<HostEnv>(
        "HOST=a\nPORT=ssh\n",
        "host.env, line 2: found `ssh`, expected a port number",
    );
    check::<HostEnv>(
        "ROUTERADDRESS=10.0.0.1",
        "host.env, line 1: found `10.0.0.1`, expected an IP address and a port",
    );
    check::<PodAction>(
        "dance",
        "pod.action, line 1: found `dance`, expected one of download",
    );
    check::<PodAction>("rerun ../x", "pod.action, line 1: found `../x`");
    check::<PodAction>("stop\nid a b\n", "pod.action, line 2: found `id a b`");
}

#[test]
fn routes() {
    check::<IngressConf>(
        "bind 80\nprotokol http\n",
        "pod.ingress.conf, line 2: found `protokol`, expected one of bind",
    );
    check::<IngressConf>(
        "bind 0\nprotocol http\n",
        "pod.ingress.conf, line 1: found `0`, expected `bind`",
    );
    check::<IngressConf>(
        "bind 80\nprotocol ftp\n",
        "pod.ingress.conf, line 2: found `ftp`",
    );
    check::<IngressConf>(
        "protocol http\n",
        "pod.ingress.conf, line 1: found `a block without `bind``",
    );
    check::<IngressConf>(
        "bind 80\nprotocol http\n",
        "pod.ingress.conf, line 1: found `a block without `clusterport``",
    );
}

#[test]
fn status() {
    check::<PodStatus>("", ".pod.status: found `no `pod``");
    check::<PodStatus>("pod: a\nstatus: dancing\n", ".pod.status: found `dancing`");
    check::<PodStatus>(
        "pod: a\nupdated: soon\nstatus: running\n",
        ".pod.status, line 2: found `soon`, expected a number",
    );
    check::<PodStatus>("garbage\n", ".pod.status, line 1: found `garbage`");
}

#[test]
fn plugins() {
    let entry = |name: &str, version: &str, digest: &str| {
        format!("- name: {name}\n  version: {version}\n  digest: {digest}\n")
    };
    let digest = "a".repeat(64);
    check::<PluginsYaml>("plugins: 3\n", "plugins.yaml, line 1");
    check::<PluginsYaml>(
        &format!("plugins:\n{}", entry("../x", "1.0.0", &digest)),
        "plugins.yaml: found `../x`",
    );
    check::<PluginsYaml>(
        &format!("plugins:\n{}", entry("x", "1/0", &digest)),
        "plugins.yaml: found `1/0`",
    );
    check::<PluginsYaml>(
        &format!("plugins:\n{}", entry("x", "1.0.0", "abc")),
        "plugins.yaml: found `abc`",
    );
    let twice = entry("x", "1.0.0", &digest).repeat(2);
    check::<PluginsYaml>(
        &format!("plugins:\n{twice}"),
        "plugins.yaml: found `x`, expected each plugin once",
    );
    check::<PluginsYaml>(
        "plugins:\n- name: x\n  grant: all\n",
        "plugins.yaml, line 3",
    );
}

#[test]
fn a_message_never_carries_control_characters_or_a_whole_file() {
    let error = PodState::parse(&format!("\u{1b}[2J{}", "x".repeat(5000)))
        .unwrap_err()
        .to_string();
    assert!(!error.contains('\u{1b}') && error.len() < 300, "{error}");
}

#[test]
fn what_is_no_text_file_is_refused_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pod.state");
    assert!(
        hostfiles::read_if_present::<PodState>(&path)
            .unwrap()
            .is_none()
    );
    assert!(matches!(
        hostfiles::read::<PodState>(&path),
        Err(ReadError::Io { .. })
    ));

    hostfiles::replace(&path, b"run\xffning", 0o644).unwrap();
    let error = hostfiles::read::<PodState>(&path).unwrap_err();
    assert_eq!(error.path(), path);
    assert!(
        error
            .to_string()
            .ends_with("pod.state is no pod.state: byte 3 is not UTF-8"),
        "{error}"
    );

    let large = vec![b' '; usize::try_from(hostfiles::FILE_BYTES_MAX).unwrap() + 1];
    hostfiles::replace(&path, &large, 0o644).unwrap();
    assert!(matches!(
        hostfiles::read::<PodState>(&path),
        Err(ReadError::Foreign { .. })
    ));
    assert!(matches!(
        hostfiles::read::<PodState>(directory.path()),
        Err(ReadError::Foreign { .. })
    ));
}

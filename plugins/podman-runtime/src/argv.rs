//! Whole command lines of podman. Pure: equal pods on equal hosts give equal lines, and the tests compare
//! them as a whole.

use crate::called;
use crate::network::{self, Network};
use crate::pod::{HOST_NETWORK, Mount, Pod, Spec, Unit};

/// What the host says of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Host {
    pub(crate) id: Option<String>,
    pub(crate) release_directory: String,
    pub(crate) bind_address: Option<String>,
    pub(crate) proxy_address: Option<String>,
    /// The file with the logins of registries.
    pub(crate) registry_config: Option<String>,
    pub(crate) owner_is_root: bool,
}

impl Host {
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

/// Below this, a path is a device to be handed in; directories and sockets there are mounted.
const DEVICES: &str = "/dev/";
const NO_DEVICES: [&str; 6] = [
    "/dev/shm",
    "/dev/mqueue",
    "/dev/hugepages",
    "/dev/pts",
    "/dev/log",
    "/dev/initctl",
];

/// Where podman writes the process of a container, relative to the release directory.
pub(crate) fn pid_file(unit: &Unit) -> String {
    format!("podman/{}.pid", unit.name)
}

/// Where podman writes the process that watches over a container, relative to the release directory.
pub(crate) fn monitor_file(unit: &Unit) -> String {
    format!("podman/{}.monitor.pid", unit.name)
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

/// All containers of this host home.
pub(crate) fn list(host_id: &str) -> Vec<String> {
    let mut args = words(["ps", "--all", "--no-trunc", "--format=json"]);
    args.push(format!("--filter=label={}={host_id}", called::LABEL_HOST));
    args
}

/// What podman says of itself and the host.
pub(crate) fn info() -> Vec<String> {
    words(["info", "--format=json"])
}

/// Is the image there, and what does it say of itself?
pub(crate) fn inspect(image: &str) -> Vec<String> {
    words(["image", "inspect", image])
}

pub(crate) fn pull(host: &Host, image: &str) -> Vec<String> {
    let mut args = words(["pull"]);
    args.extend(
        host.registry_config
            .iter()
            .map(|path| format!("--authfile={path}")),
    );
    args.push(image.to_owned());
    args
}

pub(crate) fn volume_exists(volume: &str) -> Vec<String> {
    words(["volume", "exists", volume])
}

pub(crate) fn create_volume(pod: &Pod, host: &Host, volume: &str) -> Vec<String> {
    let mut args = words(["volume", "create"]);
    args.extend(called::marks(pod, host.id()));
    args.push(volume.to_owned());
    args
}

pub(crate) fn remove_volume(volume: &str) -> Vec<String> {
    words(["volume", "rm", volume])
}

/// The podman pod holds the network that its containers share: published ports and the name of the proxy are
/// given to it, because podman refuses them for its members.
pub(crate) fn create_pod(pod: &Pod, host: &Host, network: Network) -> Vec<String> {
    let mut args = words(["pod", "create", "--replace"]);
    args.push(format!("--name={}", called::pod(pod, host.id())));
    args.extend(connection(pod, host, network));
    args.extend(called::labels(pod, host.id()));
    args
}

/// How a pod is connected: its network, the name of the proxy, and the ports of the host that lead in.
pub(crate) fn connection(pod: &Pod, host: &Host, network: Network) -> Vec<String> {
    let mut args = Vec::new();
    if !pod.has_own_network() {
        args.push(format!("--network={HOST_NETWORK}"));
    } else if network == Network::Pasta {
        args.push(network::OWN_ADDRESS.to_owned());
    }
    args.extend(proxy(host));
    for unit in pod
        .units
        .iter()
        .filter(|unit| !unit.spec.has_host_network())
    {
        for expose in &unit.expose {
            let (Some(target), Some(port)) = (expose.target_port, expose.host_port) else {
                continue;
            };
            let address = expose
                .host_interface
                .as_ref()
                .or(host.bind_address.as_ref());
            args.push(match address {
                Some(address) if address.contains(':') => {
                    format!("--publish=[{address}]:{port}:{target}")
                }
                Some(address) => format!("--publish={address}:{port}:{target}"),
                None => format!("--publish={port}:{target}"),
            });
        }
    }
    args
}

/// True when a container has to get from a network of its own to a proxy with an IPv4 address.
pub(crate) fn has_way_out(pod: &Pod, host: &Host) -> bool {
    let address = host.proxy_address.as_deref();
    pod.has_own_network() && address.is_some_and(|address| !address.contains(':'))
}

/// Ends and removes the podman pod with all its containers.
pub(crate) fn remove_pod(pod: &Pod, host: &Host) -> Vec<String> {
    let mut args = words(["pod", "rm", "--force", "--ignore", "--time=0"]);
    args.push(called::pod(pod, host.id()));
    args
}

/// Starts the container of a unit: in the podman pod, or connected by itself where it is the only one.
pub(crate) fn run(
    pod: &Pod,
    unit: &Unit,
    host: &Host,
    network: Network,
) -> Result<Vec<String>, String> {
    let spec = &unit.spec;
    let mut args = words([
        "run",
        "--detach",
        "--rm",
        "--pull=never",
        // The host's own, with the passwords in it, is nothing for a container.
        "--http-proxy=false",
        // Probes are the daemon's.
        "--no-healthcheck",
        "--log-driver=passthrough",
    ]);
    args.push(format!(
        "--name={}",
        called::container(pod, unit, host.id())
    ));
    args.push(format!(
        "--pidfile={}/{}",
        host.release_directory,
        pid_file(unit)
    ));
    args.push(format!(
        "--conmon-pidfile={}/{}",
        host.release_directory,
        monitor_file(unit)
    ));
    args.extend(place(pod, spec, host, network));
    for variable in &spec.env {
        args.push(format!("--env={}={}", variable.name, variable.value));
    }
    let mut option = |name: &str, value: Option<String>| {
        args.extend(value.map(|value| format!("--{name}={value}")));
    };
    option("workdir", spec.directory.clone());
    option("user", spec.user.clone());
    let limits = unit.limits;
    let memory = limits.memory_bytes.map(|bytes| bytes.to_string());
    option("memory", memory.clone());
    // The limit counts swap space too.
    option("memory-swap", memory);
    let cpus = |millis: u32| format!("{}.{:03}", millis / 1000, millis % 1000);
    option("cpus", limits.cpu_millis.map(cpus));
    option("pids-limit", limits.pids.map(|pids| pids.to_string()));
    option("entrypoint", spec.entrypoint.clone());
    args.extend(rights(spec));
    for mount in &unit.mounts {
        args.push(mounted(pod, mount, host)?);
    }
    args.extend(called::labels(pod, host.id()));
    args.push(format!("--label={}={}", called::LABEL_UNIT, unit.name));
    args.push(format!("--label={}={}", called::LABEL_DIGEST, unit.digest));
    args.push(spec.image.clone());
    args.extend(spec.args.iter().cloned());
    Ok(args)
}

/// Where a container is: in the podman pod, or connected by itself.
fn place(pod: &Pod, spec: &Spec, host: &Host, network: Network) -> Vec<String> {
    let name = called::pod(pod, host.id());
    if pod.is_alone() {
        // As the containers of a podman pod are called by that.
        let mut args = vec![format!("--hostname={name}")];
        args.extend(connection(pod, host, network));
        return args;
    }
    let mut args = vec![format!("--pod={name}")];
    if let Some(network) = &spec.network {
        args.push(format!("--network={network}"));
        args.extend(proxy(host));
    }
    args
}

/// What a container may do.
fn rights(spec: &Spec) -> Vec<String> {
    let mut args = Vec::new();
    if spec.read_only {
        args.push("--read-only".to_owned());
    }
    if spec.privileged {
        args.push("--privileged=true".to_owned());
    }
    args.extend(spec.dropped.iter().map(|name| format!("--cap-drop={name}")));
    args.extend(
        spec.capabilities
            .iter()
            .map(|name| format!("--cap-add={name}")),
    );
    args
}

/// Removes what is left of the container of a unit, with the volumes that have no name.
pub(crate) fn remove_container(pod: &Pod, unit: &Unit, host: &Host) -> Vec<String> {
    let mut args = words(["rm", "--force", "--ignore", "--volumes", "--time=0"]);
    args.push(called::container(pod, unit, host.id()));
    args
}

/// Runs a command in a container that runs.
pub(crate) fn exec(pod: &Pod, unit: &Unit, host: &Host, argv: &[String]) -> Vec<String> {
    let mut args = vec!["exec".to_owned(), called::container(pod, unit, host.id())];
    args.extend(argv.iter().cloned());
    args
}

/// The same for a person, whose input goes in; with a terminal where the person has one.
pub(crate) fn attach(
    pod: &Pod,
    unit: &Unit,
    host: &Host,
    argv: &[String],
    has_terminal: bool,
) -> Vec<String> {
    let mut args = words(["exec", "--interactive"]);
    if has_terminal {
        args.push("--tty".to_owned());
    }
    args.push(called::container(pod, unit, host.id()));
    args.extend(argv.iter().cloned());
    args
}

fn proxy(host: &Host) -> Option<String> {
    let address = host.proxy_address.as_ref()?;
    Some(format!("--add-host=proxy:{address}"))
}

/// Configs are read-only; `z` lets containers in where SELinux is on, and says nothing elsewhere. A path of the
/// host is left as it is labelled: others use it too.
fn mounted(pod: &Pod, mount: &Mount, host: &Host) -> Result<String, String> {
    let volume = pod
        .volumes
        .iter()
        .find(|volume| volume.name == mount.volume);
    let volume =
        volume.ok_or_else(|| format!("pod {} declares no volume `{}`", pod.pod, mount.volume))?;
    let (name, dest, release) = (&volume.name, &mount.dest, &host.release_directory);
    match (volume.kind.as_str(), &volume.bind) {
        ("config", _) if !volume.encrypted => {
            Ok(format!("--volume={release}/config/{name}:{dest}:ro,z"))
        }
        // The daemon keeps the plain files of an encrypted config where a ramdisk of that name would be.
        ("config", _) => Ok(format!("--volume={release}/ramdisk/{name}:{dest}:ro,z")),
        ("ramdisk", _) => Ok(format!("--volume={release}/ramdisk/{name}:{dest}:rw,z")),
        ("volume", _) => {
            let source = called::volume(pod, volume, host.id());
            Ok(format!("--volume={source}:{dest}:rw,z"))
        }
        ("host", Some(bind)) if is_device(bind) => Ok(format!("--device={bind}:{dest}")),
        ("host", Some(bind)) => Ok(format!("--volume={bind}:{dest}:rw")),
        (kind, _) => Err(format!(
            "a container cannot mount volume `{name}` of type {kind}"
        )),
    }
}

fn is_device(path: &str) -> bool {
    let is_directory = |directory: &&str| {
        let rest = path.strip_prefix(*directory);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    path.starts_with(DEVICES) && !NO_DEVICES.iter().any(is_directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn host(id: Option<&str>) -> Host {
        Host {
            id: id.map(str::to_owned),
            release_directory: "/home/sns/pods/web/release/1.0.0".to_owned(),
            bind_address: Some("192.168.1.5".to_owned()),
            proxy_address: Some("192.168.1.5".to_owned()),
            registry_config: None,
            owner_is_root: true,
        }
    }

    fn pod(units: &Value) -> Pod {
        serde_json::from_value(json!({
            "pod": "web", "podVersion": "1.0.0", "labels": {"tier": "front/end"},
            "volumes": [
                {"name": "conf", "type": "config"}, {"name": "keys", "type": "config", "encrypted": true},
                {"name": "tmp1", "type": "ramdisk"}, {"name": "own", "type": "volume", "shared": "no"},
                {"name": "data", "type": "volume", "shared": "pod"}, {"name": "all", "type": "volume", "shared": "host"},
                {"name": "pages", "type": "host", "bind": "/srv/pages"}, {"name": "file", "type": "host", "bind": "/etc/hosts"},
                {"name": "fuse", "type": "host", "bind": "/dev/fuse"}, {"name": "shm", "type": "host", "bind": "/dev/shm/a"}
            ],
            "units": units,
        }))
        .unwrap()
    }

    #[track_caller]
    fn check(args: &[String], expected: &str) {
        let expected: Vec<&str> = expected
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        assert_eq!(args, expected, "{args:#?}");
    }

    fn run_of(units: &Value, id: Option<&str>) -> Vec<String> {
        let pod = pod(units);
        run(&pod, &pod.units[0], &host(id), Network::Usual).unwrap()
    }

    #[test]
    fn a_small_container() {
        let units = json!([{"name": "main", "digest": "d1", "spec": {"image": "nginx:1"}}]);
        let expected = "run
            --detach
            --rm
            --pull=never
            --http-proxy=false
            --no-healthcheck
            --log-driver=passthrough
            --name=main-web-1.0.0-3f9ac211
            --pidfile=/home/sns/pods/web/release/1.0.0/podman/main.pid
            --conmon-pidfile=/home/sns/pods/web/release/1.0.0/podman/main.monitor.pid
            --hostname=web-1.0.0-3f9ac211
            --add-host=proxy:192.168.1.5
            --label=tier=front/end
            --label=io.simplenetes.host=3f9ac211
            --label=io.simplenetes.pod=web-1.0.0-3f9ac211
            --label=io.simplenetes.version=1.0.0
            --label=io.simplenetes.unit=main
            --label=io.simplenetes.digest=d1
            nginx:1";
        check(&run_of(&units, Some("3f9ac211")), expected);
        let alone = expected
            .replace("-3f9ac211", "")
            .replace("            --label=io.simplenetes.host=3f9ac211\n", "");
        check(&run_of(&units, None), &alone);
    }

    #[test]
    fn a_container_with_everything() {
        let second = json!({"name": "side", "spec": {"image": "a"}});
        let units = json!([{
            "name": "main", "digest": "d1",
            "mounts": [
                {"volume": "conf", "dest": "/c"}, {"volume": "keys", "dest": "/k"}, {"volume": "tmp1", "dest": "/t"},
                {"volume": "own", "dest": "/o"}, {"volume": "data", "dest": "/d"}, {"volume": "all", "dest": "/a"},
                {"volume": "pages", "dest": "/p"}, {"volume": "file", "dest": "/f"}, {"volume": "fuse", "dest": "/dev/fuse"},
                {"volume": "shm", "dest": "/s"}
            ],
            "limits": {"memoryBytes": 268_435_456_u64, "cpuMillis": 1500, "pids": 100},
            "spec": {
                "image": "nginx@sha256:00", "entrypoint": "[\"sh\"]", "args": ["-c", "echo $HOME \"a b\""],
                "env": [{"name": "A", "value": "b c"}, {"name": "E", "value": ""}], "directory": "/srv",
                "user": "1000:1000", "network": "host", "readOnly": true, "capabilities": ["NET_ADMIN"],
                "dropped": ["ALL"], "privileged": true
            }
        }, second]);
        let args = run_of(&units, Some("3f9ac211"));
        let from = args
            .iter()
            .position(|arg| arg.starts_with("--conmon"))
            .unwrap()
            + 1;
        check(
            &args[from..],
            "--pod=web-1.0.0-3f9ac211
            --network=host
            --add-host=proxy:192.168.1.5
            --env=A=b c
            --env=E=
            --workdir=/srv
            --user=1000:1000
            --memory=268435456
            --memory-swap=268435456
            --cpus=1.500
            --pids-limit=100
            --entrypoint=[\"sh\"]
            --read-only
            --privileged=true
            --cap-drop=ALL
            --cap-add=NET_ADMIN
            --volume=/home/sns/pods/web/release/1.0.0/config/conf:/c:ro,z
            --volume=/home/sns/pods/web/release/1.0.0/ramdisk/keys:/k:ro,z
            --volume=/home/sns/pods/web/release/1.0.0/ramdisk/tmp1:/t:rw,z
            --volume=own-web-1.0.0-3f9ac211:/o:rw,z
            --volume=data-web-3f9ac211:/d:rw,z
            --volume=all-3f9ac211:/a:rw,z
            --volume=/srv/pages:/p:rw
            --volume=/etc/hosts:/f:rw
            --device=/dev/fuse:/dev/fuse
            --volume=/dev/shm/a:/s:rw
            --label=tier=front/end
            --label=io.simplenetes.host=3f9ac211
            --label=io.simplenetes.pod=web-1.0.0-3f9ac211
            --label=io.simplenetes.version=1.0.0
            --label=io.simplenetes.unit=main
            --label=io.simplenetes.digest=d1
            nginx@sha256:00
            -c
            echo $HOME \"a b\"",
        );
    }

    #[test]
    fn the_pod_holds_ports_and_proxy() {
        let units = json!([
            {"name": "main", "spec": {"image": "a"}, "expose": [
                {"targetPort": 80, "hostPort": 30000}, {"targetPort": 81}, {"targetPort": 82, "hostPort": 30001, "hostInterface": "::1"}
            ]},
            {"name": "side", "spec": {"image": "a"}, "expose": [{"targetPort": 83, "hostPort": 30002, "hostInterface": "127.0.0.1"}]},
            {"name": "out", "spec": {"image": "a", "network": "host"}, "expose": [{"targetPort": 84, "hostPort": 84}]}
        ]);
        check(
            &create_pod(&pod(&units), &host(Some("3f9ac211")), Network::Usual),
            "pod
            create
            --replace
            --name=web-1.0.0-3f9ac211
            --add-host=proxy:192.168.1.5
            --publish=192.168.1.5:30000:80
            --publish=[::1]:30001:82
            --publish=127.0.0.1:30002:83
            --label=tier=front/end
            --label=io.simplenetes.host=3f9ac211
            --label=io.simplenetes.pod=web-1.0.0-3f9ac211
            --label=io.simplenetes.version=1.0.0",
        );
    }

    #[test]
    fn a_pod_of_host_containers_has_no_network_of_its_own() {
        let unit = json!({"name": "main", "spec": {"image": "a", "network": "host"}});
        let args = create_pod(&pod(&json!([unit, unit])), &host(None), Network::Pasta);
        assert!(args.contains(&"--network=host".to_owned()), "{args:?}");
        let alone = run_of(&json!([unit]), None);
        let networks = alone.iter().filter(|arg| arg.starts_with("--network"));
        assert_eq!(networks.collect::<Vec<_>>(), ["--network=host"]);
    }

    #[test]
    fn a_container_that_is_alone_is_connected_by_itself() {
        let unit = json!({"name": "main", "digest": "d1", "spec": {"image": "a"},
            "expose": [{"targetPort": 80, "hostPort": 30000}]});
        let pod = pod(&json!([unit]));
        let args = run(&pod, &pod.units[0], &host(None), Network::Pasta).unwrap();
        let from = args.iter().position(|arg| arg.starts_with("--hostname"));
        check(
            &args[from.unwrap()..][..4],
            "--hostname=web-1.0.0
            --network=pasta:-a,10.0.2.100,-n,24,-g,10.0.2.2
            --add-host=proxy:192.168.1.5
            --publish=192.168.1.5:30000:80",
        );
    }

    #[test]
    fn commands_in_a_container() {
        let pod = pod(&json!([{"name": "main", "spec": {"image": "a"}}]));
        let (unit, host) = (&pod.units[0], &host(None));
        let argv = ["sh".to_owned(), "-c".to_owned(), "a b".to_owned()];
        let name = "main-web-1.0.0";
        check(
            &exec(&pod, unit, host, &argv),
            &format!("exec\n{name}\nsh\n-c\na b"),
        );
        check(
            &attach(&pod, unit, host, &argv, false),
            &format!("exec\n--interactive\n{name}\nsh\n-c\na b"),
        );
        check(
            &attach(&pod, unit, host, &argv, true),
            &format!("exec\n--interactive\n--tty\n{name}\nsh\n-c\na b"),
        );
    }

    #[test]
    fn the_rest() {
        let pod = pod(&json!([]));
        let host = Host {
            registry_config: Some("/home/sns/registry-config.json".to_owned()),
            ..host(Some("3f9ac211"))
        };
        check(
            &list("3f9ac211"),
            "ps\n--all\n--no-trunc\n--format=json\n--filter=label=io.simplenetes.host=3f9ac211",
        );
        check(&inspect("a:1"), "image\ninspect\na:1");
        let unit = Unit {
            name: "main".to_owned(),
            ..Unit::default()
        };
        check(
            &remove_container(&pod, &unit, &host),
            "rm\n--force\n--ignore\n--volumes\n--time=0\nmain-web-1.0.0-3f9ac211",
        );
        check(
            &pull(&host, "a:1"),
            "pull\n--authfile=/home/sns/registry-config.json\na:1",
        );
        check(
            &remove_pod(&pod, &host),
            "pod\nrm\n--force\n--ignore\n--time=0\nweb-1.0.0-3f9ac211",
        );
        check(
            &create_volume(&pod, &host, "v"),
            "volume\ncreate\n--label=io.simplenetes.host=3f9ac211\n--label=io.simplenetes.pod=web-1.0.0-3f9ac211\n--label=io.simplenetes.version=1.0.0\nv",
        );
        check(&volume_exists("v"), "volume\nexists\nv");
        check(&remove_volume("v"), "volume\nrm\nv");
    }
}

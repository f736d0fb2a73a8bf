//! Whole command lines of podman. Pure: equal pods on equal hosts give equal lines, and the tests compare
//! them as a whole.

use crate::called;
use crate::pod::{Mount, Pod, Unit};

/// What the host says of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Host {
    pub(crate) id: Option<String>,
    pub(crate) release_directory: String,
    pub(crate) bind_address: Option<String>,
    pub(crate) proxy_address: Option<String>,
    /// The file with the logins of registries.
    pub(crate) registry_config: Option<String>,
}

impl Host {
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

/// Below these, a path is a device to be handed in; the directories among them are mounted.
const DEVICES: &str = "/dev/";
const DEVICE_DIRECTORIES: [&str; 4] = ["/dev/shm", "/dev/mqueue", "/dev/hugepages", "/dev/pts"];

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
pub(crate) fn create_pod(pod: &Pod, host: &Host) -> Vec<String> {
    let mut args = words(["pod", "create", "--replace"]);
    args.push(format!("--name={}", called::pod(pod, host.id())));
    if !pod.units.is_empty() && pod.units.iter().all(|unit| unit.spec.host_network) {
        args.push("--network=host".to_owned());
    }
    args.extend(proxy(host));
    for unit in pod.units.iter().filter(|unit| !unit.spec.host_network) {
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
    args.extend(called::labels(pod, host.id()));
    args
}

/// Ends and removes the podman pod with all its containers.
pub(crate) fn remove_pod(pod: &Pod, host: &Host) -> Vec<String> {
    let mut args = words(["pod", "rm", "--force", "--ignore", "--time=0"]);
    args.push(called::pod(pod, host.id()));
    args
}

/// Starts the container of a unit in the podman pod.
pub(crate) fn run(pod: &Pod, unit: &Unit, host: &Host) -> Result<Vec<String>, String> {
    let spec = &unit.spec;
    let mut args = words([
        "run",
        "--detach",
        "--rm",
        "--replace",
        "--pull=never",
        "--log-driver=passthrough",
    ]);
    args.push(format!(
        "--name={}",
        called::container(pod, unit, host.id())
    ));
    args.push(format!("--pod={}", called::pod(pod, host.id())));
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
    if spec.host_network {
        args.push("--network=host".to_owned());
        args.extend(proxy(host));
    }
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

/// Configs are read-only; `z` lets containers in where SELinux is on, and says nothing elsewhere.
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
        ("host", Some(bind)) => Ok(format!("--volume={bind}:{dest}:rw,z")),
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
    path.starts_with(DEVICES) && !DEVICE_DIRECTORIES.iter().any(is_directory)
}

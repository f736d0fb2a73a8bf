//! Proxies in front of the same two servers: ours, and the peers with the settings that suit them best.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result};
use proxykeys::ProxyKeys;
use tempfile::TempDir;
use testkit::{free_port, wait_until};

use crate::bench::one_host::quiet;

const START_MAX: Duration = Duration::from_secs(10);

/// Where a proxy leads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Servers {
    pub(super) echo: SocketAddr,
    pub(super) blast: SocketAddr,
}

/// Something to connect to.
pub(super) struct Rival {
    pub(super) name: &'static str,
    pub(super) ports: Servers,
    /// None for the servers themselves.
    process: Option<Child>,
    _folder: Option<TempDir>,
    /// The proxy of another host behind it.
    behind: Option<Box<Self>>,
}

impl Rival {
    /// No proxy at all.
    pub(super) fn direct(servers: Servers) -> Self {
        Self {
            name: "direct",
            ports: servers,
            process: None,
            _folder: None,
            behind: None,
        }
    }

    /// The cluster proxy.
    pub(super) fn ours(programs: &Path, servers: Servers) -> Result<Self> {
        let relay = free_port()?;
        let program = programs.join("sns-proxy");
        Self::start("sns-proxy", |folder, ports| {
            let mapping = |from: SocketAddr, to: SocketAddr| {
                format!("{}:{}:60000:false\n", from.port(), to.port())
            };
            let mappings = mapping(ports.echo, servers.echo) + &mapping(ports.blast, servers.blast);
            put(folder, "ports.conf", &mappings)?;
            put(folder, "hosts.conf", &format!("127.0.0.1:{relay}\n"))?;
            let conf = put(
                folder,
                "proxy.conf",
                "HOSTSCONF hosts.conf\nPORTSCONF ports.conf\nCLUSTERPORTS 1024-65535\n",
            )?;
            Ok((program, vec![conf]))
        })
    }

    /// Two cluster proxies of two hosts, of which the first one has no pods.
    pub(super) fn two_hosts(
        name: &'static str,
        programs: &Path,
        servers: Servers,
        settings: &str,
    ) -> Result<Self> {
        let hosts = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)];
        let relay = free_port()?;
        let keys = [ProxyKeys::generate()?, ProxyKeys::generate()?];
        let peer = |(host, keys): (&Ipv4Addr, &ProxyKeys)| {
            let public: String = keys.public().map(|key| format!(" {key}")).collect();
            format!("{host}:{relay}{public}\n")
        };
        let peers: String = hosts.iter().zip(&keys).map(peer).collect();
        let program = programs.join("sns-proxy");
        let [near, far] = hosts;
        let prepare = |folder: &Path, ports: Servers, own: Ipv4Addr, keys: &ProxyKeys| {
            let other = if own == near { far } else { near };
            let hosts = format!("{own}:{relay}\n{other}:{relay}\n");
            put(folder, "hosts.conf", &hosts)?;
            put(folder, "peers.conf", &peers)?;
            let key = put(folder, "key.txt", &keys.to_text("of a bench"))?;
            fs::set_permissions(key, fs::Permissions::from_mode(0o600))?;
            let exist = format!("{}\n{}\n", ports.echo.port(), ports.blast.port());
            put(folder, "exist.conf", &exist)?;
            let mapping = |from: SocketAddr, to: SocketAddr| {
                format!("{}:{}:60000:false\n", from.port(), to.port())
            };
            let mappings = match own == far {
                true => mapping(ports.echo, servers.echo) + &mapping(ports.blast, servers.blast),
                false => "\n".to_owned(),
            };
            put(folder, "ports.conf", &mappings)?;
            let conf = put(
                folder,
                "proxy.conf",
                &format!(
                    "HOSTSCONF hosts.conf\nPORTSCONF ports.conf\nCLUSTERPORTSCONF exist.conf\nPEERSCONF peers.conf\n\
                     PEERKEY key.txt\nPODHOST 127.0.0.1\nCLUSTERPORTS 1024-65535\n{settings}\n"
                ),
            )?;
            Ok((program.clone(), vec![conf]))
        };
        let [near_keys, far_keys] = &keys;
        let ports = new_ports(near)?;
        let there = |address: SocketAddr| SocketAddr::from((far, address.port()));
        let far_ports = Servers {
            echo: there(ports.echo),
            blast: there(ports.blast),
        };
        let behind = Self::start_at(name, far_ports, |folder, ports| {
            prepare(folder, ports, far, far_keys)
        })?;
        let mut rival = Self::start_at(name, ports, |folder, ports| {
            prepare(folder, ports, near, near_keys)
        })?;
        rival.behind = Some(Box::new(behind));
        // The two have to know each other first.
        let served = || Ok(echoes(ports.echo).then_some(()));
        wait_until("two proxies to know each other", START_MAX, served)?;
        Ok(rival)
    }

    /// HAProxy in TCP mode, with two threads and splicing.
    pub(super) fn haproxy(servers: Servers) -> Result<Self> {
        Self::start("haproxy", |folder, ports| {
            let listen = |name: &str, from: SocketAddr, to: SocketAddr| {
                format!("listen {name}\n    bind {from} backlog 4096\n    server one {to}\n")
            };
            let text = format!(
                "global\n    nbthread 2\n    maxconn 4000\ndefaults\n    mode tcp\n    option splice-auto\n    \
                 timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n{}{}",
                listen("echo", ports.echo, servers.echo),
                listen("blast", ports.blast, servers.blast)
            );
            let conf = put(folder, "haproxy.cfg", &text)?;
            Ok((
                "/usr/sbin/haproxy".into(),
                vec!["-db".into(), "-f".into(), conf],
            ))
        })
    }

    /// nginx with its stream module and two workers.
    pub(super) fn nginx(servers: Servers) -> Result<Self> {
        Self::start("nginx", |folder, ports| {
            let server = |from: SocketAddr, to: SocketAddr| {
                format!(
                    "    server {{ listen {from} reuseport backlog=4096; proxy_pass {to}; tcp_nodelay on; }}\n"
                )
            };
            let text = format!(
                "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\nworker_processes 2;\n\
                 pid {0}/pid;\nerror_log {0}/error.log crit;\nevents {{ worker_connections 8000; }}\nstream {{\n{1}{2}}}\n",
                folder.display(),
                server(ports.echo, servers.echo),
                server(ports.blast, servers.blast)
            );
            let conf = put(folder, "nginx.conf", &text)?;
            let prefix = folder.display().to_string();
            Ok((
                "/usr/sbin/nginx".into(),
                vec!["-p".into(), prefix, "-c".into(), conf],
            ))
        })
    }

    fn start(
        name: &'static str,
        prepare: impl FnOnce(&Path, Servers) -> Result<(PathBuf, Vec<String>)>,
    ) -> Result<Self> {
        Self::start_at(name, new_ports(Ipv4Addr::LOCALHOST)?, prepare)
    }

    fn start_at(
        name: &'static str,
        ports: Servers,
        prepare: impl FnOnce(&Path, Servers) -> Result<(PathBuf, Vec<String>)>,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (program, arguments) = prepare(folder.path(), ports)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "a proxy has to run beside the measurement"
        )]
        let command = Command::new(&program);
        let process = quiet(command)
            .args(&arguments)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let rival = Self {
            name,
            ports,
            process: Some(process),
            _folder: Some(folder),
            behind: None,
        };
        for port in [ports.echo, ports.blast] {
            let connected = || Ok(TcpStream::connect(port).ok().map(drop));
            wait_until(&format!("{name} to listen on {port}"), START_MAX, connected)?;
        }
        Ok(rival)
    }

    /// The time that its processes have worked, all their threads together.
    pub(super) fn busy(&self) -> Duration {
        let nanoseconds = self.processes().into_iter().flat_map(|process| {
            let threads = fs::read_dir(format!("/proc/{process}/task"));
            threads
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|thread| {
                    let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
                    text.split(' ').next()?.parse::<u64>().ok()
                })
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// The memory that its processes have in use, in bytes.
    pub(super) fn memory(&self) -> u64 {
        let pages = self.processes().into_iter().filter_map(|process| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("RssAnon:"))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        });
        pages.sum::<u64>() << 10
    }

    /// Its process and the children of that.
    fn processes(&self) -> Vec<u32> {
        let Some(process) = &self.process else {
            return Vec::new();
        };
        let id = process.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.unwrap_or_default();
        let children = children
            .split(' ')
            .filter_map(|child| child.trim().parse().ok());
        let behind = self.behind.iter().flat_map(|behind| behind.processes());
        std::iter::once(id).chain(children).chain(behind).collect()
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // The master of nginx takes its workers with it when it is asked to end.
            if let Ok(id) = i32::try_from(process.id())
                && let Some(pid) = rustix::process::Pid::from_raw(id)
            {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            let ended = wait_until("a proxy to end", START_MAX, || Ok(process.try_wait()?));
            if ended.is_err() {
                let _ = process.kill();
                let _ = process.wait();
            }
        }
    }
}

fn new_ports(host: Ipv4Addr) -> Result<Servers> {
    let port = || Ok::<_, anyhow::Error>(SocketAddr::from((host, free_port()?)));
    Ok(Servers {
        echo: port()?,
        blast: port()?,
    })
}

/// Whether a word comes back.
fn echoes(at: SocketAddr) -> bool {
    let Ok(mut client) = TcpStream::connect(at) else {
        return false;
    };
    let mut answer = [0];
    client.write_all(b"?").is_ok() && client.read_exact(&mut answer).is_ok()
}

fn put(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = folder.join(name);
    #[expect(
        clippy::disallowed_methods,
        reason = "the input of a proxy is written before it starts"
    )]
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}

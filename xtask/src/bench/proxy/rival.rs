//! Proxies in front of the same two servers: ours, and the peers with the settings that suit them best.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result};
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
}

impl Rival {
    /// No proxy at all.
    pub(super) fn direct(servers: Servers) -> Self {
        Self {
            name: "direct",
            ports: servers,
            process: None,
            _folder: None,
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
        let folder = tempfile::tempdir()?;
        let port = || Ok::<_, anyhow::Error>(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)));
        let ports = Servers {
            echo: port()?,
            blast: port()?,
        };
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
        std::iter::once(id).chain(children).collect()
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

fn put(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = folder.join(name);
    #[expect(
        clippy::disallowed_methods,
        reason = "the input of a proxy is written before it starts"
    )]
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}

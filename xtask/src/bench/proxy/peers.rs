//! The peers, with the settings that suit them best.

use std::net::SocketAddr;

use anyhow::Result;

use super::rival::{Rival, Servers, command, put};

impl Rival {
    /// HAProxy in TCP mode, with splicing and so many threads.
    pub(super) fn haproxy(servers: Servers, threads: usize) -> Result<Self> {
        Self::start("haproxy", |folder, ports| {
            let listen = |name: &str, from: SocketAddr, to: SocketAddr| {
                format!("listen {name}\n    bind {from} backlog 4096\n    server one {to}\n")
            };
            // More connections would not fit into 20 000 descriptors, because pipes are counted too.
            let text = format!(
                "global\n    nbthread {threads}\n    maxconn 6000\ndefaults\n    mode tcp\n    option splice-auto\n    \
                 timeout connect 5s\n    timeout client 300s\n    timeout server 300s\n{}{}",
                listen("echo", ports.echo, servers.echo),
                listen("blast", ports.blast, servers.blast)
            );
            let conf = put(folder, "haproxy.cfg", &text)?;
            let mut haproxy = command("/usr/sbin/haproxy");
            haproxy.args(["-db", "-f", &conf]);
            Ok(haproxy)
        })
    }

    /// nginx with its stream module and so many workers.
    pub(super) fn nginx(servers: Servers, workers: usize) -> Result<Self> {
        Self::start("nginx", |folder, ports| {
            let server = |from: SocketAddr, to: SocketAddr| {
                format!(
                    "    server {{ listen {from} reuseport backlog=4096; proxy_pass {to}; tcp_nodelay on; }}\n"
                )
            };
            let text = format!(
                "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\nworker_processes {workers};\n\
                 pid {0}/pid;\nerror_log {0}/error.log crit;\nevents {{ worker_connections 8000; }}\nstream {{\n{1}{2}}}\n",
                folder.display(),
                server(ports.echo, servers.echo),
                server(ports.blast, servers.blast)
            );
            let conf = put(folder, "nginx.conf", &text)?;
            let mut nginx = command("/usr/sbin/nginx");
            nginx.arg("-p").arg(folder).args(["-c", &conf]);
            Ok(nginx)
        })
    }
}

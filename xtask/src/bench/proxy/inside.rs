//! Connections into a network that an ordinary user's process has for itself, through sockets that the proxy has made
//! inside; the proxy runs as that user as well.
//!
//! Such a network is all that the proxy sees of a rootless pod: what podman adds to it, a port forwarder, is not on
//! this way. So none is started here.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use testkit::User;

use super::helper::{Helper, serving};
use super::load::{Kind, Load};
use super::ours::{OURS, configured};
use super::rival::{Rival, Servers, command, new_ports, put};
use super::sample::{LATE, Measured, RATE, of, rounds, shown};
use super::server::Service;
use crate::bench::table::{Better, Figure, Row};

const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_secs(3);
/// As many as possible with few clients and with many, and so many as the design promises.
const LOADS: [(&str, Load); 3] = [
    ("8 clients connect", Load::new(Kind::Connect, 8, TIME)),
    ("64 clients connect", Load::new(Kind::Connect, 64, TIME)),
    (
        "64 clients, 9 000 a second",
        Load {
            paced: Some(PROMISED),
            ..Load::new(Kind::Connect, 64, TIME)
        },
    ),
];
const FEW: usize = 0;
const MANY: usize = 1;
const PACED: usize = 2;
/// Connections a second.
const PROMISED: u32 = 9000;
/// The port inside.
const TARGET: u16 = 8080;

pub(super) fn measure(programs: &Path) -> Result<Vec<Row>> {
    let user = User::new()?;
    let folder = TempDir::new()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    // The user need not be able to go where they have been built.
    let copy = |from: &Path, name: &str| -> Result<_> {
        let to = folder.path().join(name);
        fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(to)
    };
    let program = copy(&programs.join("sns-proxy"), "sns-proxy")?;
    let own = copy(&std::env::current_exe()?, "xtask")?;
    let pod = pod(&user, &own)?;
    let server = Helper::start(Service::Echo)?;
    let rivals = [
        Rival::direct(Servers::one(server.address)),
        proxy(&user, &program, &pod)?,
    ];
    let all = rounds(ROUNDS, "", &rivals, &LOADS)?;
    Ok(vec![
        rate(
            "proxy: into a user's namespace, connections/s, 8",
            FEW,
            &all,
        )?,
        ratio("proxy: the same, beside no proxy in between", FEW, &all)?,
        late("proxy: p99 of these connections", FEW, &all)?,
        rate(
            "proxy: into a user's namespace, connections/s, 64",
            MANY,
            &all,
        )?,
        ratio("proxy: the same, beside no proxy in between", MANY, &all)?,
        late("proxy: p99 of 9 000 connections a second, 64", PACED, &all)?,
    ])
}

/// A server in a network of its own, which belongs to the user.
fn pod(user: &User, own: &Path) -> Result<Helper> {
    let mut pod = command("unshare");
    let script = format!("busybox ip link set lo up && exec {}", serving(own, TARGET));
    pod.args(["--user", "--map-root-user", "--net", "sh", "-c", &script])
        .current_dir("/");
    user.runs(&mut pod);
    Helper::of(pod)
}

/// The cluster proxy of that user, with the pod as its only backend.
fn proxy(user: &User, program: &Path, pod: &Helper) -> Result<Rival> {
    let ports = Servers::one(new_ports([127, 0, 0, 1].into())?.echo);
    Rival::start_at(OURS, ports, |folder, ports| {
        let line = format!(
            "cluster={} target={TARGET} pid={} start={} max=60000 in=optional out=none pod=bench-1.0.0\n",
            ports.echo.port(),
            pod.id(),
            start_time(pod.id())?
        );
        put(folder, "endpoints.conf", &line)?;
        let mut proxy = configured(folder, program, "\n", "ENDPOINTSCONF endpoints.conf")?;
        user.own(folder)?;
        user.runs(&mut proxy);
        Ok(proxy)
    })
}

fn rate(what: &'static str, load: usize, all: &[Measured]) -> Result<Row> {
    Ok(Row {
        what,
        original: "224",
        figure: Figure::Rate {
            target: f64::from(PROMISED),
            ours: of(all, OURS)?.median(load, RATE)?,
        },
    })
}

/// The promise is half of what connections cost without a proxy, where it was made.
fn ratio(what: &'static str, load: usize, all: &[Measured]) -> Result<Row> {
    let direct = of(all, "direct")?.median(load, RATE)?;
    Ok(Row {
        what,
        original: "direct",
        figure: Figure::Ratio {
            target: 0.5,
            ratio: of(all, OURS)?.median(load, RATE)? / direct,
            better: Better::More,
            peer: shown(direct, "/s"),
        },
    })
}

fn late(what: &'static str, load: usize, all: &[Measured]) -> Result<Row> {
    Ok(Row {
        what,
        original: "12.5 ms",
        figure: Figure::Time {
            target: Duration::from_millis(5),
            ours: Duration::from_secs_f64(of(all, OURS)?.median(load, LATE)?),
        },
    })
}

/// When a process was started, in clock ticks since boot.
fn start_time(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_name) = stat.rsplit_once(')').context("the kernel tells no times")?;
    // Field 22 of proc_pid_stat(5); the first after the name is the third.
    let field = after_name.split_ascii_whitespace().nth(22 - 3);
    Ok(field.context("the kernel tells no start time")?.parse()?)
}

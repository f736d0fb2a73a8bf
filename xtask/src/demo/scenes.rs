//! What the demo shows, scene by scene.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use testkit::fetch;

use crate::demo::address;
use crate::demo::stage::{HOST, Stage, copy};
use crate::ui;

/// All scenes in their order.
pub(super) fn play(stage: &mut Stage) -> Result<()> {
    let router = address::router()?;
    make_cluster(stage, router)?;
    add_pods(stage)?;
    sync_and_start(stage)?;
    let page = SocketAddr::new(router.ip(), cluster_port(stage)?);
    show_page(stage, page, "It works")?;
    reload(stage, page)?;
    restart(stage, page)
}

fn title(text: &str) {
    ui::print(&format!("\n== {text}"));
}

fn make_cluster(stage: &Stage, router: SocketAddr) -> Result<()> {
    title("A Cluster Project with one host: this machine");
    let project = stage.cluster.project();
    let name = project
        .file_name()
        .context("the project has no name")?
        .to_string_lossy();
    stage.run(&["sns", "cluster", "create", &name])?;
    let home = format!("--dir-home={}", stage.cluster.host_home(HOST).display());
    let router = format!("--router-address={router}");
    stage.run(&[
        "sns",
        "host",
        "register",
        HOST,
        "--address=local",
        &home,
        &router,
    ])?;
    stage.run(&["sns", "host", "init", HOST])
}

fn add_pods(stage: &Stage) -> Result<()> {
    title(
        "Two pods: a website (a git repository in PODPATH) and the cluster proxy (sns carries it)",
    );
    let website = stage.cluster.pods().join("website");
    copy(&stage.examples.join("website"), &website)?;
    stage.cluster.make_repository(&website)?;
    for pod in ["website", "proxy"] {
        stage.run(&["sns", "host", "attach", &format!("{pod}@{HOST}")])?;
    }
    commit(stage, "Attach website and proxy")?;
    for pod in ["website", "proxy"] {
        stage.run(&["sns", "pod", "compile", pod])?;
    }
    Ok(())
}

fn sync_and_start(stage: &mut Stage) -> Result<()> {
    title("Desired state is what git has; a sync makes the hosts equal to it");
    commit_and_sync(stage, "Run the website")?;
    title("The daemon of the host makes it true");
    stage.start_daemon()
}

fn commit(stage: &Stage, message: &str) -> Result<()> {
    stage.run(&["git", "add", "."])?;
    stage.run(&["git", "commit", "-q", "-m", message])
}

fn commit_and_sync(stage: &Stage, message: &str) -> Result<()> {
    commit(stage, message)?;
    stage.run(&["sns", "cluster", "sync"])
}

/// The cluster port that compiling has assigned to the website.
fn cluster_port(stage: &Stage) -> Result<u16> {
    let release = stage
        .cluster
        .project()
        .join(HOST)
        .join("pods/website/release/1.0.0");
    let file = release.join("pod.portmappings.conf");
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let port = text
        .split(':')
        .next()
        .and_then(|port| port.trim().parse().ok());
    port.with_context(|| format!("{} names no cluster port", file.display()))
}

fn show_page(stage: &mut Stage, page: SocketAddr, expected: &str) -> Result<()> {
    let what = format!("http://{page}/ to say {expected:?}");
    let text = stage.wait(&what, |_| {
        fetch(page, "/").ok().filter(|text| text.contains(expected))
    })?;
    ui::print(&format!("\n$ curl http://{page}/"));
    ui::print(text.trim_end());
    Ok(())
}

fn reload(stage: &mut Stage, page: SocketAddr) -> Result<()> {
    title("A changed configuration is a commit; the running server reads it at a signal");
    let edit = [
        "sed",
        "-i",
        "s/index.html/news.html/",
        "_config/website/conf/httpd.conf",
    ];
    stage.run(&edit)?;
    stage.run(&["sns", "pod", "updateconfig", "website"])?;
    commit_and_sync(stage, "Show the news")?;
    show_page(stage, page, "News")
}

fn restart(stage: &mut Stage, page: SocketAddr) -> Result<()> {
    title("What ends is started again");
    let before = server(stage).context("`sns pod ps` shows no running server")?;
    stage.run(&["kill", "-KILL", &before.pid.to_string()])?;
    stage.wait("the server to be started again", |stage| {
        server(stage).filter(|now| now.starts > before.starts && now.pid != before.pid)
    })?;
    show_page(stage, page, "News")?;
    stage.run(&["sns", "pod", "ps", "website"])
}

struct Server {
    pid: u64,
    starts: u64,
}

fn server(stage: &Stage) -> Option<Server> {
    let replica = stage.replica("website")?;
    let unit = replica.get("units")?.get(0)?;
    Some(Server {
        pid: unit.get("pid")?.as_u64()?,
        starts: unit.get("startCount")?.as_u64()?,
    })
}

/// What to try next, as lines to paste.
pub(super) fn invite(stage: &Stage) {
    title("It is yours until Ctrl-C. In another terminal:");
    ui::print(&format!("  cd {}", stage.cluster.project().display()));
    ui::print(&format!("  export PATH={}:$PATH", stage.programs.display()));
    ui::print(&format!(
        "  export PODPATH={}",
        stage.cluster.pods().display()
    ));
    for line in [
        "sns pod ps website                     # what runs, since when, how often started",
        "sns pod logs website                   # what it said",
        "sns pod state website --state=stopped  # then commit, `sns cluster diff`, `sns cluster sync`",
        "cat laptop/pods/website/release/*/pod  # the compiled pod is text",
    ] {
        ui::print(&format!("  {line}"));
    }
    ui::print(&format!("The daemon's log: {}", stage.log().display()));
}

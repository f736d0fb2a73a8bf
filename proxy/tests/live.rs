//! Files, settings and ports that change while the proxy runs, and its end. Except where a test says so,
//! the files are looked at only when the kernel tells that they changed.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use sns_proxy::Patience;
use tokio::net::TcpStream;

use crate::cluster::{
    Hops, Host, PORT, Path, UNHURRIED, breaks, hear, open_everywhere, path, rest, say, within,
};

async fn is_refused(host: &Host) {
    let error = within(TcpStream::connect((host.ip, PORT)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_mapping_comes_and_goes() {
    let host = Host::start().await;
    is_refused(&host).await;
    let backend = host.mapped(10, false).await;
    let (mut client, mut server) = tokio::join!(host.connect(PORT), backend.accept());
    host.map(&[]).await;
    is_refused(&host).await;
    say(&mut client, "still here").await;
    hear(&mut server, "still here").await;
}

#[tokio::test]
async fn a_broken_file_leaves_the_last_good_one_in_force() {
    let mut host = Host::start().await;
    host.mapped(10, false).await.answering("pod");
    host.write("portmappings.conf", "61000:30000:10:fal");
    host.said("portmappings.conf, line 1").await;
    host.write("hosts.conf", "127.0.0.1:x\n");
    host.said("hosts.conf, line 1").await;
    assert_eq!(rest(&mut host.connect(PORT).await).await, "pod");
    host.write("portmappings.conf", "\n");
    host.said("portmappings.conf is read again").await;
    host.until(|status| status.mappings.is_empty()).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_tried_again() {
    let mut host = Host::start().await;
    let taken = TcpListener::bind((host.ip, PORT)).unwrap();
    host.mapped(10, false).await.answering("pod");
    host.said(&format!("cannot listen on {}:{PORT}", host.ip))
        .await;
    host.until(|status| status.failed.len() == 1).await;
    drop(taken);
    host.until(|status| status.failed.is_empty() && status.cluster_ports.len() == 1)
        .await;
    assert_eq!(rest(&mut host.connect(PORT).await).await, "pod");
}

#[tokio::test]
async fn the_cluster_ports_file_says_where_to_listen() {
    let host = Host::start().await;
    open_everywhere(&host, &[]).await;
    host.write("clusterports.conf", "61001\n61002\n");
    host.until(|status| {
        status
            .cluster_ports
            .iter()
            .map(SocketAddr::port)
            .eq([61001, 61002])
    })
    .await;
    // Without the file, the mappings say it.
    std::fs::remove_file(host.folder.path().join("clusterports.conf")).unwrap();
    host.mapped(10, false).await.answering("pod");
    host.until(|status| status.cluster_ports.iter().map(SocketAddr::port).eq([PORT]))
        .await;
}

#[tokio::test]
async fn a_port_that_may_not_be_opened_is_told_once() {
    let mut host = Host::start().await;
    host.configure("CLUSTERPORTS 62000-62999");
    host.proxy.reload().await;
    host.map(&["61000:30000:1:false".into(), "62000:30001:1:false".into()])
        .await;
    host.said("not listening on cluster ports 61000: CLUSTERPORTS in proxy.conf")
        .await;
    host.map(&["61000:30000:2:false".into()]).await;
    host.until(|status| status.cluster_ports.is_empty()).await;
    assert!(!host.has_said("not listening"));
}

#[tokio::test]
async fn new_settings_keep_the_connections() {
    let mut host = Host::start().await;
    let backend = host.mapped(10, false).await;
    let (mut client, mut server) = tokio::join!(host.connect(PORT), backend.accept());
    host.configure("CLUSTERPORTS 62000-62001\nPORT 40000");
    host.proxy.reload().await;
    host.until(|status| status.relay.is_some_and(|at| at.port() == 40000))
        .await;
    host.until(|status| status.cluster_ports.is_empty()).await;
    say(&mut client, "still here").await;
    hear(&mut server, "still here").await;

    host.configure("PROT 1");
    host.proxy.reload().await;
    host.said("6: error: unknown key `PROT`").await;
    host.until(|status| status.relay.is_some_and(|at| at.port() == 40000))
        .await;
}

#[tokio::test]
async fn the_first_line_of_hosts_conf_is_waited_for() {
    let mut host = Host::start().await;
    host.write(
        "proxy.conf",
        "HOSTSCONF hosts.conf\nPORTSCONF portmappings.conf\n",
    );
    host.proxy.reload().await;
    host.said("no address to listen on").await;
    host.until(|status| status.relay.is_none()).await;
    host.write("hosts.conf", &format!("{}:40000\n", host.ip));
    host.until(|status| status.relay.is_some_and(|at| at.port() == 40000))
        .await;
}

#[tokio::test]
async fn a_folder_that_comes_later_is_found() {
    let host = Host::with(Patience {
        look_every: Duration::from_millis(1),
        ..UNHURRIED
    })
    .await;
    // A folder that is not there cannot be watched.
    host.write(
        "proxy.conf",
        &format!(
            "HOSTSCONF later/hosts.conf\nPORTSCONF portmappings.conf\nHOST {}\n",
            host.ip
        ),
    );
    host.proxy.reload().await;
    host.until(|status| status.config_reads == 2).await;
    std::fs::create_dir(host.folder.path().join("later")).unwrap();
    host.write("later/hosts.conf", &format!("{}:40000\n", host.ip));
    host.until(|status| status.relay.is_some_and(|at| at.port() == 40000))
        .await;
}

/// A connection whose client's proxy, the first of the hosts, gives it so many seconds when it ends.
async fn ending(hops: Hops, drain: u32) -> Path {
    let mut path = path(hops, false).await;
    path.hosts.reverse();
    let near = path.hosts.first_mut().unwrap();
    near.configure(&format!("DRAIN {drain}"));
    near.proxy.reload().await;
    near.said("is in force").await;
    path
}

#[tokio::test]
async fn the_end_waits_for_open_connections() {
    let mut path = ending(Hops::Two, 60).await;
    let near = path.hosts.remove(0);
    let (ip, stopping) = (near.ip, tokio::spawn(near.proxy.stop()));
    while TcpStream::connect((ip, PORT)).await.is_ok() {}
    assert!(!stopping.is_finished());
    say(&mut path.server, "last words").await;
    drop(path.server);
    hear(&mut path.client, "last words").await;
    drop(path.client);
    within(stopping).await.unwrap();
}

#[tokio::test]
async fn the_end_does_not_wait_for_ever() {
    let mut path = ending(Hops::One, 0).await;
    within(path.hosts.remove(0).proxy.stop()).await;
    breaks(&mut path.client).await;
    breaks(&mut path.server).await;
}

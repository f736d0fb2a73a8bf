//! The typical cluster: five hosts behind real SSH servers, four of them reached only through the fifth, each with its
//! daemon and its proxy.

use std::io::ErrorKind;
use std::net::{IpAddr, TcpStream};
use std::time::Duration;

use testkit::{Network, TypicalCluster, fetch, wait_until};

/// Only ends a test that has failed already.
const LIMIT: Duration = Duration::from_secs(90);

fn ps(cluster: &TypicalCluster) -> serde_json::Value {
    let said = cluster.sns(&["cluster", "ps", "--json"]).unwrap();
    serde_json::from_str(&said).unwrap()
}

/// How many releases are ready.
fn ready(rows: &serde_json::Value) -> usize {
    let rows = rows.as_array().unwrap();
    rows.iter().filter(|row| row["ready"] == true).count()
}

#[test]
fn a_client_on_one_worker_is_served_by_the_other_and_all_goes_through_the_backdoor() {
    let mut cluster = TypicalCluster::new().unwrap();
    cluster.prepare().unwrap();
    let synced = cluster.sns(&["cluster", "sync"]).unwrap();
    for host in cluster.hosts() {
        assert!(synced.contains(&format!("{host}: ")), "{synced}");
    }
    cluster.start_daemons().unwrap();
    let page = cluster.page("worker2").unwrap();
    let served = wait_until("the page at worker2", LIMIT, || {
        cluster.at("worker2", || fetch(page, "/").ok())
    });
    assert!(served.unwrap().contains("It works"));
    let all = wait_until("all pods to be ready", LIMIT, || {
        let rows = ps(&cluster);
        Ok((ready(&rows) == 6).then_some(rows))
    });
    assert_eq!(all.unwrap().as_array().unwrap().len(), 6);
    let again = cluster.run("sns", &["cluster", "sync", "--exit-code"]);
    assert_eq!(again.unwrap().code, 0);

    // Nobody is reached but through the backdoor.
    let direct = |address: IpAddr| {
        let connect = || TcpStream::connect_timeout(&(address, 22).into(), Duration::from_secs(5));
        cluster.at_operator(connect).unwrap()
    };
    let refused = direct(Network::address(2)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NetworkUnreachable);
    direct(Network::outside_address(4)).unwrap();

    // Cut off from the inside, the backdoor is told as the hop that fails.
    cluster.cut("backdoor").unwrap();
    let synced = cluster.run("sns", &["cluster", "sync"]).unwrap();
    assert_eq!(synced.code, 6, "{synced}");
    assert!(
        synced
            .stderr
            .contains("could not reach host worker1 through backdoor")
            && synced.stderr.contains("the jump host backdoor"),
        "{synced}"
    );
    assert!(
        synced.stdout.contains("backdoor: nothing to do"),
        "{synced}"
    );
    cluster.mend("backdoor").unwrap();
    let heals = wait_until("the way to be back", LIMIT, || {
        let synced = cluster.run("sns", &["cluster", "sync"])?;
        Ok((synced.code == 0).then_some(()))
    });
    heals.unwrap();
}

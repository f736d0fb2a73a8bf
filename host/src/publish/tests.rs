//! When routes are written, and which are kept over a restart of the daemon.

use super::*;
use hostfiles::{HostHome, ReleaseDir};

use crate::log::Level;
use crate::process::{ProcessId, boot_id};
use crate::shim::RunRecord;

fn id(text: &str) -> ReleaseId {
    text.parse().unwrap()
}

/// The two files, side by side.
fn files(mappings: &Path) -> Files {
    Files {
        mappings: mappings.to_owned(),
        endpoints: mappings.with_file_name("endpoints.conf"),
    }
}

fn unheard(ids: &[&str]) -> Unheard {
    Unheard {
        releases: ids.iter().map(|text| id(text)).collect(),
        ..Unheard::default()
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_before_every_release_was_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portmappings.conf");
    hostfiles::replace(&path, b"61000:30000:10:false\n", 0o644).unwrap();
    let (routes, messages) = Routes::channel();
    let expected = unheard(&["a:1.0.0", "b:1.0.0"]);
    let writer = tokio::spawn(run(
        files(&path),
        messages,
        expected,
        Log::new(Level::Error),
    ));
    let mapping = |text: &str| text.parse::<PortMapping>().unwrap();
    routes
        .set(id("b:1.0.0"), vec![mapping("61001:30001:10:true")])
        .await;
    tokio::task::yield_now().await;
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "61000:30000:10:false\n"
    );
    routes
        .set(id("a:1.0.0"), vec![mapping("61000:30000:10:false")])
        .await;
    drop(routes);
    writer.await.unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "61000:30000:10:false\n61001:30001:10:true\n"
    );
    // Whoever says nothing but its mappings is described as well.
    assert_eq!(
        std::fs::read_to_string(folder.path().join("endpoints.conf")).unwrap(),
        "cluster=61000 host=30000 max=10 in=optional out=none pod=a-1.0.0\n\
         cluster=61001 host=30001 max=10 in=optional out=v1 pod=b-1.0.0\n"
    );
}

#[tokio::test]
async fn a_file_that_somebody_damaged_or_removed_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portmappings.conf");
    let (routes, messages) = Routes::channel();
    let log = Log::new(Level::Error);
    let writer = tokio::spawn(run(files(&path), messages, Unheard::default(), log));
    let mapping = "61000:30000:10:false".parse().unwrap();
    routes.set(id("a:1.0.0"), vec![mapping]).await;
    hostfiles::replace(&path, b"xx\n", 0o644).unwrap();
    routes.look().await;
    drop(routes);
    writer.await.unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "61000:30000:10:false\n"
    );
}

#[tokio::test]
async fn what_was_withdrawn_is_gone_before_a_stop_begins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portmappings.conf");
    let (routes, messages) = Routes::channel();
    let log = Log::new(Level::Error);
    let expected = unheard(&["a:1.0.0", "b:1.0.0"]);
    let writer = tokio::spawn(run(files(&path), messages, expected, log));
    let read = || std::fs::read_to_string(&path).unwrap();
    let mapping = |text: &str| vec![text.parse::<PortMapping>().unwrap()];
    let [first, second] = ["61000:30000:10:false", "61001:30001:10:false"];
    routes.set(id("a:1.0.0"), mapping(first)).await;
    // The writer still waits for the other release; then both are written together.
    let ((), ()) = tokio::join!(routes.written(), async {
        routes.set(id("b:1.0.0"), mapping(second)).await;
    });
    assert_eq!(read(), format!("{first}\n{second}\n"));
    routes.set(id("a:1.0.0"), Vec::new()).await;
    routes.written().await;
    assert_eq!(read(), format!("{second}\n"));
    drop(routes);
    writer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_write_that_failed_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("home");
    let path = directory.join("portmappings.conf");
    let (_routes, messages) = Routes::channel();
    let log = Log::new(Level::Error);
    let writer = tokio::spawn(run(files(&path), messages, Unheard::default(), log));
    tokio::time::sleep(TRY_AGAIN / 2).await;
    std::fs::create_dir(&directory).unwrap();
    while !path.exists() {
        tokio::time::sleep(TRY_AGAIN).await;
    }
    writer.abort();
}

/// A host home on which the daemon before routed `web:1.0.0`, whose unit is this process.
struct Before {
    folder: tempfile::TempDir,
    home: HostHome,
}

impl Before {
    fn new(expose: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = HostHome::new(folder.path());
        let before = Self { folder, home };
        let release = before.release();
        let text = format!(
            "{}\nformat: 1\npod: web\npodVersion: 1.0.0\nruntime: native\nunits:\n- name: main\n  expose: {expose}\n- name: job\n",
            podspec::FIRST_LINE
        );
        before.put(&release.run_dir().join("pod"), &text);
        before.put(&release.state(), "running\n");
        before.put(&release.portmappings(), "61000:30000:10:false\n");
        let old = "61000:30000:10:false\n62000:31000:10:false\n";
        before.put(&before.home.portmappings_conf(), old);
        before.record(
            ProcessId::of(std::process::id()).unwrap(),
            &boot_id().unwrap(),
        );
        before
    }

    fn release(&self) -> ReleaseDir {
        self.home.release(&id("web:1.0.0"))
    }

    fn put(&self, path: &Path, text: &str) {
        assert!(path.starts_with(self.folder.path()));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        hostfiles::replace(path, text.as_bytes(), 0o644).unwrap();
    }

    fn record(&self, process: ProcessId, boot: &str) {
        let record = RunRecord {
            process,
            shim: process,
            boot: boot.to_owned(),
            started_ms: 0,
            start_count: 1,
            address: None,
            streams: None,
            refused: false,
            detached: false,
            group: None,
        };
        let path = self.release().run_dir().join("main.json");
        self.put(&path, &serde_json::to_string(&record).unwrap());
    }

    fn inherited(&self) -> BTreeMap<ReleaseId, Inherited> {
        Inherited::of(&self.home, &[id("web:1.0.0")], 0)
    }
}

const EXPOSE: &str = "[{targetPort: 80, hostPort: 30000, clusterPort: 61000, maxConn: 10}]";

#[test]
fn only_the_ports_of_a_pod_that_still_listens_are_inherited() {
    let before = Before::new(EXPOSE);
    let found = before.inherited();
    let inherited = &found[&id("web:1.0.0")];
    assert_eq!(
        inherited.ways.mappings,
        ["61000:30000:10:false".parse().unwrap()]
    );
    // The daemon before has not described it.
    let endpoints = Endpoints(inherited.ways.endpoints.clone()).to_text();
    assert_eq!(
        endpoints,
        "cluster=61000 host=30000 max=10 in=optional out=none\n"
    );
    let check = |prepare: &dyn Fn(&Before)| {
        let before = Before::new(EXPOSE);
        let kept = before.inherited().remove(&id("web:1.0.0")).unwrap();
        prepare(&before);
        (before.inherited().is_empty(), !kept.holds(0))
    };
    for file in ["pod.state", "pod.portmappings.conf"] {
        let at = |before: &Before| before.release().path().join(file);
        assert_eq!(
            check(&|before| std::fs::remove_file(at(before)).unwrap()),
            (true, true)
        );
    }
    let stopped = |before: &Before| before.put(&before.release().state(), "stopped\n");
    assert_eq!(check(&stopped), (true, true));
    // What follows can only be seen by the next daemon.
    let gone = ProcessId {
        start_time: 1,
        ..ProcessId::of(std::process::id()).unwrap()
    };
    assert!(check(&|before| before.record(gone, &boot_id().unwrap())).0);
    let alive = ProcessId::of(std::process::id()).unwrap();
    assert!(check(&|before| before.record(alive, "another boot")).0);
    let none = |before: &Before| before.put(&before.home.portmappings_conf(), "\n");
    assert!(check(&none).0);
    // Nobody can say who listens.
    assert!(Before::new("[]").inherited().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_release_whose_driver_waits_keeps_its_ports_until_it_speaks() {
    let before = Before::new(EXPOSE);
    let path = before.home.portmappings_conf();
    let read = || std::fs::read_to_string(&path).unwrap();
    let (routes, messages) = Routes::channel();
    let unheard = Unheard {
        inherited: before.inherited(),
        ..unheard(&["web:1.0.0", "gone:1.0.0"])
    };
    let writer = tokio::spawn(run(files(&path), messages, unheard, Log::new(Level::Error)));
    tokio::time::sleep(FIRST_LOOK_MAX * 2).await;
    routes.written().await;
    assert_eq!(read(), "61000:30000:10:false\n", "only of what listens");
    // Nobody tells the writer that the pod should stop, and yet it is not led there for ever.
    before.put(&before.release().state(), "stopped\n");
    tokio::time::sleep(INHERITED_LOOK * 2).await;
    routes.written().await;
    assert_eq!(read(), "\n");
    let mapping = "61000:30000:10:false".parse().unwrap();
    routes.set(id("web:1.0.0"), vec![mapping]).await;
    routes.written().await;
    assert_eq!(read(), "61000:30000:10:false\n");
    drop(routes);
    writer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_driver_says_counts_more_than_what_was_inherited() {
    let before = Before::new(EXPOSE);
    let path = before.home.portmappings_conf();
    let (routes, messages) = Routes::channel();
    let unheard = Unheard {
        inherited: before.inherited(),
        ..unheard(&["web:1.0.0"])
    };
    let writer = tokio::spawn(run(files(&path), messages, unheard, Log::new(Level::Error)));
    routes.set(id("web:1.0.0"), Vec::new()).await;
    routes.written().await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "\n");
    drop(routes);
    writer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_said_of_ports_is_inherited_with_them() {
    const HIDDEN: &str = "[{targetPort: 80, hostPort: 30000, clusterPort: 61000, maxConn: 10}, \
                          {targetPort: 81, clusterPort: 61001, maxConn: 5}]";
    let own = ProcessId::of(std::process::id()).unwrap();
    let inside = |start: u64| format!("pid={} start={start}", own.pid);
    let described = |start: u64| {
        let inside = inside(start);
        format!(
            "cluster=61000 host=30000 target=80 {inside} max=10 in=required out=v2 pod=web-1.0.0\n\
             cluster=61001 target=81 {inside} max=5 in=absent out=none pod=web-1.0.0\n"
        )
    };
    let other = "cluster=61002 host=30002 max=1 in=optional out=none pod=other-1.0.0\n";
    let before = Before::new(HIDDEN);
    let endpoints = before.home.endpoints_conf();
    before.put(&endpoints, &(described(own.start_time) + other));
    let (routes, messages) = Routes::channel();
    let unheard = Unheard {
        inherited: before.inherited(),
        ..unheard(&["web:1.0.0"])
    };
    let written = files(&before.home.portmappings_conf());
    let writer = tokio::spawn(run(written, messages, unheard, Log::new(Level::Error)));
    tokio::time::sleep(FIRST_LOOK_MAX * 2).await;
    routes.written().await;
    let read = || std::fs::read_to_string(&endpoints).unwrap();
    assert_eq!(read(), described(own.start_time));
    drop(routes);
    writer.await.unwrap();
    // Nobody listens any more in the network that another process had.
    before.put(&endpoints, &described(own.start_time + 1));
    let found = before.inherited().remove(&id("web:1.0.0")).unwrap();
    assert_eq!(found.ways.endpoints.len(), 1);
    // A port without a mapping is enough.
    before.put(&before.home.portmappings_conf(), "\n");
    before.put(&endpoints, &described(own.start_time));
    let found = before.inherited().remove(&id("web:1.0.0")).unwrap();
    let text = Endpoints(found.ways.endpoints).to_text();
    assert!(described(own.start_time).ends_with(&text) && text.lines().count() == 1);
    // As long as its unit has such a port.
    let another = Before::new(EXPOSE);
    another.put(&another.home.portmappings_conf(), "\n");
    another.put(&another.home.endpoints_conf(), &described(own.start_time));
    let found = another.inherited();
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn endpoints_are_there_before_the_mappings_that_they_belong_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portmappings.conf");
    let (routes, messages) = Routes::channel();
    let log = Log::new(Level::Error);
    let writer = tokio::spawn(run(files(&path), messages, Unheard::default(), log));
    let ways = Ways {
        mappings: vec!["61000:30000:10:false".parse().unwrap()],
        endpoints: [
            "cluster=61000 host=30000 target=8080 pid=1234 start=567890 max=10 in=absent out=v2",
            "cluster=61001 target=8081 pid=1234 start=567890 max=7",
        ]
        .map(|line| line.parse().unwrap())
        .to_vec(),
    };
    routes.set(id("a:1.0.0"), ways).await;
    routes.written().await;
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(
        read("endpoints.conf"),
        "cluster=61000 host=30000 target=8080 pid=1234 start=567890 max=10 in=absent out=v2 pod=a-1.0.0\n\
         cluster=61001 target=8081 pid=1234 start=567890 max=7 in=optional out=none pod=a-1.0.0\n"
    );
    assert_eq!(read("portmappings.conf"), "61000:30000:10:false\n");
    let changed = |name: &str| {
        let meta = std::fs::metadata(folder.path().join(name)).unwrap();
        meta.modified().unwrap()
    };
    assert!(changed("endpoints.conf") <= changed("portmappings.conf"));
    routes.set(id("a:1.0.0"), Vec::new()).await;
    routes.written().await;
    assert_eq!(
        (read("endpoints.conf"), read("portmappings.conf")),
        (String::new(), "\n".into())
    );
    drop(routes);
    writer.await.unwrap();
}

//! From any host to any project: one sync leads there, and a crash on the way leaves no third thing.

use std::collections::BTreeMap;
use std::fs;

use proptest::collection::btree_map;
use proptest::prelude::*;
use proptest::sample::select;
use simplenetes_sync::{Options, recover};

use crate::faults::{At, Fault};
use crate::world::{World, host, write};

/// Cases per property: SOAK percent of the full count, a tenth of it when unset.
pub(crate) fn cases(full: u32) -> ProptestConfig {
    let soak = std::env::var("SOAK")
        .ok()
        .and_then(|text| text.parse().ok());
    let cases = full / 100 * soak.unwrap_or(10);
    ProptestConfig::with_cases(cases.max(10))
}

/// A release of a project: state, pod, whether it has routes in force, and the files of its configs.
#[derive(Debug, Clone)]
struct Made {
    state: &'static str,
    pod: &'static str,
    routes: Option<bool>,
    files: BTreeMap<&'static str, &'static str>,
}

type Projects = BTreeMap<&'static str, Made>;

fn project() -> impl Strategy<Value = Projects> {
    let files = vec!["a/x", "a/.y", "a/deep/z", "a/deep/er/z", "b/x", "b/y/x"];
    let made = (
        select(vec!["running", "stopped", "removed"]),
        select(vec!["1", "2"]),
        proptest::option::of(any::<bool>()),
        btree_map(select(files), select(vec!["1", "2", ""]), 0..5),
    )
        .prop_map(|(state, pod, routes, files)| Made {
            state,
            pod,
            routes,
            files,
        });
    btree_map(
        select(vec!["web:1.0.0", "web:1.1.0", "api:1.0.0-rc1"]),
        made,
        0..4,
    )
}

fn make(world: &World, project: &Projects) {
    let pods = world.project.host(&host()).pods_dir();
    fs::remove_dir_all(pods).ok();
    for (id, made) in project {
        let release = world.release(id);
        write(&release.pod(), made.pod, 0o755);
        write(&release.state(), made.state, 0o644);
        let routes = made.routes.map(|active| {
            if active {
                release.ingress()
            } else {
                release.ingress_inactive()
            }
        });
        if let Some(path) = routes {
            write(&path, "bind 80\nprotocol http\nclusterport 61000\n", 0o644);
        }
        for (path, text) in &made.files {
            write(&release.configs_dir().join(path), text, 0o644);
        }
    }
}

/// The files of the project as a unit on the host sees them.
fn shows(world: &World, project: &Projects) {
    for (id, made) in project {
        let release = world.on_host(id);
        if !release.path().exists() {
            assert_eq!(made.state, "removed", "{id} did not arrive");
            continue;
        }
        assert_eq!(
            fs::read_to_string(release.state()).unwrap().trim(),
            made.state,
            "state of {id}"
        );
        assert_eq!(
            release.ingress().exists(),
            made.routes == Some(true),
            "routes of {id}"
        );
        assert_eq!(
            release.ingress_inactive().exists(),
            made.routes == Some(false),
            "routes of {id}"
        );
        for (path, text) in &made.files {
            assert_eq!(
                fs::read_to_string(release.configs_dir().join(path)).unwrap(),
                *text,
                "{path} of {id}"
            );
        }
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn one_sync_leads_there(before in project(), after in project(), at in 0_usize..150) {
        let world = World::new();
        make(&world, &before);
        world.sync();
        shows(&world, &before);
        let old = world.snapshot();

        make(&world, &after);
        world.try_sync(Some(At::new(at, Fault::Stop)), &Options::default()).err();
        recover(&world.home).unwrap();
        let crashed = world.snapshot();

        world.sync();
        shows(&world, &after);
        let new = world.snapshot();
        prop_assert!(crashed == old || crashed == new, "neither old nor new after a stop before effect {at}");
        prop_assert!(world.sync().is_empty());
        for id in before.keys().filter(|id| !after.contains_key(*id)) {
            let state = fs::read_to_string(world.on_host(id).state());
            prop_assert!(state.is_err() || state.unwrap() == "removed\n");
        }
    }
}

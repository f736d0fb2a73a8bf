//! The built components, and an engine for one test.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use simplenetes_plugin::{Engine, Grants, Manifest, Operation, Plugin, PodView, View};

/// The bytes of a component that `cargo xtask plugins` has built into this folder beside the programs.
pub(crate) fn component(folder: &str, name: &str) -> Vec<u8> {
    let mut directory: PathBuf = std::env::current_exe().unwrap();
    directory.pop();
    directory.pop();
    let path = directory
        .join(folder)
        .join(format!("{name}-{}.wasm", env!("CARGO_PKG_VERSION")));
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "cannot read {}: {error}; run `cargo xtask plugins`",
            path.display()
        )
    })
}

pub(crate) fn mock_component() -> Vec<u8> {
    component("test-plugins", "mock")
}

pub(crate) struct Loaded {
    pub(crate) plugin: Plugin,
    _cache: tempfile::TempDir,
}

/// A component with all that it wishes for.
pub(crate) fn load(component: &[u8]) -> Loaded {
    let wishes = Manifest::read(component).unwrap().wishes;
    load_with(component, wishes)
}

pub(crate) fn load_with(component: &[u8], grants: Grants) -> Loaded {
    let cache = tempfile::tempdir().unwrap();
    let engine = Engine::new(&cache.path().join("cache")).unwrap();
    Loaded {
        plugin: engine.load(component, grants).unwrap(),
        _cache: cache,
    }
}

/// A view of one mock pod, to plan this operation.
pub(crate) fn mock_view(operation: &str) -> Arc<View> {
    let spec = json!({
        "format": 1, "pod": "mock", "podVersion": "1.0.0", "runtime": "mock",
        "units": [{"name": "main", "spec": null}],
    });
    Arc::new(View {
        operation: Operation {
            name: operation.to_owned(),
            unit: Some("main".to_owned()),
            ..Operation::default()
        },
        now_ms: 1_000_000,
        pods: vec![PodView {
            id: "mock:1.0.0".to_owned(),
            spec,
            ..PodView::default()
        }],
        ..View::default()
    })
}

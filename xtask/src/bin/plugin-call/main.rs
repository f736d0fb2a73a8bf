//! Measures one plugin call for `cargo xtask bench`: `plugin-call COMPONENT POD CACHE`.
//!
//! A program of its own, so that `xtask` itself does not link the engine. It prints the median of many
//! calls, in nanoseconds.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use podspec::CompiledPod;
use simplenetes_plugin::{Engine, Manifest, Operation, Plugin, PodView, View};

/// How often the call is made.
const ROUNDS: usize = 1000;

fn main() -> Result<()> {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let [component, pod, cache] = arguments.as_slice() else {
        bail!("usage: plugin-call COMPONENT POD CACHE");
    };
    let plugin = load(Path::new(component), Path::new(cache))?;
    let view = Arc::new(question(Path::new(pod))?);
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let planned = plugin.plan(Arc::clone(&view))?;
        times.push(start.elapsed().as_nanos());
        if planned.steps.is_empty() {
            bail!("the plugin planned nothing");
        }
    }
    times.sort_unstable();
    println!("{}", times.get(ROUNDS / 2).context("no call was measured")?);
    Ok(())
}

fn load(component: &Path, cache: &Path) -> Result<Plugin> {
    let bytes = std::fs::read(component).with_context(|| {
        format!(
            "cannot read {}; run `cargo xtask plugins`",
            component.display()
        )
    })?;
    let wishes = Manifest::read(&bytes)?.wishes;
    Ok(Engine::new(cache)?.load(&bytes, wishes)?)
}

/// "Stop the first unit": what the daemon asks most simply.
fn question(pod: &Path) -> Result<View> {
    let text =
        std::fs::read_to_string(pod).with_context(|| format!("cannot read {}", pod.display()))?;
    let compiled = CompiledPod::from_text(&text)?;
    let unit = compiled
        .units
        .first()
        .context("the pod has no unit")?
        .name
        .to_string();
    let operation = Operation {
        name: "stop".into(),
        unit: Some(unit),
        ..Operation::default()
    };
    let id = format!("{}:{}", compiled.pod, compiled.pod_version);
    let pods = vec![PodView {
        id,
        spec: serde_json::to_value(&compiled)?,
        ..PodView::default()
    }];
    Ok(View {
        operation,
        pods,
        ..View::default()
    })
}

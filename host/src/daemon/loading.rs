//! Loading the plugins of a host beside everything else: what is translated already is loaded at once,
//! the rest is translated one after the other where nobody waits for it.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use crate::log::Log;
use crate::plugins::{Kinds, Plugins, Translated, Translation};
use crate::system::Clock;

/// The plugins, and the translation that is under way.
pub(super) struct Loading {
    /// None only while they are loaded.
    plugins: Option<Plugins>,
    translating: Option<JoinHandle<Translated>>,
    kinds: watch::Sender<Arc<Kinds>>,
    /// When the list was read last: what became due since then has not been looked at.
    loaded_ms: u64,
    clock: Clock,
    log: Log,
}

impl Loading {
    pub(super) fn new(plugins: Plugins, kinds: watch::Sender<Arc<Kinds>>, log: Log) -> Self {
        Self {
            plugins: Some(plugins),
            translating: None,
            kinds,
            loaded_ms: 0,
            clock: Clock::start(),
            log,
        }
    }

    /// Reads the list of plugins and puts in service what it names, if that is translated already. True
    /// when anything has changed by that.
    pub(super) async fn load(&mut self) -> bool {
        let Some(mut plugins) = self.plugins.take() else {
            return false;
        };
        let now_ms = self.clock.now_ms();
        self.loaded_ms = now_ms;
        let loaded = tokio::task::spawn_blocking(move || {
            let kinds = plugins.load(now_ms);
            (plugins, kinds)
        });
        // The task only ends without a result when the daemon is being torn down.
        let Ok((plugins, kinds)) = loaded.await else {
            return false;
        };
        self.plugins = Some(plugins);
        self.translate();
        let known = Arc::clone(&self.kinds.borrow());
        if kinds.are(&known) {
            return false;
        }
        self.tell(&kinds, &known);
        self.kinds.send_replace(Arc::new(kinds));
        true
    }

    /// Waits until there is a reason to load again: a translation has ended, or one that failed may be
    /// tried once more. Dropping the future loses nothing.
    pub(super) async fn changed(&mut self) {
        let Some(translating) = &mut self.translating else {
            let plugins = self.plugins.as_ref();
            let due = plugins.and_then(|all| all.retry_at_ms(self.loaded_ms));
            return match due {
                Some(due) => sleep_until(self.clock.instant(due)).await,
                None => std::future::pending().await,
            };
        };
        let translated = translating.await;
        self.translating = None;
        // It is only aborted when the daemon is being torn down.
        if let (Some(plugins), Ok(translated)) = (&mut self.plugins, translated) {
            plugins.take(translated, self.clock.now_ms());
        }
    }

    /// One at a time: each may take a gibibyte of memory.
    fn translate(&mut self) {
        let next = self.plugins.as_mut().and_then(Plugins::next_translation);
        if let (Some(next), None) = (next, &self.translating) {
            self.log.info(format_args!("translating plugin {next}"));
            self.translating = Some(tokio::task::spawn_blocking(move || Translation::run(next)));
        }
    }

    fn tell(&self, kinds: &Kinds, known: &Kinds) {
        let is_news = |problem: &&String| !known.problems.contains(problem);
        for problem in kinds.problems.iter().filter(is_news) {
            self.log.error(problem);
        }
        let names: Vec<&str> = kinds.kinds.keys().map(String::as_str).collect();
        let names = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        self.log.info(format_args!("kinds of pods: {names}"));
    }
}

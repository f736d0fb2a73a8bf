//! The one wasmtime engine: its settings, its clock, and loading.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, EngineWeak};

use crate::bindings::{Plugin as World, PluginPre};
use crate::cache::{self, Cache, CacheError};
use crate::call::CallState;
use crate::{
    CONTRACT, Digest, Grants, Helper, HelperError, Limits, Manifest, ManifestError, Plugin,
};

/// The period of the clock that ends calls. It runs on a thread of its own, because a guest that spins
/// would stop the clock of the daemon's runtime.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Loads plugins. Cheap to clone; all clones share one clock and one cache.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Arc<Linker<CallState>>,
    cache: Arc<Result<Cache, CacheError>>,
    limits: Limits,
    helper: Option<Arc<Helper>>,
}

/// The engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refuses the settings on this machine.
    #[error("cannot set up the WebAssembly engine on this machine")]
    Settings(#[source] wasmtime::Error),
    /// The thread of the clock could not be started.
    #[error("cannot start the clock that ends plugin calls")]
    Clock(#[source] std::io::Error),
}

/// A plugin could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its manifest is missing or wrong.
    #[error("cannot use the plugin")]
    Manifest(#[from] ManifestError),
    /// It speaks another contract.
    #[error(
        "plugin {id} {version} was built for contract {contract}, this host speaks {CONTRACT}: install a version of the plugin for {CONTRACT}"
    )]
    Contract {
        /// The plugin's id.
        id: String,
        /// Its version.
        version: String,
        /// The contract it names.
        contract: String,
    },
    /// Its bytes cannot be translated to machine code.
    #[error("cannot translate plugin {id} {version}")]
    Translate {
        /// The plugin's id.
        id: String,
        /// Its version.
        version: String,
        /// Why.
        #[source]
        source: wasmtime::Error,
    },
    /// The process that translates did not bring a translation.
    #[error("cannot translate plugin {id} {version}")]
    Helper {
        /// The plugin's id.
        id: String,
        /// Its version.
        version: String,
        /// Why.
        #[source]
        source: HelperError,
    },
    /// Its imports or exports do not fit.
    #[error("plugin {id} {version} does not fit the contract {CONTRACT}")]
    Fit {
        /// The plugin's id.
        id: String,
        /// Its version.
        version: String,
        /// What does not fit.
        #[source]
        source: wasmtime::Error,
    },
}

impl Engine {
    /// An engine with the default limits that keeps translated plugins in `cache_directory`, which is
    /// made if it is not there and must belong to this user alone. A directory that cannot be used costs
    /// only time, see [`Self::cache_trouble`].
    ///
    /// # Errors
    /// The machine cannot be used.
    pub fn new(cache_directory: &Path) -> Result<Self, EngineError> {
        Self::with_limits(cache_directory, Limits::default())
    }

    /// As [`Self::new`], with other limits.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_limits(cache_directory: &Path, limits: Limits) -> Result<Self, EngineError> {
        let engine = wasmtime::Engine::new(&settings()).map_err(EngineError::Settings)?;
        start_clock(engine.weak()).map_err(EngineError::Clock)?;
        let mut linker = Linker::new(&engine);
        World::add_to_linker::<_, HasSelf<CallState>>(&mut linker, |state| state)
            .map_err(EngineError::Settings)?;
        let cache = Cache::open(cache_directory, &engine);
        Ok(Self {
            engine,
            linker: Arc::new(linker),
            cache: Arc::new(cache),
            limits,
            helper: None,
        })
    }

    /// The same engine, which has plugins translated by a process with bounds instead of in its own.
    #[must_use]
    pub fn translating_by(mut self, helper: Helper) -> Self {
        self.helper = Some(Arc::new(helper));
        self
    }

    /// Why translated plugins are not kept: each is translated in memory whenever it is loaded. None when
    /// the cache is in use.
    #[must_use]
    pub fn cache_trouble(&self) -> Option<&CacheError> {
        self.cache.as_ref().as_ref().err()
    }

    /// Loads a component with the grants that its host gives it. Nothing of the plugin runs yet.
    ///
    /// # Errors
    /// The bytes are no plugin, or the plugin does not fit this host.
    pub fn load(&self, component: &[u8], grants: Grants) -> Result<Plugin, LoadError> {
        let manifest = manifest(component)?;
        let digest = Digest::of(component);
        let translated = match self.kept(digest) {
            Some(translated) => translated,
            None => self.translate(&manifest, digest, component)?,
        };
        self.link(manifest, digest, &translated, grants)
    }

    /// As [`Self::load`], if that takes no time: none when the component has to be translated first.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_kept(&self, component: &[u8], grants: Grants) -> Result<Option<Plugin>, LoadError> {
        let manifest = manifest(component)?;
        let digest = Digest::of(component);
        self.kept(digest)
            .map(|translated| self.link(manifest, digest, &translated, grants))
            .transpose()
    }

    fn kept(&self, digest: Digest) -> Option<Component> {
        let cache = self.cache.as_ref().as_ref().ok()?;
        cache.find(&self.engine, digest)
    }

    fn link(
        &self,
        manifest: Manifest,
        digest: Digest,
        translated: &Component,
        grants: Grants,
    ) -> Result<Plugin, LoadError> {
        let fit = |source| LoadError::Fit {
            id: manifest.id.clone(),
            version: manifest.version.clone(),
            source,
        };
        let linked = self.linker.instantiate_pre(translated).map_err(fit)?;
        let world = PluginPre::new(linked).map_err(fit)?;
        Ok(Plugin {
            engine: self.engine.clone(),
            world,
            manifest,
            digest,
            grants: Arc::new(grants),
            limits: self.limits,
        })
    }

    fn translate(
        &self,
        manifest: &Manifest,
        digest: Digest,
        component: &[u8],
    ) -> Result<Component, LoadError> {
        let refused = |source| LoadError::Translate {
            id: manifest.id.clone(),
            version: manifest.version.clone(),
            source,
        };
        let code = match &self.helper {
            Some(helper) => helper.run(component).map_err(|source| LoadError::Helper {
                id: manifest.id.clone(),
                version: manifest.version.clone(),
                source,
            })?,
            None => self
                .engine
                .precompile_component(component)
                .map_err(refused)?,
        };
        if let Ok(cache) = self.cache.as_ref() {
            // What cannot be kept, on a full disk perhaps, is translated again the next time.
            let _ = cache.keep(digest, &code);
        }
        cache::load(&self.engine, &code).map_err(refused)
    }
}

/// What the component says about itself, if it speaks the contract of this host.
fn manifest(component: &[u8]) -> Result<Manifest, LoadError> {
    let manifest = Manifest::read(component)?;
    if manifest.contract != CONTRACT {
        return Err(LoadError::Contract {
            id: manifest.id,
            version: manifest.version,
            contract: manifest.contract,
        });
    }
    Ok(manifest)
}

/// Everything that no plugin of ours needs is off: each was the way in of an advisory once.
pub(crate) fn settings() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .wasm_component_model(true)
        .wasm_tail_call(false)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_stack_switching(false)
        .shared_memory(false)
        .max_wasm_stack(512 * 1024);
    config
}

fn start_clock(engine: EngineWeak) -> std::io::Result<()> {
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new()
        .name("plugin-clock".to_owned())
        .spawn(tick)
        .map(drop)
}

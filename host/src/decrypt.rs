//! Encrypted configs: opened with the key of the host, and kept in memory only.
//!
//! ```text
//! config/NAME/ ─content─▶ plain files ─place─▶ ramdisk/NAME/  (memory, which `ramdisk` has found or made)
//!                  ▲ key
//! ```
//! It is done before a unit starts, and again when what a sync has brought is another text. Whether that means
//! anything is told by the mark of a config: it changes when the plain files do, and says nothing about them.

mod content;
mod key;
mod place;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hostfiles::ReleaseDir;
use names::{ReleaseId, VolumeName};
use podspec::{CompiledPod, VolumeKind};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::log::one_line;
use crate::ramdisk::Ramdisks;
use content::Content;
pub use key::KeyFile;
pub(crate) use key::{KeyFileError, private_text};

/// The memory of one config, in MiB: the largest that is allowed, twice, because the next one is written
/// beside it.
const SIZE_MIB: u32 = 2;

/// What each encrypted config is known by; it changes when its plain files do.
pub type Marks = BTreeMap<VolumeName, String>;

/// The encrypted configs of a pod.
pub(crate) fn encrypted(pod: &CompiledPod) -> impl Iterator<Item = &VolumeName> {
    pod.volumes.iter().filter_map(|volume| match volume.kind {
        VolumeKind::Config { encrypted: true } => Some(&volume.name),
        _ => None,
    })
}

/// Opens the encrypted configs of one release.
#[derive(Debug, Clone)]
pub(crate) struct Decryption {
    key: KeyFile,
    ramdisks: Ramdisks,
    release: ReleaseDir,
    id: ReleaseId,
    /// One at a time writes to the memory of the release, or removes it.
    turn: Arc<Mutex<()>>,
    /// How often it was removed.
    removals: Arc<AtomicU64>,
}

impl Decryption {
    pub(crate) fn new(
        key: KeyFile,
        ramdisks: Ramdisks,
        release: ReleaseDir,
        id: ReleaseId,
    ) -> Self {
        Self {
            key,
            ramdisks,
            release,
            id,
            turn: Arc::default(),
            removals: Arc::default(),
        }
    }

    /// Makes what lies in memory equal to what a sync has brought.
    ///
    /// # Errors
    /// Why a config cannot be used, in one line for people; what was in memory before stays.
    pub(crate) async fn reveal(&self, pod: &CompiledPod) -> Result<Marks, String> {
        let _turn = self.turn.lock().await;
        self.reveal_all(pod).await
    }

    /// The same, unless the pod is removed before its turn has come: none then.
    pub(crate) fn reveal_again(
        &self,
        pod: Arc<CompiledPod>,
    ) -> impl Future<Output = Option<Result<Marks, String>>> + Send + 'static {
        let this = self.clone();
        let removals = self.removals.load(Ordering::Acquire);
        async move {
            let _turn = this.turn.lock().await;
            if this.removals.load(Ordering::Acquire) != removals {
                return None;
            }
            Some(this.reveal_all(&pod).await)
        }
    }

    /// Removes everything that lies in memory: also the ramdisks of the pod, which are no different there.
    pub(crate) async fn remove_all(&self) -> std::io::Result<()> {
        self.removals.fetch_add(1, Ordering::AcqRel);
        let _turn = self.turn.lock().await;
        self.ramdisks.remove_all(&self.release, &self.id).await
    }

    async fn reveal_all(&self, pod: &CompiledPod) -> Result<Marks, String> {
        let mut marks = Marks::new();
        for name in encrypted(pod) {
            marks.insert(name.clone(), self.reveal_one(name).await?);
        }
        Ok(marks)
    }

    async fn reveal_one(&self, name: &VolumeName) -> Result<String, String> {
        let (key, config) = (self.key.clone(), self.release.config(name));
        let pod = self.id.pod.clone();
        let opened = spawn_blocking(move || {
            let keys = key::read(key.path())?;
            let advice = key.advice(&pod, &keys);
            let content = Content::open(&config, &keys, &advice)?;
            let mark = content.mark(&keys);
            Ok::<_, content::DecryptError>((content, mark))
        });
        let opened = opened.await.map_err(|_| ending())?;
        let (content, mark) = opened.map_err(|error| one_line(&error))?;
        let directory = self
            .ramdisks
            .create_in_memory(&self.release, &self.id, name, SIZE_MIB)
            .await?;
        let placed = spawn_blocking(move || place::put(&directory, &content, &mark)).await;
        let placed = placed.map_err(|_| ending())?;
        placed.map_err(|error| {
            let place = self.release.ramdisk(name);
            format!(
                "cannot write the opened files of config {name} to {}: {error}",
                place.display()
            )
        })
    }
}

fn ending() -> String {
    "the daemon is ending".to_owned()
}

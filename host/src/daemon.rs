//! The daemon of one host home: reads what should be, starts a driver for each release, and hands every
//! change to the driver that it concerns.

mod address;
mod fleet;
mod loading;
mod reading;
mod settings;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hostfiles::{HostHome, HostId};
use simplenetes_plugin::{Engine, Helper};
use simplenetes_sync::far::Recovered;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::decrypt::KeyFile;
use crate::hands::{OwnAddress, Surroundings, Turns};
use crate::home::Home;
use crate::lock::Role;
use crate::log::{Log, one_line};
use crate::looks::Looks;
use crate::plugins::{self, Plugins};
use crate::publish::{self, Inherited, Routes, Unheard};
use crate::ramdisk::Ramdisks;
use crate::scan::Scanner;
use crate::system::since_epoch;
use crate::systemd::Notifier;
use crate::watch::{Changes, Watch};

use fleet::Fleet;
use loading::Loading;
use reading::undisturbed;
pub use settings::{Settings, runtime_directory};

/// Drivers that are in the middle of an operation get so long to finish it when the daemon ends.
const END_MAX: Duration = Duration::from_secs(70);
/// While the daemon starts, it looks so often whether a sync is done.
const SYNC_PAUSE: Duration = Duration::from_millis(50);

/// Serves the host home until the daemon is asked to end. Pods are left running.
///
/// # Errors
/// The home cannot be served, or the machine lacks something that the daemon needs.
pub async fn run(path: &Path, settings: Settings, log: Log) -> Result<()> {
    let home = Home::open(path)?;
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    let mut daemon = Daemon::start(&home, settings, log).await?;
    log.info(format_args!("serving {}", home.files.path().display()));
    let notifier = Notifier::from_environment();
    notifier.ready(&format!("serving {}", home.files.path().display()));
    loop {
        tokio::select! {
            changes = daemon.watch.changes() => daemon.take(changes).await,
            () = daemon.fleet.next_end() => daemon.take_everything().await,
            () = daemon.plugins.changed() => daemon.load_plugins().await,
            _ = term.recv() => break,
            _ = int.recv() => break,
            _ = hup.recv() => break,
        }
    }
    log.info("ending; pods are left running");
    notifier.stopping();
    if tokio::time::timeout(END_MAX, daemon.fleet.end())
        .await
        .is_err()
    {
        log.warn("an operation did not end in time; it is left to itself");
        daemon.fleet.leave();
    }
    Ok(())
}

struct Daemon {
    home: HostHome,
    scanner: Scanner,
    watch: Watch,
    plugins: Loading,
    address: watch::Sender<OwnAddress>,
    fleet: Fleet,
    log: Log,
}

impl Daemon {
    async fn start(home: &Home, settings: Settings, log: Log) -> Result<Self> {
        let helper = Helper::this_program(&["translate"]);
        let engine = Engine::new(&settings.cache)?.translating_by(helper);
        if let Some(trouble) = engine.cache_trouble() {
            log.warn(format_args!(
                "plugins are translated anew at each start, which takes seconds: {}; another place can be named with XDG_CACHE_HOME",
                one_line(trouble)
            ));
        }
        let directories = plugins::directories(&settings.executable, settings.plugins.clone());
        let (kinds, kinds_seen) = watch::channel(Arc::default());
        let (address, address_seen) = watch::channel(address::first(&home.files));
        let (routes, messages) = Routes::channel();
        let around = Surroundings {
            kinds: kinds_seen,
            address: address_seen,
            owner: home.owner.to_string(),
            home: Some(home.files.clone()),
            id: HostId::of(&home.files)?,
            ramdisks: match &settings.ramdisks {
                Some(ramdisks) => ramdisks.clone(),
                None => Ramdisks::own(&home.files, settings.runtime_directory.clone()),
            },
            key: KeyFile::Host(home.files.age_key()),
            log,
            role: Role::Daemon,
            turns: Turns::default(),
            looks: Some(Looks::new()),
        };
        let mut daemon = Self {
            home: home.files.clone(),
            scanner: Scanner::new(home.files.clone()),
            watch: Watch::start(home.files.clone(), settings.safety_rescan),
            plugins: Loading::new(
                Plugins::new(home.files.clone(), engine, directories),
                kinds,
                log,
            ),
            address,
            fleet: Fleet::new(home, &settings, around, routes),
            log,
        };
        daemon.load_plugins().await;
        daemon.learn_address();
        while daemon.watch.follow() {}
        if let Some(problem) = daemon.watch.problem() {
            log.warn(format_args!(
                "changes are noticed once a minute only, this machine cannot watch: {problem}"
            ));
        }
        let desired = loop {
            if daemon.may_read().await
                && let Some(scanned) = undisturbed(&daemon.home, || daemon.scanner.scan())
            {
                break scanned.context("cannot read the releases of the host home")?;
            }
            tokio::time::sleep(SYNC_PAUSE).await;
        };
        let releases: BTreeSet<_> = desired.releases.keys().cloned().collect();
        let now_s = since_epoch().as_secs();
        let unheard = Unheard {
            inherited: Inherited::of(&home.files, &releases, now_s),
            releases,
        };
        let files = publish::Files::of(&home.files);
        tokio::spawn(publish::run(files, messages, unheard, log));
        daemon.fleet.take(desired);
        Ok(daemon)
    }

    async fn take(&mut self, changes: Changes) {
        if changes.plugins {
            self.load_plugins().await;
        }
        self.fleet.look(&changes).await;
        if changes.everything {
            return self.take_everything().await;
        }
        if !self.may_read().await {
            return;
        }
        let scanner = &mut self.scanner;
        let read = undisturbed(&self.home, || {
            let releases = changes.releases.iter();
            releases
                .map(|id| (id, scanner.scan_release(id)))
                .collect::<Vec<_>>()
        });
        for (id, release) in read.into_iter().flatten() {
            self.fleet.take_release(id, release);
        }
        // A config may have got a new directory, into which something was put before it was watched.
        if self.watch.follow() {
            self.take_everything().await;
        }
    }

    async fn take_everything(&mut self) {
        if !self.may_read().await {
            return;
        }
        if self.learn_address() {
            self.fleet.surroundings_changed();
        }
        while self.watch.follow() {}
        match undisturbed(&self.home, || self.scanner.scan()) {
            None => {}
            Some(Ok(desired)) => self.fleet.take(desired),
            Some(Err(error)) => self.log.error(format_args!(
                "cannot read the releases of the host home: {error}"
            )),
        }
    }

    /// False while a sync is in the middle of its changes: the end of its journal wakes the daemon again.
    /// A sync that was interrupted is finished or undone first.
    async fn may_read(&self) -> bool {
        let home = self.home.clone();
        let recovered = tokio::task::spawn_blocking(move || simplenetes_sync::recover(&home)).await;
        match recovered {
            Ok(Ok(Recovered::Nothing)) => true,
            Ok(Ok(Recovered::Finished)) => {
                self.log.warn("an interrupted sync was finished");
                true
            }
            Ok(Ok(Recovered::Undone)) => {
                self.log.warn("an interrupted sync was undone");
                true
            }
            Ok(Ok(Recovered::Reverted)) => {
                self.log.warn("a sync that nobody confirmed was taken back");
                true
            }
            // Before its point of no return a sync changes nothing that is read here; one that waits to be
            // confirmed is done.
            Ok(Ok(Recovered::Busy(_))) => !simplenetes_sync::journal_open(&self.home),
            Ok(Err(error)) => {
                self.log.error(one_line(&error));
                false
            }
            Err(_) => false,
        }
    }

    /// True when the address or what is wrong with it is another one.
    fn learn_address(&self) -> bool {
        let before = self.address.borrow().clone();
        let address = address::read(&self.home, &self.scanner, &before);
        if let Some(problem) = address.problem.as_ref().filter(|_| address != before) {
            self.log.error(problem);
        }
        self.address.send_if_modified(|known| {
            let is_news = *known != address;
            *known = address;
            is_news
        })
    }

    async fn load_plugins(&mut self) {
        if self.plugins.load().await {
            self.fleet.surroundings_changed();
        }
    }
}

//! The driver of one release where there is no daemon (`simplenetesd pod FILE keep`, started by the verbs
//! that change something): the daemon's own driver, with probes, restarts, logs and status.
//!
//! It ends when a person has stopped or removed the pod, and leaves the units alone when it is asked to
//! end: a daemon that is started later takes the release over that way. Nothing is routed to the pod.

mod place;
pub(crate) mod watch;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hostfiles::{HostHome, HostId};
use simplenetes_plugin::{Engine, Helper};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch as channel;
use tokio::time::sleep;

use crate::daemon::Settings;
use crate::decrypt::KeyFile;
use crate::driver::{Driver, Orders};
use crate::hands::{Hands, OwnAddress, Surroundings, Turns};
use crate::lock::{ReleaseLock, Role};
use crate::log::Log;
use crate::plugins::{Kinds, Plugins, directories};
use crate::publish::Routes;
use crate::ramdisk::Ramdisks;
use crate::scan::{Reading, Scanner};
use crate::secrets::Secrets;
use crate::steps::{Programs, StepRunner};
use crate::system::Clock;

pub(crate) use place::Place;
use watch::{Change, Watch};

/// While a sync is in the middle of its changes it is looked after so long whether that is over.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Drives the release of this compiled pod until a person wants nothing more of it, or until somebody
/// else takes it over. Ports are bound to `interface`, or to the address of the host.
///
/// # Errors
/// The pod cannot be read, somebody drives it already, or the machine lacks something.
pub async fn run(
    file: &Path,
    interface: Option<IpAddr>,
    settings: &Settings,
    log: Log,
) -> Result<()> {
    // Only fails for a leader of a process group, which is alone already.
    let _ = rustix::process::setsid();
    let place = Place::of(file)?;
    if let Some(holder) = ReleaseLock::holder(&place.release) {
        bail!("process {} drives {} already", holder.process.pid, place.id);
    }
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut watch = Watch::start(&place.release).context("cannot watch the release")?;
    let mut reading = Reading::default();
    let mut read = || {
        place
            .is_there()
            .then(|| reading.read(&place.id, &place.release))
    };
    let desired = channel::Sender::new(read());
    let shutdown = channel::Sender::new(false);
    let (look, action) = (Arc::default(), Arc::default());
    let orders = Orders {
        desired: desired.subscribe(),
        surroundings: channel::channel(0).1,
        look: Arc::clone(&look),
        action: Arc::clone(&action),
        leaves: true,
        shutdown: shutdown.subscribe(),
    };
    let hands = hands(&place, interface, settings, log).await?;
    if !is_ours(&hands, &mut term, &mut int).await {
        return Ok(());
    }
    let driver = Driver::new(place.id.clone(), hands.clone(), orders, Clock::start());
    let mut driver = tokio::spawn(driver.run());
    // What has changed while a sync was in the middle of its changes is read when that is over.
    let mut is_stale = place.is_disturbed();
    loop {
        tokio::select! {
            ended = &mut driver => return ended.context("the driver was aborted by a mistake, please report it"),
            _ = term.recv() => { shutdown.send_replace(true); }
            _ = int.recv() => { shutdown.send_replace(true); }
            change = watch.next() => match change {
                Change::Action => action.notify_one(),
                Change::Status => look.notify_one(),
                Change::Desired => is_stale = true,
            },
            // The end of a sync is not watched.
            () = sleep(LOOK_AGAIN), if is_stale => {}
        }
        if is_stale && !place.is_disturbed() {
            is_stale = false;
            watch.follow();
            let news = read();
            desired.send_if_modified(|known| {
                let is_news = *known != news;
                *known = news;
                is_news
            });
            // The directory may have been replaced, with its lock, and be driven by somebody who came later.
            if hands.is_driven_by_another() {
                return Ok(());
            }
        }
    }
}

/// False when somebody else drives the release, or when this process should end before it could.
async fn is_ours(hands: &Hands, term: &mut Signal, int: &mut Signal) -> bool {
    tokio::select! {
        is_ours = hands.hold_alone() => is_ours,
        _ = term.recv() => false,
        _ = int.recv() => false,
    }
}

pub(crate) async fn hands(
    place: &Place,
    interface: Option<IpAddr>,
    settings: &Settings,
    log: Log,
) -> Result<Hands> {
    let kinds = load(place, settings).await?;
    let around = Surroundings {
        kinds: channel::channel(Arc::new(kinds)).1,
        address: channel::channel(interface.map_or_else(|| address(place), OwnAddress::given)).1,
        owner: place.owner.to_string(),
        home: place.home.clone(),
        id: match &place.home {
            Some(home) => HostId::of(home)?,
            None => HostId::of_release(&place.release)?,
        },
        ramdisks: match &place.home {
            Some(home) => Ramdisks::own(home, settings.runtime_directory.clone()),
            None => Ramdisks::Plain(settings.runtime_directory.clone()),
        },
        // A pod that lies on no host is its user's, and so are its secrets.
        key: match &place.home {
            Some(home) => KeyFile::Host(home.age_key()),
            None => KeyFile::User(HostHome::new(&settings.user_files).age_key()),
        },
        log,
        role: Role::Keep,
        turns: Turns::default(),
        looks: None,
    };
    let daemon = PathBuf::from("/proc/self/exe");
    let runner = StepRunner::new(
        place.id.clone(),
        place.release.clone(),
        Programs::new(
            place.home.as_ref(),
            &settings.executable,
            daemon,
            &settings.path,
        ),
        place.owner == 0,
        settings.open_files.clone(),
    );
    let secrets = place.home.as_ref().map(Secrets::of).unwrap_or_default();
    let runner = runner.with_secrets(secrets);
    Ok(Hands::new(runner, around, Routes::nowhere()))
}

/// The kinds of pods of the host that the release lies on, or of the user.
async fn load(place: &Place, settings: &Settings) -> Result<Kinds> {
    let engine = Engine::new(&settings.cache)?.translating_by(Helper::this_program(&["translate"]));
    let beside = directories(&settings.executable, settings.plugins.clone());
    let mut plugins = match &place.home {
        Some(home) => Plugins::new(home.clone(), engine, beside),
        None => Plugins::of_user(HostHome::new(&settings.user_files), engine, beside),
    };
    // A plugin that is new here is translated first, which takes a while.
    let now_ms = Clock::start().now_ms();
    Ok(tokio::task::spawn_blocking(move || plugins.load_all(now_ms)).await?)
}

/// Where there is no host, ports are bound to this machine alone.
fn address(place: &Place) -> OwnAddress {
    let known = place
        .home
        .as_ref()
        .map(|home| Scanner::new(home.clone()).own_address());
    let (ip, problem) = match known {
        Some(Ok(Some(ip))) => (ip, None),
        Some(Err(error)) => (
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            Some(crate::log::one_line(&error)),
        ),
        Some(Ok(None)) | None => (IpAddr::V4(Ipv4Addr::LOCALHOST), None),
    };
    OwnAddress { ip, problem }
}

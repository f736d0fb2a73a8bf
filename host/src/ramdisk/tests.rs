//! Real mounts, by root, for a user that may be anybody: what a hostile owner can try.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::rename;
use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

use super::keeper::{Keeper, Ledger};

/// A user that this machine does not know, one for each test: the sum is counted per owner.
struct Stage {
    folder: TempDir,
    owner: u32,
    keeper: Arc<Keeper>,
}

impl Stage {
    fn new(owner: u32, limit_mib: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        let ramdisk = home.join("pods/web/release/1.0.0/ramdisk/cache");
        fs::create_dir_all(&ramdisk).unwrap();
        let below = ramdisk
            .ancestors()
            .take_while(|path| path.starts_with(&home));
        below.for_each(|path| chown(path, Some(owner), Some(owner)).unwrap());
        let directory = fs::File::open(home).unwrap().into();
        let keeper = Keeper::new(
            directory,
            owner,
            owner,
            limit_mib,
            Arc::new(Ledger::default()),
        );
        Self {
            folder,
            owner,
            keeper: Arc::new(keeper),
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join("home").join(below)
    }

    fn make(&self, name: &str) {
        let path = self.path(&format!("pods/web/release/1.0.0/ramdisk/{name}"));
        fs::create_dir(&path).unwrap();
        chown(&path, Some(self.owner), Some(self.owner)).unwrap();
    }

    fn create(&self, name: &str, size_mib: u32) -> Result<(), String> {
        let release = "web:1.0.0".parse().unwrap();
        let done = self
            .keeper
            .create(&release, &name.parse().unwrap(), size_mib);
        done.map_err(|error| error.to_string())
    }

    fn remove(&self, name: &str) -> Result<(), String> {
        let release = "web:1.0.0".parse().unwrap();
        let done = self.keeper.remove(&release, &name.parse().unwrap());
        done.map_err(|error| error.to_string())
    }

    /// Where anything is mounted below the folder of the test, and the options.
    fn mounts(&self) -> Vec<(PathBuf, String)> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let lines = table.lines().map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            (
                PathBuf::from(fields[4]),
                format!("{} {}", fields[5], fields.last().unwrap()),
            )
        });
        lines
            .filter(|(path, _)| path.starts_with(self.folder.path()))
            .collect()
    }

    #[track_caller]
    fn refused(&self, why: &str) {
        let refusal = self.create("cache", 1).unwrap_err();
        assert!(refusal.contains(why), "{refusal}");
        assert_eq!(self.mounts(), []);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for (path, _) in self.mounts().into_iter().rev() {
            let _ = unmount(path, UnmountFlags::DETACH);
        }
    }
}

#[test]
fn a_ramdisk_is_the_owners_and_as_large_as_asked_for() {
    let stage = Stage::new(64_101, 8);
    let path = stage.path("pods/web/release/1.0.0/ramdisk/cache");
    stage.create("cache", 2).unwrap();
    stage.create("cache", 2).unwrap();
    let mounts = stage.mounts();
    assert_eq!(mounts.len(), 1, "{mounts:?}");
    let options = &mounts[0].1;
    for option in ["nosuid", "nodev", "size=2048k", "uid=64101"] {
        assert!(options.contains(option), "{options}");
    }
    let meta = fs::metadata(&path).unwrap();
    assert_eq!(
        (meta.uid(), meta.permissions().mode() & 0o7777),
        (64_101, 0o1777),
        "a container may have another user"
    );
    hostfiles::replace(&path.join("file"), &[1; 1024 * 1024], 0o600).unwrap();
    assert!(hostfiles::replace(&path.join("more"), &[1; 2 * 1024 * 1024], 0o600).is_err());
    stage.create("cache", 4).unwrap();
    assert!(stage.mounts()[0].1.contains("size=4096k"));
    assert!(
        path.join("file").exists(),
        "another size is no other ramdisk"
    );
    fs::remove_file(path.join("file")).unwrap();
    stage.remove("cache").unwrap();
    stage.remove("cache").unwrap();
    assert_eq!(stage.mounts(), []);
}

#[test]
fn a_link_at_any_component_is_refused() {
    let components = "pods/web/release/1.0.0/ramdisk/cache";
    for (uid, depth) in (64_110..).zip(1..=6) {
        let stage = Stage::new(uid, 8);
        let component: PathBuf = components.split('/').take(depth).collect();
        let path = stage.folder.path().join("home").join(&component);
        let aside = stage.path("aside");
        rename(&path, &aside).unwrap();
        for target in ["/etc", aside.to_str().unwrap()] {
            symlink(target, &path).unwrap();
            stage.refused("it is a link");
            fs::remove_file(&path).unwrap();
        }
        stage.refused("does not exist");
        hostfiles::replace(&path, b"", 0o600).unwrap();
        stage.refused("no directory");
    }
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    let components = "pods/web/release/1.0.0/ramdisk/cache";
    for (uid, depth) in (64_120..).zip(1..=6) {
        let stage = Stage::new(uid, 8);
        let component: PathBuf = components.split('/').take(depth).collect();
        chown(
            stage.folder.path().join("home").join(component),
            Some(0),
            None,
        )
        .unwrap();
        stage.refused("it belongs to user 0");
    }
}

#[test]
fn nothing_is_mounted_over_or_below_what_is_mounted() {
    let stage = Stage::new(64_130, 8);
    for below in ["pods/web/release", "pods/web/release/1.0.0/ramdisk/cache"] {
        let path = stage.path(below);
        let data = c"uid=64130";
        rustix::mount::mount(
            "other",
            &path,
            "tmpfs",
            rustix::mount::MountFlags::empty(),
            data,
        )
        .unwrap();
        let refusal = stage.create("cache", 1).unwrap_err();
        assert!(refusal.contains("mounted"), "{refusal}");
        stage.remove("cache").unwrap_err();
        assert_eq!(stage.mounts().len(), 1);
        unmount(&path, UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn the_sum_of_an_owner_is_bounded() {
    let stage = Stage::new(64_140, 8);
    ["b", "c"].iter().for_each(|name| stage.make(name));
    stage.create("cache", 5).unwrap();
    let refusal = stage.create("b", 4).unwrap_err();
    assert!(refusal.contains("5 of 8 MiB"), "{refusal}");
    stage.create("b", 3).unwrap();
    stage.create("c", 1).unwrap_err();
    stage.create("b", 4).unwrap_err();
    stage.create("b", u32::MAX).unwrap_err();
    stage.remove("cache").unwrap();
    stage.create("c", 5).unwrap();
    assert_eq!(stage.mounts().len(), 2);
}

#[test]
fn memory_that_is_still_held_stays_on_the_account() {
    let stage = Stage::new(64_150, 4);
    let path = stage.path("pods/web/release/1.0.0/ramdisk/cache");
    stage.create("cache", 3).unwrap();
    hostfiles::replace(&path.join("file"), &[1; 1024 * 1024], 0o600).unwrap();
    let held = fs::File::open(path.join("file")).unwrap();
    fs::remove_file(path.join("file")).unwrap();
    stage.remove("cache").unwrap();
    assert_eq!(stage.mounts(), []);
    assert!(stage.create("cache", 2).unwrap_err().contains("3 of 4 MiB"));
    // What detaches it behind root's back changes nothing either.
    stage.create("cache", 1).unwrap();
    unmount(&path, UnmountFlags::DETACH).unwrap();
    assert!(stage.create("cache", 1).unwrap_err().contains("4 of 4 MiB"));
    drop(held);
}

#[test]
fn directories_that_are_renamed_meanwhile_lead_nowhere() {
    let stage = Stage::new(64_160, 1000);
    let (release, other) = (
        stage.path("pods/web/release/1.0.0"),
        stage.path("pods/other"),
    );
    let ended = Arc::new(AtomicBool::new(false));
    let mover = {
        let (ended, release, other) = (Arc::clone(&ended), release.clone(), other.clone());
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                rename(&release, &other).unwrap();
                symlink("/tmp", &release).unwrap();
                fs::remove_file(&release).unwrap();
                rename(&other, &release).unwrap();
            }
        })
    };
    for _ in 0..testkit::soak::count(200) {
        let _ = stage.create("cache", 1);
        let _ = stage.remove("cache");
        // Whatever was mounted lies on the one directory, and is there at most once.
        let mounts = stage.mounts();
        assert!(mounts.len() <= 1, "{mounts:?}");
        for (path, _) in &mounts {
            assert!(path.ends_with("ramdisk/cache"), "{mounts:?}");
            assert!(path.starts_with(stage.path("pods")), "{mounts:?}");
        }
    }
    ended.store(true, Ordering::Relaxed);
    mover.join().unwrap();
    stage.remove("cache").unwrap();
    stage.create("cache", 1).unwrap();
    assert_eq!(stage.mounts().len(), 1);
}

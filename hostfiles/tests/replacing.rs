//! A file is replaced whole, only if different, and without leaving anything beside it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use hostfiles::{Placed, PodAction, PodVerb, ReplaceStep, read, remove_leftovers, replace};

fn listing(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn changes_only_what_differs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hosts.conf");
    assert!(replace(&path, b"one", 0o644).unwrap());
    let first = fs::metadata(&path).unwrap().ino();
    assert!(!replace(&path, b"one", 0o644).unwrap());
    assert_eq!(
        fs::metadata(&path).unwrap().ino(),
        first,
        "an equal file was written anew"
    );

    assert!(replace(&path, b"two", 0o644).unwrap());
    assert!(replace(&path, b"two", 0o600).unwrap());
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(listing(directory.path()), ["hosts.conf"]);
}

#[test]
fn permissions_are_exactly_the_given_ones() {
    let directory = tempfile::tempdir().unwrap();
    for mode in [0o600, 0o644, 0o666, 0o755, 0o777] {
        let path = directory.path().join(format!("{mode:o}"));
        replace(&path, b"x", mode).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            mode
        );
    }
}

#[test]
fn a_link_is_replaced_and_what_it_leads_to_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let (target, link) = (
        directory.path().join("target"),
        directory.path().join("link"),
    );
    replace(&target, b"same", 0o644).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert!(replace(&link, b"same", 0o644).unwrap());
    assert!(fs::symlink_metadata(&link).unwrap().is_file());
}

#[test]
fn a_failed_replacement_leaves_nothing_and_says_what_it_did() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("no/such/file");
    let error = replace(&missing, b"x", 0o644).unwrap_err();
    assert_eq!(
        (error.step, error.path.as_path()),
        (ReplaceStep::Create, missing.as_path())
    );
    assert!(
        error
            .to_string()
            .starts_with("cannot make a new file beside "),
        "{error}"
    );

    // A directory cannot be replaced by a file.
    let occupied = directory.path().join("occupied");
    fs::create_dir(&occupied).unwrap();
    assert_eq!(
        replace(&occupied, b"x", 0o644).unwrap_err().step,
        ReplaceStep::Rename
    );
    assert_eq!(listing(directory.path()), ["occupied"]);
}

#[test]
fn what_a_killed_program_has_left_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let left = "..pod.status.Xy12ab.tmp";
    let others = [".other.Xy12ab.tmp", ".pod.status", ".pod.status.tmp"];
    for name in others.iter().chain([&left]) {
        fs::File::create(folder.path().join(name)).unwrap();
    }
    remove_leftovers(&folder.path().join(".pod.status")).unwrap();
    assert_eq!(listing(folder.path()), others);
    remove_leftovers(&folder.path().join("no/such/file")).unwrap();
}

#[test]
fn a_directory_that_takes_no_files_is_named() {
    let error = replace(Path::new("/proc/self/hosts.conf"), b"x", 0o644).unwrap_err();
    assert_eq!(error.step, ReplaceStep::Create);
    assert!(
        error.to_string().ends_with("/proc/self/hosts.conf"),
        "{error}"
    );
}

#[test]
fn a_request_never_takes_the_place_of_one_that_was_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pod.action");
    let request = |verb| PodAction::new(verb).place(&path).unwrap();
    assert_eq!(request(PodVerb::Stop), Placed::Yes);
    assert_eq!(request(PodVerb::Run), Placed::Busy);
    assert_eq!(read::<PodAction>(&path).unwrap().verb, PodVerb::Stop);
    assert_eq!(listing(directory.path()), ["pod.action"]);
    fs::remove_file(&path).unwrap();
    assert_eq!(request(PodVerb::Run), Placed::Yes);
}

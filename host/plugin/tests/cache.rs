//! The cache of translated plugins is used, private and never trusted when damaged.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::components::mock_component;
use simplenetes_plugin::{CacheError, Engine, Grants, LoadError};

fn only_file(directory: &Path) -> std::path::PathBuf {
    let files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[test]
fn a_component_is_translated_once_and_a_damaged_translation_is_replaced() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("deep/cache");
    let component = mock_component();
    Engine::new(&directory)
        .unwrap()
        .load(&component, Grants::default())
        .unwrap();
    let path = only_file(&directory);
    let translated = fs::read(&path).unwrap();

    Engine::new(&directory)
        .unwrap()
        .load(&component, Grants::default())
        .unwrap();
    assert_eq!(only_file(&directory), path);

    let mut damaged = translated.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for wrong in [damaged.as_slice(), &translated[..translated.len() / 2], b""] {
        fs::write(&path, wrong).unwrap();
        Engine::new(&directory)
            .unwrap()
            .load(&component, Grants::default())
            .unwrap();
        assert_eq!(fs::read(&path).unwrap(), translated);
    }
}

#[test]
fn a_directory_that_others_may_write_is_not_used() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("cache");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    let engine = Engine::new(&directory).unwrap();
    let trouble = engine.cache_trouble().unwrap();
    assert!(matches!(trouble, CacheError::NotPrivate(_)), "{trouble}");
    assert!(trouble.to_string().contains("chmod 700"), "{trouble}");
    engine.load(&mock_component(), Grants::default()).unwrap();
    assert_eq!(
        fs::read_dir(&directory).unwrap().count(),
        0,
        "something was kept"
    );
}

#[test]
fn a_plugin_is_loaded_without_a_directory_to_keep_it_in() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let engine = Engine::new(&file.join("cache")).unwrap();
    let trouble = engine.cache_trouble().unwrap().to_string();
    assert!(trouble.contains("file/cache"), "{trouble}");
    engine.load(&mock_component(), Grants::default()).unwrap();
    let good = Engine::new(&home.path().join("cache")).unwrap();
    assert!(good.cache_trouble().is_none());
}

#[test]
fn what_is_no_plugin_is_refused_before_it_is_translated() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("cache");
    let engine = Engine::new(&directory).unwrap();
    let mut truncated = mock_component();
    truncated.truncate(truncated.len() / 2);
    for bytes in [b"\x7fELF native code".as_slice(), &truncated] {
        let error = engine.load(bytes, Grants::default()).err().unwrap();
        assert!(matches!(error, LoadError::Manifest(_)), "{error}");
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
}

#[test]
fn a_plugin_for_another_contract_is_refused_with_both_versions() {
    let home = tempfile::tempdir().unwrap();
    let engine = Engine::new(&home.path().join("cache")).unwrap();
    let component = mock_component();
    let wanted = b"contract: 0.1.0";
    let at = component
        .windows(wanted.len())
        .position(|window| window == wanted)
        .unwrap();
    let mut other = component;
    other[at..at + wanted.len()].copy_from_slice(b"contract: 9.1.0");
    let error = engine
        .load(&other, Grants::default())
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("contract 9.1.0") && error.contains("0.1.0"),
        "{error}"
    );
}

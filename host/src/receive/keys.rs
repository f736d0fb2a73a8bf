//! The keys of this host: made here, so that their private halves never travel. The public ones are told.
//!
//! Must not know what is encrypted to them, nor where the public ones go.

use std::path::Path;

use hostfiles::{HostHome, ReplaceError};
use proxykeys::ProxyKeys;
use seal::Keys;
use simplenetes_sync::wire::HostKeys;

use crate::decrypt::{KeyFileError, private_text};

/// Why the host has no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostKeysError {
    #[error("cannot use the keys of the host")]
    Read(#[from] KeyFileError),
    #[error(
        "{0} is no file of age keys: take it away and run `sns host init` again, which gives the host a new key"
    )]
    Age(String, #[source] seal::KeysError),
    #[error(
        "{0} is no file of keys of a proxy: take it away and run `sns host init` again, which gives the host a new key"
    )]
    Proxy(String, #[source] proxykeys::KeysError),
    #[error("cannot make a key for the proxy")]
    NoRandom(#[source] proxykeys::KeysError),
    #[error("cannot write the keys of the host")]
    Write(#[from] ReplaceError),
}

/// Makes sure that the host has keys.
pub(super) fn ensure(home: &HostHome, host: &str) -> Result<HostKeys, HostKeysError> {
    let (age, proxy) = (read_age(&home.age_key())?, read_proxy(&home.proxy_key())?);
    let is_changed = age.is_none() || proxy.is_none();
    let age = match age {
        Some(keys) => keys,
        None => write_age(home, host, Keys::generate())?,
    };
    let proxy = match proxy {
        Some(keys) => keys,
        None => write_proxy(home, host, ProxyKeys::generate())?,
    };
    Ok(public(&age, &proxy, is_changed))
}

/// Gives the host another key for encrypted configs, or takes away those before the newest.
pub(super) fn rekey(home: &HostHome, host: &str, forget: bool) -> Result<HostKeys, HostKeysError> {
    let known = read_age(&home.age_key())?;
    let proxy = read_proxy(&home.proxy_key())?;
    let (age, is_changed) = match (known, forget) {
        (Some(keys), true) if !keys.has_older() => (keys, false),
        (Some(keys), true) => (write_age(home, host, keys.without_older())?, true),
        (Some(keys), false) => (write_age(home, host, keys.renewed())?, true),
        (None, _) => (write_age(home, host, Keys::generate())?, true),
    };
    let proxy = match proxy {
        Some(keys) => keys,
        None => write_proxy(home, host, ProxyKeys::generate())?,
    };
    Ok(public(&age, &proxy, is_changed))
}

/// Gives the proxy another key, or takes away those before the newest.
pub(super) fn rekey_proxy(
    home: &HostHome,
    host: &str,
    forget: bool,
) -> Result<HostKeys, HostKeysError> {
    let known = read_proxy(&home.proxy_key())?;
    let age = match read_age(&home.age_key())? {
        Some(keys) => keys,
        None => write_age(home, host, Keys::generate())?,
    };
    let (proxy, is_changed) = match (known, forget) {
        (Some(keys), true) if !keys.has_older() => (keys, false),
        (Some(keys), true) => (write_proxy(home, host, Ok(keys.without_older()))?, true),
        (Some(keys), false) => (write_proxy(home, host, keys.renewed())?, true),
        (None, _) => (write_proxy(home, host, ProxyKeys::generate())?, true),
    };
    Ok(public(&age, &proxy, is_changed))
}

fn public(age: &Keys, proxy: &ProxyKeys, is_changed: bool) -> HostKeys {
    HostKeys {
        is_new: false,
        is_changed,
        age_recipient: age.recipient().to_string(),
        proxy: proxy.public().map(|key| key.to_string()).collect(),
    }
}

fn read_age(path: &Path) -> Result<Option<Keys>, HostKeysError> {
    let text = private_text(path)?;
    let keys = text.map(|text| Keys::parse(&text)).transpose();
    keys.map_err(|error| HostKeysError::Age(path.display().to_string(), error))
}

fn read_proxy(path: &Path) -> Result<Option<ProxyKeys>, HostKeysError> {
    let text = private_text(path)?;
    let keys = text.map(|text| ProxyKeys::parse(&text)).transpose();
    keys.map_err(|error| HostKeysError::Proxy(path.display().to_string(), error))
}

fn write_age(home: &HostHome, host: &str, keys: Keys) -> Result<Keys, HostKeysError> {
    let about = format!("Keys of host {host}. They never leave it.");
    hostfiles::replace(&home.age_key(), keys.to_text(&about).as_bytes(), 0o600)?;
    Ok(keys)
}

fn write_proxy(
    home: &HostHome,
    host: &str,
    keys: Result<ProxyKeys, proxykeys::KeysError>,
) -> Result<ProxyKeys, HostKeysError> {
    let keys = keys.map_err(HostKeysError::NoRandom)?;
    let about = format!("Keys of the proxy of host {host}. They never leave it.");
    hostfiles::replace(&home.proxy_key(), keys.to_text(&about).as_bytes(), 0o600)?;
    Ok(keys)
}

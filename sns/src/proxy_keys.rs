//! The keys by which the proxy of a host proves that it belongs to the cluster: the private halves in the home of the
//! host, the public ones in its folder of the project.

use std::path::PathBuf;

use hostfiles::{Format as _, PublicKeys};
use proxykeys::{KeysError, ProxyKeys};

use crate::command_error::{CommandError, Kind};
use crate::environment::Environment;
use crate::project::Host;
use crate::secrets::read_private;

/// Those of a host whose home is on this machine.
pub(crate) struct HostProxyKeys<'a> {
    host: &'a Host,
    path: PathBuf,
}

impl<'a> HostProxyKeys<'a> {
    /// Those of this host.
    pub(crate) fn of(host: &'a Host, environment: &Environment) -> Result<Self, CommandError> {
        let path = host.home(environment)?.files.proxy_key();
        Ok(Self { host, path })
    }

    /// Makes sure that the host has a key and the project its public half.
    pub(crate) fn ensure(&self) -> Result<(), CommandError> {
        let keys = match self.read()? {
            Some(keys) => keys,
            None => self.write(ProxyKeys::generate().map_err(no_random)?)?,
        };
        self.publish(&keys)
    }

    /// Gives the host a new key; the other hosts may go on with those before until they know the new one.
    pub(crate) fn renew(&self) -> Result<(), CommandError> {
        let keys = match self.read()? {
            Some(keys) => keys.renewed(),
            None => ProxyKeys::generate(),
        };
        let keys = self.write(keys.map_err(no_random)?)?;
        self.publish(&keys)
    }

    /// Takes all keys from the host but the newest. Gives false when there are no others.
    pub(crate) fn forget_older(&self) -> Result<bool, CommandError> {
        let Some(keys) = self.read()?.filter(ProxyKeys::has_older) else {
            return Ok(false);
        };
        let keys = self.write(keys.without_older())?;
        self.publish(&keys)?;
        Ok(true)
    }

    fn read(&self) -> Result<Option<ProxyKeys>, CommandError> {
        let Some(text) = read_private(&self.path)? else {
            return Ok(None);
        };
        ProxyKeys::parse(&text).map(Some).map_err(|error| {
            let shown = self.path.display();
            CommandError::new(
                Kind::Diagnostics,
                format!("{shown} is no file of keys of a proxy"),
            )
            .caused_by(error)
            .hint(format!(
                "take it away and run `sns host init {}`: the host then has a new key",
                self.host.name
            ))
        })
    }

    fn write(&self, keys: ProxyKeys) -> Result<ProxyKeys, CommandError> {
        let about = format!(
            "Keys of the proxy of host {}. They never leave it.",
            self.host.name
        );
        hostfiles::replace(&self.path, keys.to_text(&about).as_bytes(), 0o600)?;
        Ok(keys)
    }

    fn publish(&self, keys: &ProxyKeys) -> Result<(), CommandError> {
        let public = PublicKeys(keys.public().collect());
        let text = format!("# proxy of host {}\n{}", self.host.name, public.to_text());
        hostfiles::replace(&self.host.dir.proxy_keys(), text.as_bytes(), 0o644)?;
        Ok(())
    }
}

fn no_random(error: KeysError) -> CommandError {
    CommandError::new(Kind::Internal, "could not make a key for the proxy").caused_by(error)
}

//! How a server is convinced of the user: by the key file, or by a key that an agent holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russh::client::Handle;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use tokio::net::UnixStream;

use super::error::HopError;
use super::hostkey::{Watcher, visible};
use super::keys::{KeyFile, Keys};
use super::route::Hop;

/// How long all of it may take: a server of OpenSSH gives up after this time (`LoginGraceTime`).
const LOGIN_LIMIT: Duration = Duration::from_mins(2);

/// So many keys of an agent are tried: a server of OpenSSH hangs up at the sixth (`MaxAuthTries`).
const AGENT_KEYS_MAX: usize = 5;

/// What a user may log in with.
#[derive(Debug)]
pub(super) struct Means<'a> {
    /// Key files.
    pub(super) keys: &'a Keys,
    /// The socket of the agent.
    pub(super) agent: Option<&'a Path>,
}

type Agent = AgentClient<UnixStream>;

/// One attempt to log in.
struct Login<'a> {
    handle: &'a mut Handle<Watcher>,
    hop: &'a Hop,
    rsa_hash: Option<HashAlg>,
    agent: Option<(Agent, Vec<AgentIdentity>)>,
    /// What was tried, and what came of it.
    tried: Vec<String>,
    hint: Option<String>,
}

/// Logs in, or says all that was tried.
pub(super) async fn login(
    handle: &mut Handle<Watcher>,
    hop: &Hop,
    means: &Means<'_>,
) -> Result<(), HopError> {
    let denied = |tried, hint| HopError::Denied {
        address: hop.place(),
        user: hop.user.clone(),
        tried,
        hint,
    };
    let attempt = async {
        // Servers without the extension are taken for new enough.
        let hash = handle.best_supported_rsa_hash().await.ok().flatten();
        let mut login = Login {
            handle,
            hop,
            rsa_hash: hash.unwrap_or(Some(HashAlg::Sha512)),
            agent: None,
            tried: Vec::new(),
            hint: None,
        };
        login.reach_agent(means.agent).await;
        if login.by_file(means.keys).await || login.by_agent().await {
            return Ok(());
        }
        Err(denied(login.tried, login.hint))
    };
    let limited = tokio::time::timeout(LOGIN_LIMIT, attempt).await;
    limited.unwrap_or_else(|_| {
        Err(HopError::Silent {
            address: hop.place(),
            missing: "let us in",
            seconds: LOGIN_LIMIT.as_secs(),
        })
    })
}

impl Login<'_> {
    async fn reach_agent(&mut self, socket: Option<&Path>) {
        let Some(socket) = socket else {
            return;
        };
        match identities(socket, self.handle).await {
            Ok(agent) => self.agent = Some(agent),
            Err(error) => self.tried.push(format!(
                "ssh-agent at {}: cannot be asked: {}",
                socket.display(),
                visible(&error.to_string())
            )),
        }
    }

    /// Tries the key file; through the agent when that has the key already.
    async fn by_file(&mut self, keys: &Keys) -> bool {
        let Some(path) = &self.hop.key_file else {
            return false;
        };
        let what = format!("key file {}", path.display());
        let key = match keys.look(path) {
            Ok(KeyFile::Missing) => {
                self.tried.push(format!("{what}: it does not exist"));
                return false;
            }
            Ok(KeyFile::Open(key)) => Ok(key),
            Ok(KeyFile::Locked(public)) => {
                if let Some(public) = public
                    && let Some(identity) = self.take_identity(&public)
                {
                    return self.sign(identity).await;
                }
                let path = PathBuf::clone(path);
                keys.unlock(&path)
            }
            Err(error) => Err(error),
        };
        match key {
            Ok(key) => self.offer(&what, key).await,
            Err(error) => {
                if matches!(error, super::keys::KeyError::NoTerminal) {
                    self.hint = Some(format!(
                        "give it to an ssh-agent: `ssh-add {}`",
                        path.display()
                    ));
                }
                self.tried.push(format!("{what}: {error}"));
                false
            }
        }
    }

    async fn offer(&mut self, what: &str, key: Arc<PrivateKey>) -> bool {
        let name = named(key.public_key());
        let public = key.public_key().clone();
        // The agent need not be asked for the same key again.
        let _ = self.take_identity(&public);
        let mut result = self.offer_once(&key, self.rsa_hash).await;
        // Servers of OpenSSH say what they know, not what they are configured to take.
        let is_rsa = public.algorithm().is_rsa() && self.rsa_hash == Some(HashAlg::Sha512);
        if is_rsa && result == Ok(false) && !self.handle.is_closed() {
            result = self.offer_once(&key, Some(HashAlg::Sha256)).await;
        }
        self.note(&format!("{what} ({name})"), result)
    }

    async fn offer_once(
        &mut self,
        key: &Arc<PrivateKey>,
        rsa_hash: Option<HashAlg>,
    ) -> Result<bool, String> {
        let key = PrivateKeyWithHashAlg::new(Arc::clone(key), rsa_hash);
        let user = self.hop.user.clone();
        let result = self.handle.authenticate_publickey(user, key).await;
        result
            .map(|result| result.success())
            .map_err(|error| error.to_string())
    }

    /// Tries the keys of the agent one after the other.
    async fn by_agent(&mut self) -> bool {
        let keys = match &self.agent {
            None => {
                let said = self.tried.iter().any(|line| line.starts_with("ssh-agent"));
                if !said {
                    self.tried
                        .push("ssh-agent: none (SSH_AUTH_SOCK is not set)".to_owned());
                }
                return false;
            }
            Some((_, keys)) => keys.clone(),
        };
        if keys.is_empty() {
            self.tried.push("ssh-agent: it has no other key".to_owned());
        }
        for key in keys.into_iter().take(AGENT_KEYS_MAX) {
            if self.handle.is_closed() {
                break;
            }
            if self.sign(key).await {
                return true;
            }
        }
        false
    }

    /// Logs in with a key of the agent, which signs.
    async fn sign(&mut self, identity: AgentIdentity) -> bool {
        let Some((agent, _)) = &mut self.agent else {
            return false;
        };
        let public = identity.public_key().into_owned();
        let hash = public
            .algorithm()
            .is_rsa()
            .then_some(self.rsa_hash)
            .flatten();
        let user = self.hop.user.clone();
        let what = format!(
            "ssh-agent: {} ({})",
            visible(identity.comment()),
            named(&public)
        );
        let result = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                let handle = &mut *self.handle;
                handle
                    .authenticate_publickey_with(user, key, hash, agent)
                    .await
            }
            AgentIdentity::Certificate { certificate, .. } => {
                let handle = &mut *self.handle;
                handle
                    .authenticate_certificate_with(user, certificate, hash, agent)
                    .await
            }
        };
        let result = result
            .map(|result| result.success())
            .map_err(|error| error.to_string());
        self.note(&what, result)
    }

    /// The agent's key of that kind, which is not offered again.
    fn take_identity(&mut self, public: &PublicKey) -> Option<AgentIdentity> {
        let (_, identities) = self.agent.as_mut()?;
        let is_it = |known: &AgentIdentity| known.public_key().key_data() == public.key_data();
        let place = identities.iter().position(is_it)?;
        Some(identities.remove(place))
    }

    fn note(&mut self, what: &str, result: Result<bool, String>) -> bool {
        let outcome = match result {
            Ok(true) => return true,
            Ok(false) if self.handle.is_closed() => "the server hung up".to_owned(),
            Ok(false) => "refused".to_owned(),
            Err(error) => visible(&error),
        };
        self.tried.push(format!("{what}: {outcome}"));
        false
    }
}

/// Asks the agent what it has. It is told which server asks, because keys may be bound to servers.
async fn identities(
    socket: &Path,
    handle: &Handle<Watcher>,
) -> Result<(Agent, Vec<AgentIdentity>), russh::keys::Error> {
    let mut agent = Agent::connect_uds(socket).await?;
    if let Some(binding) = handle.agent_session_binding() {
        // An agent that does not know of it has no such keys.
        let _ = agent.bind_session(binding, false).await;
    }
    let identities = agent.request_identities().await?;
    Ok((agent, identities))
}

fn named(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

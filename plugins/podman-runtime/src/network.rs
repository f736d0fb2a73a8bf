//! How podman connects the pods of an ordinary user to the world.
//!
//! From podman 5 on that is pasta's work, which gives a pod the address of the host itself: behind that address
//! the pod finds itself, and never the proxy of the host. With an address of its own it sees the host as others
//! do, as with slirp4netns before.

use serde::{Deserialize, Serialize};

use crate::plan::Answer;

/// The id of the look that tells.
pub(crate) const LOOK: &str = "network";

/// The arguments of podman for pasta that make it like slirp4netns; from podman-run(1).
pub(crate) const OWN_ADDRESS: &str = "--network=pasta:-a,10.0.2.100,-n,24,-g,10.0.2.2";

/// How a podman pod is connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Network {
    /// As podman does it by itself.
    #[default]
    Usual,
    /// By pasta.
    Pasta,
}

impl Network {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature that serde asks for"
    )]
    pub(crate) fn is_usual(&self) -> bool {
        *self == Self::Usual
    }
}

#[derive(Deserialize)]
struct Info {
    host: Host,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Host {
    #[serde(default)]
    rootless_network_cmd: String,
}

/// Reads the answer of `podman info`. Before podman 5 it says nothing of this, and a podman that says nothing
/// at all will say so when the pod is created.
pub(crate) fn read(answer: &Answer) -> Network {
    let info: Option<Info> = serde_json::from_slice(&answer.stdout).ok();
    match info {
        Some(info) if info.host.rootless_network_cmd == "pasta" => Network::Pasta,
        _ => Network::Usual,
    }
}

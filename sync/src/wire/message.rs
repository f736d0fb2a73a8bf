//! What is asked and answered. JSON, so that a newer end may say more than an older one understands: unknown fields
//! are passed over, absent ones have a default, and an unknown question is refused by name.

use std::collections::BTreeMap;

use hostfiles::Programs;
use names::ReleaseId;
use serde::{Deserialize, Serialize};

use crate::chunks::Recipe;
use crate::far::Holder;
use crate::{Digest, Plan, Tree};

/// The versions of the protocol that this program speaks, best first.
pub const PROTOCOLS: &[u32] = &[1];

/// Deepest nesting and longest name of a file of a config that is taken from the other end.
const PATH_PARTS_MAX: usize = 40;
const PATH_BYTES_MAX: usize = 4096;

/// What the near end asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// Which versions of the protocol it speaks.
    Hello {
        /// Best first.
        protocols: Vec<u32>,
        /// Name and version of the program.
        program: String,
    },
    /// What the host has; nothing is locked.
    Look {
        /// The cluster that the host should belong to.
        cluster: String,
        /// The digest of the tree that is wanted: if the host has just that, it need not be told.
        wanted: Digest,
    },
    /// What has become of these releases.
    Standings {
        /// The cluster that the host should belong to.
        cluster: String,
        /// The releases.
        releases: Vec<ReleaseId>,
    },
    /// To lock the host for this sync, and what the host has.
    Lock {
        /// The cluster that the host should belong to.
        cluster: String,
        /// As in a look.
        wanted: Digest,
        /// Who asks, and why.
        holder: Holder,
    },
    /// To stage all that the plan needs. The contents that the answer names follow, then `Sent`.
    Stage {
        /// What changes.
        plan: Plan,
        /// What is wanted in the end.
        wanted: Box<Tree>,
        /// The commits that are told to the host, oldest first; none for a sync of a part.
        chain: Option<Vec<String>>,
        /// How large contents that the host lacks are made of pieces.
        recipes: BTreeMap<Digest, Recipe>,
        /// Whether the host goes back by itself unless it is confirmed.
        confirmation: Option<Confirmation>,
    },
    /// All contents were sent.
    Sent,
    /// To put everything into its place.
    Apply,
    /// To write down that the host is at these commits; there was nothing else to do.
    Record {
        /// The commits, oldest first.
        chain: Vec<String>,
        /// What is wanted, which the host has.
        wanted: Box<Tree>,
    },
    /// That the host can be reached after its change, over another connection than that of the change.
    Confirm {
        /// The cluster that the host should belong to.
        cluster: String,
        /// What the change was asked to wait for.
        token: String,
    },
    /// To remove what is left of old releases.
    Collect {
        /// The cluster that the host should belong to.
        cluster: String,
        /// Who asks, and why.
        holder: Holder,
        /// How many removed releases of each pod stay.
        keep: u32,
        /// Only to say which would go.
        dry_run: bool,
    },
    /// To make the directory a host home of the cluster, with keys.
    Init {
        /// The cluster.
        cluster: String,
        /// The name of the host, for its files of keys.
        host: String,
        /// Whether a home of another cluster is taken over.
        takes_over: bool,
        /// The logins of image registries; none leaves those that are there.
        #[serde(default)]
        registry_config: Option<String>,
    },
    /// To make a new key, or to forget those before the newest.
    Rekey {
        /// The cluster that the host should belong to.
        cluster: String,
        /// The name of the host, for its files of keys.
        host: String,
        /// That of the proxy rather than that of encrypted configs.
        proxy: bool,
        /// Forget the older ones instead of making another.
        forget: bool,
    },
}

/// What a host that changed waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Known to those only who asked for the change.
    pub token: String,
    /// How long it waits, in seconds.
    pub seconds: u32,
}

/// What the far end answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// To `Hello`.
    Greeting {
        /// The version of the protocol from here on.
        protocol: u32,
        /// Name and version of the program.
        program: String,
    },
    /// To `Look` and `Lock`.
    Seen(Box<Seen>),
    /// To `Standings`, in the order of the question.
    Standings {
        /// One for each.
        standings: Vec<Standing>,
    },
    /// To `Collect`.
    Collected {
        /// What went, or would go.
        releases: Vec<ReleaseId>,
    },
    /// To `Stage`: what has to be sent.
    Need(Need),
    /// To `Sent`, `Apply`, `Record` and `Confirm`: it is done.
    Done,
    /// To `Init` and `Rekey`.
    Keys(HostKeys),
    /// It is not done.
    Refused(Refusal),
}

/// What a host has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The commits that it was last synced from, oldest first, or why nobody can tell.
    pub chain: Result<Vec<String>, String>,
    /// What it has; none when that is what is wanted.
    pub present: Option<Tree>,
    /// What would have to change for it to be as its last sync left it; none if nobody knows how that was.
    pub drift: Option<Plan>,
    /// That it went back by itself.
    pub reverted: Option<Reverted>,
    /// What was found of an interrupted sync: `finished`, `undone` or `reverted`.
    pub recovered: Option<String>,
    /// That it waits for a confirmation now.
    #[serde(default)]
    pub unconfirmed: Option<String>,
}

/// What has become of one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// How it is known.
    pub kind: StandingKind,
    /// The status file; or what should be said, where there is none that can be read.
    pub text: String,
}

/// How it is known what has become of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StandingKind {
    /// By its status file.
    Known,
    /// By an old status file: the process that wrote it is gone.
    Stale,
    /// It was never run, or the host does not have it yet.
    NonExisting,
    /// Its status cannot be read.
    #[serde(other)]
    Unreadable,
}

/// That a host went back by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reverted {
    /// The commit that it did not stay at.
    pub commit: String,
    /// Why.
    pub why: String,
}

/// What has to be sent for a stage, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Need {
    /// Whole contents.
    pub contents: Vec<Digest>,
    /// Pieces of large contents, by their numbers in the recipe.
    pub pieces: BTreeMap<Digest, Vec<u32>>,
}

/// The public halves of the keys of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostKeys {
    /// True if the host home was made just now.
    pub is_new: bool,
    /// True if keys were changed or forgotten.
    pub is_changed: bool,
    /// The one that configs are encrypted to.
    pub age_recipient: String,
    /// Those of the proxy, newest first.
    pub proxy: Vec<String>,
}

/// Why a host did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of reason.
    pub kind: RefusalKind,
    /// In words.
    pub message: String,
    /// What it comes from, outermost first.
    #[serde(default)]
    pub causes: Vec<String>,
}

/// What kind of reason a host has. A kind that a newer host has is unknown to an older program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// The directory is no host home.
    NoHostHome,
    /// Someone else has it.
    Locked,
    /// It belongs to another cluster.
    OtherCluster,
    /// It belongs to another user.
    Owner,
    /// A place in it cannot be changed; nothing was.
    Unreachable,
    /// A plugin does not load there; nothing was changed.
    Plugin,
    /// It could not be changed; nothing was.
    Unchanged,
    /// It is changed in part, and its journal says how to go on.
    Unfinished,
    /// There is nothing that waits for this confirmation.
    Unconfirmed,
    /// The question is unknown or out of turn.
    Protocol,
    /// Anything else.
    #[serde(other)]
    Failed,
}

/// Refuses a tree of which a name could lead out of a host home.
pub(crate) fn check_tree(tree: &Tree) -> Result<(), String> {
    tree.plugins
        .keys()
        .try_for_each(|name| check_plugin(name))?;
    if let Some(name) = tree.programs.keys().find(|name| !Programs::is_name(name)) {
        return Err(format!("{name:?} is no name of a program"));
    }
    for (id, release) in &tree.releases {
        for (name, config) in &release.configs {
            let foreign = config.files.keys().find(|path| !is_plain_path(path));
            if let Some(path) = foreign {
                return Err(format!("config {name} of {id} has a file {path:?}"));
            }
        }
    }
    Ok(())
}

/// Refuses what is no name of a component.
pub(crate) fn check_plugin(name: &str) -> Result<(), String> {
    let is_plain = name.ends_with(".wasm") && !name.starts_with('.') && is_plain(name);
    match is_plain {
        true => Ok(()),
        false => Err(format!("{name:?} is no name of a plugin's file")),
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with("..")
        && name != "."
        && !name.contains('/')
        && !name.contains(char::is_control)
}

fn is_plain_path(path: &str) -> bool {
    path.len() <= PATH_BYTES_MAX
        && path.split('/').count() <= PATH_PARTS_MAX
        && path.split('/').all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Mark, Release};

    fn with_file(path: &str) -> Tree {
        let mark = Mark {
            digest: Digest::of(b""),
            executable: false,
        };
        let files = BTreeMap::from([(path.to_owned(), mark)]);
        let configs = BTreeMap::from([("c".parse().unwrap(), Config { files })]);
        let release = Release {
            configs,
            ..Release::default()
        };
        Tree {
            releases: BTreeMap::from([("web:1.0.0".parse().unwrap(), release)]),
            ..Tree::default()
        }
    }

    #[test]
    fn names_that_lead_out_of_a_host_home_are_refused() {
        for path in ["a", "a/b.txt", ".hidden", "a/.b"] {
            check_tree(&with_file(path)).unwrap();
        }
        for path in [
            "",
            "/etc/passwd",
            "../a",
            "a/../b",
            "a//b",
            "a/",
            ".",
            "a/./b",
            "..data",
            "a\nb",
        ] {
            check_tree(&with_file(path)).unwrap_err();
        }
        for (name, is_good) in [
            ("p-1.0.0.wasm", true),
            ("../p.wasm", false),
            ("a/p.wasm", false),
            (".wasm", false),
            ("p.so", false),
        ] {
            let tree = Tree {
                plugins: BTreeMap::from([(name.to_owned(), Digest::of(b""))]),
                ..Tree::default()
            };
            assert_eq!(check_tree(&tree).is_ok(), is_good, "{name}");
        }
    }

    #[test]
    fn a_kind_of_reason_that_is_unknown_is_a_failure() {
        let refusal: Refusal =
            serde_json::from_str(r#"{"kind":"moon-phase","message":"no","more":1}"#).unwrap();
        assert_eq!(refusal.kind, RefusalKind::Failed);
    }
}

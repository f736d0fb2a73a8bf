//! Those who were believed, at rest: so the tickets that they hold are good for the next program too.

use std::time::Instant;

use hostfiles::PeerKey;
use serde::{Deserialize, Serialize};

use super::{AFTERWARDS, Guest, Reception};
use crate::peers::ticket::{Admission, Secret, SessionId};

/// One who was believed, at rest.
#[derive(Serialize, Deserialize)]
pub(crate) struct FrozenGuest {
    id: SessionId,
    key: [u8; 32],
    secret: Secret,
    next: u64,
    taken: Vec<u64>,
}

impl std::fmt::Debug for FrozenGuest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FrozenGuest")
    }
}

impl Reception {
    /// Gives all away: whoever is believed from now on is believed by the next program.
    pub(crate) fn freeze(&self) -> Vec<FrozenGuest> {
        let sessions = self.sessions();
        self.close();
        let frozen = sessions.iter().map(|(id, guest)| {
            let (secret, next, taken) = guest.admission.to_parts();
            FrozenGuest {
                id: *id,
                key: *guest.key.bytes(),
                secret,
                next,
                taken,
            }
        });
        frozen.collect()
    }

    /// Their conversations are over, and they notice it.
    pub(crate) fn thaw(&self, frozen: Vec<FrozenGuest>) {
        let until = Some(Instant::now() + AFTERWARDS);
        let mut sessions = self.sessions();
        for guest in frozen {
            let key = PeerKey::new(guest.key);
            let admission = Admission::of_parts(&guest.secret, guest.next, guest.taken);
            if let Some(admission) = admission {
                let known = Guest {
                    key,
                    admission,
                    until,
                };
                sessions.insert(guest.id, known);
            }
        }
    }
}

//! Whose a host home is. Only its owner syncs it: another user, root above all, would leave files there that
//! the daemon cannot change, and would follow what the owner put there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

/// The host home is not this user's.
#[derive(Debug, thiserror::Error)]
#[error("{} belongs to {owner}, and this is {user}: run it as {owner}, or choose another HOSTHOME in host.env", home.display())]
pub struct OwnerError {
    /// The host home.
    pub home: PathBuf,
    /// Whose it is, for people.
    pub owner: String,
    /// Who is at work, for people.
    pub user: String,
}

/// Refuses a host home of somebody else. One that cannot be looked at is refused by whoever reads it next.
pub(super) fn check(home: &Path) -> Result<(), OwnerError> {
    let (Ok(present), user) = (fs::metadata(home), geteuid().as_raw()) else {
        return Ok(());
    };
    if present.uid() == user {
        return Ok(());
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    Err(OwnerError {
        home: home.to_owned(),
        owner: name(&users, present.uid()),
        user: name(&users, user),
    })
}

/// The name of a user in the lines of `/etc/passwd`, or the number.
fn name(users: &str, id: u32) -> String {
    let is_of = |line: &&str| line.split(':').nth(2) == Some(&id.to_string());
    let known = users
        .lines()
        .find(is_of)
        .and_then(|line| line.split(':').next());
    known.map_or_else(|| format!("user {id}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_if_the_machine_knows_the_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\n";
        for (id, expected) in [(0, "root"), (1000, "anna"), (10, "user 10")] {
            assert_eq!(name(users, id), expected);
        }
    }
}

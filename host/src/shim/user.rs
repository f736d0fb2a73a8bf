//! Becoming another user: groups first, then group, then user, and never back.
//!
//! Users are looked up in `/etc/passwd` and `/etc/group` alone; a directory service is not asked.
//! The calls change one thread, which is the only one of the gate.

use std::fs;
use std::io;
use std::path::Path;

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// A user as the kernel wants it.
#[derive(Debug, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

/// Becomes the user of that name.
pub(super) fn become_user(etc: &Path, name: &str) -> io::Result<()> {
    let passwd = fs::read_to_string(etc.join("passwd"))?;
    let group = fs::read_to_string(etc.join("group")).unwrap_or_default();
    let user = find(&passwd, &group, name)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such user in /etc/passwd"))?;
    let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

fn find(passwd: &str, group: &str, name: &str) -> Option<User> {
    let mut fields = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then_some(fields)
    })?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let mut groups: Vec<u32> = group
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [_, _, gid, members] = fields.as_slice() else {
                return None;
            };
            members
                .split(',')
                .any(|member| member == name)
                .then(|| gid.parse().ok())
                .flatten()
        })
        .collect();
    groups.push(gid);
    Some(User { uid, gid, groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_with_its_groups() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/home/web:/bin/sh\n";
        let group = "root:x:0:\nssl:x:27:web,other\nweb:x:1001:\nwebs:x:28:webby\n";
        let user = find(passwd, group, "web").unwrap();
        assert_eq!(
            user,
            User {
                uid: 1000,
                gid: 1001,
                groups: vec![27, 1001]
            }
        );
        assert_eq!(find(passwd, group, "we"), None);
    }
}

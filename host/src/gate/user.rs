//! Becoming another user: groups first, then group, then user, and never back.
//!
//! Users are looked up in `/etc/passwd` and `/etc/group` alone; a directory service is not asked.
//! The calls change one thread, which is the only one of the gate.

use std::fs;
use std::io;
use std::path::Path;

use hostfiles::ReleaseDir;
use names::UnitName;
use rustix::fs::{Mode, OFlags, ResolveFlags, fchown, open, openat2};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// A user as the kernel wants it, and its home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

/// Looks up the user of that name.
pub(crate) fn look_up(etc: &Path, name: &str) -> io::Result<User> {
    let passwd = fs::read_to_string(etc.join("passwd"))?;
    let group = fs::read_to_string(etc.join("group")).unwrap_or_default();
    find(&passwd, &group, name).ok_or_else(|| {
        let message = format!("there is no user `{name}` in /etc/passwd");
        io::Error::new(io::ErrorKind::NotFound, message)
    })
}

/// Looks up the user of that number, with its name.
pub(crate) fn look_up_id(etc: &Path, uid: u32) -> io::Result<(String, User)> {
    let passwd = fs::read_to_string(etc.join("passwd"))?;
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    };
    let name = passwd.lines().find_map(of_line).ok_or_else(|| {
        let message = format!("there is no user {uid} in /etc/passwd");
        io::Error::new(io::ErrorKind::NotFound, message)
    })?;
    look_up(etc, &name).map(|user| (name, user))
}

/// Becomes that user.
pub(crate) fn become_user(user: &User) -> io::Result<()> {
    let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// Gives the directory `root/UNIT` of the release to the user. It is opened without following any link,
/// so that nothing else can be given away; a kind of pod that makes no such directory needs none.
pub(super) fn give_root(release: &ReleaseDir, unit: &UnitName, user: &User) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let release = open(release.path(), flags, Mode::empty())?;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let path = Path::new("root").join(unit.as_str());
    match openat2(release, path, flags, Mode::empty(), inside) {
        Ok(root) => Ok(fchown(
            root,
            Some(Uid::from_raw(user.uid)),
            Some(Gid::from_raw(user.gid)),
        )?),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn find(passwd: &str, group: &str, name: &str) -> Option<User> {
    let mut fields = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then_some(fields)
    })?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1).unwrap_or("/").to_owned();
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
    Some(User {
        uid,
        gid,
        groups,
        home,
    })
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
                groups: vec![27, 1001],
                home: "/home/web".to_owned(),
            }
        );
        assert_eq!(find(passwd, group, "we"), None);
    }

    #[test]
    fn a_root_behind_a_link_is_not_given_away() {
        let folder = tempfile::tempdir().unwrap();
        let release = ReleaseDir::new(folder.path());
        let me = User {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            groups: Vec::new(),
            home: String::new(),
        };
        let give = |unit: &str| give_root(&release, &unit.parse().unwrap(), &me);
        assert!(give("missing").is_ok());
        fs::create_dir_all(folder.path().join("root/main")).unwrap();
        assert!(give("main").is_ok());
        std::os::unix::fs::symlink("main", folder.path().join("root/link")).unwrap();
        assert!(give("link").is_err());
    }
}

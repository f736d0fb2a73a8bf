//! The ramdisks that are mounted now, as the kernel's table of mounts tells.
//!
//! Nobody but root can put a line into that table, so what an owner has is read there and nowhere else;
//! it is right after a restart, too.

use std::fs;
use std::io;

/// The name of the device in the table: what is mounted under another name is none of ours.
pub(super) const SOURCE: &str = "simplenetes-ramdisk";

/// One ramdisk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The number of the mount.
    pub(super) mount: u64,
    /// The number of the file system, `MAJOR:MINOR`.
    pub(super) device: String,
    /// Whom it belongs to.
    pub(super) owner: u32,
    /// Its size in KiB.
    pub(super) size_kib: u64,
}

/// All ramdisks of the machine.
pub(super) fn read() -> io::Result<Vec<Line>> {
    Ok(parse(&fs::read_to_string("/proc/self/mountinfo")?))
}

fn parse(text: &str) -> Vec<Line> {
    text.lines().filter_map(parse_line).collect()
}

/// `36 35 0:41 / /path options tags - tmpfs SOURCE rw,size=1024k,mode=700,uid=1000`
fn parse_line(line: &str) -> Option<Line> {
    let (place, system) = line.split_once(" - ")?;
    let mut place = place.split(' ');
    let mount = place.next()?.parse().ok()?;
    let device = place.nth(1)?.to_owned();
    let mut system = system.split(' ');
    if (system.next()?, system.next()?) != ("tmpfs", SOURCE) {
        return None;
    }
    let options = system.next()?;
    let option = |name: &str| {
        let mut options = options.split(',');
        options.find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    };
    Some(Line {
        mount,
        device,
        // The table leaves out the user that is root.
        owner: option("uid").map_or(Some(0), |uid| uid.parse().ok())?,
        size_kib: option("size")?.strip_suffix('k')?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<(u64, &str, u32, u64)>) {
        let expected = expected.map(|(mount, device, owner, size_kib)| Line {
            mount,
            device: device.into(),
            owner,
            size_kib,
        });
        assert_eq!(parse_line(line), expected, "{line}");
    }

    #[test]
    fn lines_of_the_table() {
        let at = "42 27 0:39 / /home/a\\040b/x rw,nosuid,nodev shared:7 - ";
        check(
            &format!(
                "{at}tmpfs simplenetes-ramdisk rw,size=1024k,nr_inodes=400,mode=700,uid=1000,gid=7,inode64"
            ),
            Some((42, "0:39", 1000, 1024)),
        );
        check(
            &format!("{at}tmpfs simplenetes-ramdisk rw,size=2048k,mode=700"),
            Some((42, "0:39", 0, 2048)),
        );
        check(&format!("{at}tmpfs tmpfs rw,size=2048k"), None);
        check(&format!("{at}fuse simplenetes-ramdisk rw,size=2048k"), None);
        check(&format!("{at}tmpfs simplenetes-ramdisk rw"), None);
        check("42 27", None);
        check("", None);
    }
}

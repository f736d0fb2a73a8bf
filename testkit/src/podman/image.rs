//! An image from nothing: one static program with all its names, and two users.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Podman;
use crate::Outcome;
use crate::cluster::{command, write};

/// Where Debian's package has it.
const BUSYBOX: &str = "/bin/busybox";

impl Podman {
    /// Makes an image of busybox, with `app` (1000) beside root. `changes` are lines of a Dockerfile, such as
    /// `ENTRYPOINT ["sleep"]`; without any it starts a shell.
    ///
    /// # Errors
    /// There is no static busybox, or podman refuses the image.
    pub fn image(&self, name: &str, changes: &[&str]) -> Result<()> {
        let archive = self.path().join("image.tar");
        if !archive.exists() {
            self.pack(&archive)?;
        }
        let always = ["ENV PATH=/bin", "CMD [\"sh\"]"];
        let mut import = vec!["import", "--quiet"];
        for change in always.iter().chain(changes) {
            import.extend(["--change", change]);
        }
        let archive = archive.display().to_string();
        import.extend([archive.as_str(), name]);
        self.run(&import).map(drop)
    }

    fn pack(&self, archive: &Path) -> Result<()> {
        let root = self.path().join("image");
        for directory in ["bin", "etc", "tmp", "root"] {
            fs::create_dir_all(root.join(directory))?;
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        fs::copy(BUSYBOX, root.join("bin/busybox"))
            .with_context(|| format!("{BUSYBOX} is missing: install busybox-static"))?;
        let names = Outcome::of(command(BUSYBOX).arg("--list"))?.success()?;
        for name in names.lines().filter(|name| *name != "busybox") {
            symlink("busybox", root.join("bin").join(name))?;
        }
        let users = "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/tmp:/bin/sh\n";
        write(&root.join("etc/passwd"), users)?;
        write(&root.join("etc/group"), "root:x:0:\napp:x:1000:\n")?;
        let mut tar = command("tar");
        tar.args(["--owner=0", "--group=0", "-cf"]).arg(archive);
        Outcome::of(tar.arg("-C").arg(&root).arg("."))?.success()?;
        Ok(())
    }
}

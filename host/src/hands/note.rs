//! What happens to a release is said by the daemon and written into the log of the release itself,
//! `log/POD-VERSION-stdout.log`, beside the logs of its units and in their form.

use std::fs;

use super::Hands;
use crate::shim::append_to_log;
use crate::system::since_epoch;

impl Hands {
    /// Says and writes one line, on a thread that may wait for a disk.
    pub(crate) async fn note_beside(&self, line: String) {
        let hands = self.clone();
        // A line that is lost to the end of the daemon costs nothing else.
        let _ = tokio::task::spawn_blocking(move || hands.note(&line)).await;
    }

    /// Says and writes one line.
    pub(crate) fn note(&self, line: &str) {
        self.around.log.info(format_args!("{}: {line}", self.id()));
        let release = self.release();
        // A directory that is being taken away should not get a new file.
        if !release.pod().exists() && !release.state().exists() {
            return;
        }
        let id = self.id();
        let name = format!("{}-{}-stdout.log", id.pod, id.version);
        // A full disk costs the line and nothing else.
        let _ = fs::create_dir_all(release.log_dir());
        append_to_log(&release.log_dir().join(name), line, since_epoch().as_secs());
    }
}

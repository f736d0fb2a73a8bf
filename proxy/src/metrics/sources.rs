//! Where the numbers are: everything that a look at a running proxy reads.

use std::cmp::Reverse;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::Board;
use super::connections::{LISTED_MAX, Part};
use crate::proxy::Status;
use crate::streams::Courier;
use crate::table::Routes;
use crate::worker::{Counts, Order};

/// How long a worker may take to tell of its connections, before the list does without it.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Everything that is looked at. Looking changes nothing.
pub(crate) struct Sources {
    /// One for each worker.
    pub(crate) boards: Vec<Arc<Board>>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) workers: Vec<Courier>,
    pub(crate) routes: watch::Receiver<Arc<Routes>>,
    pub(crate) status: watch::Receiver<Status>,
    /// Where it is asked that another program goes on.
    pub(crate) upgrades: mpsc::Sender<Upgrade>,
    /// When the workers' clock began.
    pub(crate) began: Instant,
}

/// Somebody wants that another program goes on with everything that this proxy carries.
#[derive(Debug)]
pub struct Upgrade {
    /// The program.
    pub program: PathBuf,
    /// What became of it; an error is a sentence.
    pub answer: oneshot::Sender<Result<(), String>>,
}

impl Sources {
    /// Has the owner of the proxy go on with another program: why it does not, if so.
    pub(crate) async fn upgrade(&self, program: PathBuf) -> Result<(), String> {
        let (answer, told) = oneshot::channel();
        let upgrade = Upgrade { program, answer };
        let nobody = || "nobody sees to upgrades in this proxy".to_owned();
        self.upgrades.send(upgrade).await.map_err(|_| nobody())?;
        told.await.map_err(|_| nobody())?
    }

    /// The connections that have moved most, of one cluster port or of all.
    pub(crate) async fn connections(&self, port: Option<u16>) -> Part {
        let mut answers = Vec::new();
        for worker in &self.workers {
            let (answer, part) = oneshot::channel();
            worker.tell(Order::List { port, answer });
            answers.push(part);
        }
        let mut all = Part::default();
        for answer in answers {
            if let Ok(Ok(part)) = timeout(ANSWER_MAX, answer).await {
                all.rows.extend(part.rows);
                all.found += part.found;
            }
        }
        all.rows.sort_by_key(|row| Reverse(row.bytes()));
        all.rows.truncate(LISTED_MAX);
        all
    }
}

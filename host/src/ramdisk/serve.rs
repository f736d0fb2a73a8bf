//! Root's end of the channel to one worker: reads a request, has it done, answers, and only then reads
//! the next. It trusts nothing that it reads.

use std::str;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::keeper::Keeper;
use super::request::{LINE_MAX, NotARequest, Request, answer};
use crate::log::{Log, one_line};

/// Serves one worker until it hangs up, or says something too long.
pub(crate) async fn serve(channel: UnixStream, keeper: Arc<Keeper>, about: String, log: Log) {
    let mut channel = BufReader::new(channel);
    loop {
        let mut line = Vec::new();
        let limit = u64::try_from(LINE_MAX).unwrap_or(u64::MAX);
        match (&mut channel)
            .take(limit)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(_) if line.pop() == Some(b'\n') => {}
            Ok(0) | Err(_) => return,
            Ok(_) => {
                log.warn(format_args!("{about}: its worker sent what is no request"));
                return;
            }
        }
        let done = carry_out(&line, &keeper).await;
        if let Err(why) = &done {
            log.warn(format_args!("{about}: a ramdisk was refused: {why}"));
        }
        let answer = format!("{}\n", answer(&done));
        if channel.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn carry_out(line: &[u8], keeper: &Arc<Keeper>) -> Result<(), String> {
    let request: Request = str::from_utf8(line)
        .map_err(|_| NotARequest)
        .and_then(str::parse)
        .map_err(|error| error.to_string())?;
    let keeper = Arc::clone(keeper);
    let done = tokio::task::spawn_blocking(move || match request {
        Request::Create(release, name, size_mib) => keeper.create(&release, &name, size_mib),
        Request::Remove(release, name) => keeper.remove(&release, &name),
    });
    match done.await {
        Ok(done) => done.map_err(|error| one_line(&error)),
        Err(_) => Err("the root daemon is ending".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::keeper::Ledger;
    use super::*;
    use crate::log::Level;

    /// What root answers to these bytes until it hangs up, from a home with nothing in it.
    async fn answers(said: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let home = fs::File::open(folder.path()).unwrap();
        let keeper = Keeper::new(home.into(), 64_301, 64_301, 8, Arc::new(Ledger::default()));
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let log = Log::new(Level::Error);
        let server = tokio::spawn(serve(theirs, Arc::new(keeper), "test".into(), log));
        // Root may have hung up before it has heard everything.
        let _ = ours.write_all(said).await;
        let _ = ours.shutdown().await;
        let mut answers = String::new();
        let _ = ours.read_to_string(&mut answers).await;
        server.await.unwrap();
        answers
    }

    #[tokio::test]
    async fn whatever_a_worker_says_it_is_answered_or_hung_up_on() {
        let not = format!("refused {NotARequest}\n");
        assert_eq!(answers(b"").await, "");
        assert_eq!(
            answers(b"create web:1.0.0 cache 1").await,
            "",
            "no end of the line"
        );
        assert_eq!(answers(b"\n").await, not);
        assert_eq!(answers(b"\xff\xfe\n\0\n").await, not.repeat(2));
        assert_eq!(
            answers(b"mount / /etc\nremove ../../x a\n").await,
            not.repeat(2)
        );
        let missing = answers(b"create web:1.0.0 cache 1\n").await;
        assert!(
            missing.starts_with("refused pods cannot be used"),
            "{missing}"
        );
        let mut long = vec![b'a'; 100 * LINE_MAX];
        assert_eq!(answers(&long).await, "");
        long.push(b'\n');
        assert_eq!(answers(&long).await, "");
    }
}

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

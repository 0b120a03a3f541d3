//! Asking a process over TCP whether it serves yet.

use std::time::Duration;

use anyhow::bail;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{child::Running, eventually, local_address};

const ASK_LIMIT: Duration = Duration::from_secs(2);

/// What to send, and what the answer holds once the process is ready.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    pub(crate) ask: &'static [u8],
    pub(crate) ready: &'static [u8],
}

/// Waits until the process answers on its port; fails as soon as it has ended instead.
pub(crate) async fn answers(
    name: &str,
    question: Question,
    port: u16,
    running: &mut Running,
    limit: Duration,
) -> anyhow::Result<()> {
    let what = format!("{name}'s answer on port {port}");
    let ended = eventually(&what, limit, || {
        let ended = running.ended();
        async move {
            match ended {
                Ok(None) => asked(question, port).await.then_some(Ok(None)),
                over => Some(over),
            }
        }
    });
    match ended.await?? {
        Some(status) => bail!("{name} ended at once ({status})"),
        None => Ok(()),
    }
}

async fn asked(question: Question, port: u16) -> bool {
    tokio::time::timeout(ASK_LIMIT, exchange(question, port))
        .await
        .is_ok_and(|answer| answer.unwrap_or(false))
}

async fn exchange(question: Question, port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(local_address(port)).await?;
    stream.write_all(question.ask).await?;
    let mut answer = Vec::new();
    while stream.read_buf(&mut answer).await? > 0 {
        if contains(&answer, question.ready) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether `bytes` hold `wanted` somewhere.
pub(crate) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len().max(1)).any(|window| window == wanted)
}

//! Waiting, by an event where there is one.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};

/// Between two looks at something that sends no event.
const POLL: Duration = Duration::from_millis(20);

/// Asks `probe` until it has an answer; only for what sends no event, such as another process's port.
///
/// `what` completes the sentence "gave up waiting for …".
pub async fn eventually<T, F>(what: &str, limit: Duration, mut probe: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Option<T>>,
{
    let wait = async {
        loop {
            let next = Instant::now() + POLL;
            if let Some(value) = probe().await {
                return value;
            }
            sleep_until(next).await;
        }
    };
    timeout(limit, wait).await.with_context(|| gave_up(what, limit))
}

/// A list that grows while a test runs, and that can be waited on.
#[derive(Debug)]
pub struct Log<T> {
    entries: Mutex<Vec<T>>,
    grown: Notify,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self { entries: Mutex::default(), grown: Notify::new() }
    }
}

impl<T: Clone> Log<T> {
    /// Adds an entry and wakes who waits.
    pub fn push(&self, entry: T) {
        self.lock().push(entry);
        self.grown.notify_waiters();
    }

    /// A copy of what is there now.
    pub fn all(&self) -> Vec<T> {
        self.lock().clone()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Waits until `find` makes something of the entries; it is asked again whenever one is added.
    pub async fn wait<R>(
        &self,
        what: &str,
        limit: Duration,
        mut find: impl FnMut(&[T]) -> Option<R>,
    ) -> anyhow::Result<R> {
        let wait = async {
            loop {
                // Registered before the look, so that an entry added in between still wakes us.
                let mut grown = std::pin::pin!(self.grown.notified());
                grown.as_mut().enable();
                let found = find(&self.lock());
                if let Some(found) = found {
                    return found;
                }
                grown.await;
            }
        };
        timeout(limit, wait).await.with_context(|| gave_up(what, limit))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gave_up(what: &str, limit: Duration) -> String {
    format!("gave up waiting for {what} after {limit:?}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn asks_until_there_is_an_answer() {
        let mut asked = 0;
        let answer = eventually("three", Duration::from_secs(5), || {
            asked += 1;
            std::future::ready((asked == 3).then_some(asked))
        });
        assert_eq!(answer.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn gives_up_with_a_sentence() {
        let never =
            eventually::<(), _>("a sign", Duration::from_millis(30), || std::future::ready(None)).await;
        assert_eq!(never.unwrap_err().to_string(), "gave up waiting for a sign after 30ms");
    }

    #[tokio::test]
    async fn an_entry_added_later_wakes_who_waits() {
        let log = Arc::new(Log::default());
        let waiting = tokio::spawn({
            let log = Arc::clone(&log);
            async move {
                log.wait("a 2", Duration::from_secs(5), |all: &[u8]| all.iter().copied().find(|n| *n == 2))
                    .await
            }
        });
        log.push(1);
        tokio::task::yield_now().await;
        log.push(2);
        assert_eq!(waiting.await.unwrap().unwrap(), 2);
        assert_eq!(log.all(), [1, 2]);
        log.clear();
        assert!(log.all().is_empty());
    }
}

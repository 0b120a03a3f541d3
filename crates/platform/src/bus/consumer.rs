//! The loop that every durable consumer runs: spans, concurrency, redelivery with backoff, dead letters.

mod attempt;
mod meters;
mod pump;

use std::{future::Future, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::{attempt::Attempts, pump::Pump};
use super::{Bus, BusError, Message, stream_of};
use crate::error::AppError;

/// A durable consumer: its name, what it takes, how it retries.
#[derive(Debug, Clone)]
pub struct ConsumerSpec {
    /// Durable name; replicas of one service share it and so share the messages.
    pub name: String,
    /// Exact subjects; all of one stream.
    pub subjects: Vec<String>,
    /// How many messages are handled at once.
    pub concurrency: usize,
    /// Handed out again when not settled for this long.
    pub ack_wait: Duration,
    /// Waits before the second, third, … try; the last one repeats for ever.
    pub backoff: Vec<Duration>,
    /// A message whose handler has panicked this often goes to the dead letters.
    pub max_crashes: u32,
    /// Whether an acknowledgement waits for the server's word. One that is lost hands the message out again, so a handler
    /// that knows what it has handled may do without, and spares a round trip for each message.
    pub confirms_acks: bool,
}

impl ConsumerSpec {
    /// A consumer with the waits that suit a handler of one database transaction.
    pub fn new<S: Into<String>>(name: impl Into<String>, subjects: impl IntoIterator<Item = S>) -> Self {
        Self {
            name: name.into(),
            subjects: subjects.into_iter().map(Into::into).collect(),
            concurrency: 32,
            ack_wait: Duration::from_secs(30),
            backoff: [100, 1_000, 5_000, 30_000, 60_000].map(Duration::from_millis).to_vec(),
            max_crashes: 5,
            confirms_acks: true,
        }
    }

    /// The stream that holds its subjects; an error where no transport could open this consumer.
    pub fn stream(&self) -> Result<&'static str, BusError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if self.name.is_empty() || !self.name.bytes().all(legal) {
            return Err(invalid("its name must be letters, digits, '_' and '-'"));
        }
        if self.concurrency == 0 || self.ack_wait.is_zero() || self.max_crashes == 0 {
            return Err(invalid("concurrency, ack_wait and max_crashes must be above zero"));
        }
        self.one_stream()
    }

    fn one_stream(&self) -> Result<&'static str, BusError> {
        let mut streams = self.subjects.iter().map(|subject| stream_of(subject));
        let first = streams.next().ok_or_else(|| invalid("it takes no subject"))??;
        for stream in streams {
            if stream? != first {
                return Err(invalid("its subjects must all be of one stream"));
            }
        }
        Ok(first)
    }

    /// How long to wait after the `count`-th hand-out has failed.
    fn wait_after(&self, count: u64) -> Duration {
        let index = usize::try_from(count.saturating_sub(1)).unwrap_or(usize::MAX);
        self.backoff.get(index).or(self.backoff.last()).copied().unwrap_or_default()
    }
}

fn invalid(why: &str) -> BusError {
    BusError::InvalidConsumer(why.to_owned())
}

/// Why a message was not handled.
#[derive(Debug)]
pub enum ConsumeError {
    /// May pass (a store or a peer is away): tried again for as long as it takes.
    Retry(AppError),
    /// Can never succeed: goes to the dead letters with this reason.
    Reject(String),
}

impl From<AppError> for ConsumeError {
    fn from(error: AppError) -> Self {
        if error.is_transient() { Self::Retry(error) } else { Self::Reject(error.to_string()) }
    }
}

impl Bus {
    /// Runs a durable consumer until `shutdown`, then until the handlers in flight have ended.
    ///
    /// A bus that is away is waited for, so the only errors are those of the spec. Aborting the returned task
    /// aborts its handlers too; what they had not settled is handed out again.
    pub fn consume<H, F>(
        &self,
        spec: ConsumerSpec,
        shutdown: CancellationToken,
        handler: H,
    ) -> Result<JoinHandle<()>, BusError>
    where
        H: Fn(Message) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<(), ConsumeError>> + Send + 'static,
    {
        self.consume_counted(spec, shutdown, move |message, _| handler(message))
    }

    /// The same for a handler that is told how often the message has been handed out, this time included.
    pub fn consume_counted<H, F>(
        &self,
        spec: ConsumerSpec,
        shutdown: CancellationToken,
        handler: H,
    ) -> Result<JoinHandle<()>, BusError>
    where
        H: Fn(Message, u64) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<(), ConsumeError>> + Send + 'static,
    {
        spec.stream()?;
        let lag = meters::keep_measuring_lag(self.clone(), spec.clone(), shutdown.clone());
        let pump = Pump::new(Attempts::new(self.clone(), spec, handler), shutdown);
        Ok(tokio::spawn(async {
            tokio::join!(pump.run(), lag);
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_last_wait_repeats_for_ever() {
        let spec = ConsumerSpec::new("c", ["payments.v1.order_paid"]);
        assert_eq!(spec.wait_after(1), Duration::from_millis(100));
        assert_eq!(spec.wait_after(5), Duration::from_mins(1));
        assert_eq!(spec.wait_after(u64::MAX), Duration::from_mins(1));
    }

    #[test]
    fn a_spec_names_one_stream() {
        let of = |subjects: &[&str]| ConsumerSpec::new("c", subjects.iter().copied()).stream();
        assert_eq!(of(&["payments.v1.a", "payments.v1.b"]).unwrap(), "PAYMENTS");
        assert!(matches!(of(&["payments.v1.a", "catalog.v1.b"]), Err(BusError::InvalidConsumer(_))));
        assert!(matches!(of(&["payments.v1.*"]), Err(BusError::UnknownSubject(_))));
        assert!(matches!(of(&[]), Err(BusError::InvalidConsumer(_))));
        assert!(ConsumerSpec::new("a b", ["payments.v1.a"]).stream().is_err());
    }
}

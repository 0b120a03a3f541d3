use std::collections::HashMap;

use platform::{AppError, AppResult, db::Tx, outbox};
use proto::events::{CallbackSettled, subject};
use sea_orm::ConnectionTrait;
use wire::open2b::Callback;

use super::{App, claim::lost, intake::Telling};
use crate::{
    domain::{
        answer::Outcome,
        callback::{Ending, Place, TIME_OVER, Trail},
    },
    store::{attempt, delivery, message, serial},
};

/// One commit gives up at most so many.
const BATCH: u64 = 500;

/// A callback that is to be made.
#[derive(Debug)]
pub struct CallbackRequest {
    /// `@vendor/name`.
    pub marketplace_id: String,
    /// The shop's instance.
    pub instance_id: String,
    /// `itn_…`.
    pub installation_id: String,
    /// Grows with each callback of one app and instance.
    pub sequence: i64,
    /// What to say.
    pub callback: Callback,
}

/// How a new callback begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// At once.
    Now,
    /// When an earlier one, which is in flight, has ended.
    Later,
    /// Not at all: a later one came before it.
    Never,
}

/// A callback that a transaction has settled, to be counted once that is true.
#[must_use]
pub(super) struct Ended {
    operation: String,
    ending: Ending,
}

impl Ended {
    pub(super) fn count(self) {
        let labels = [("operation", self.operation), ("outcome", self.ending.as_str().to_owned())];
        metrics::counter!("callback_settlements_total", &labels).increment(1);
    }
}

impl App {
    /// Keeps a callback to be made to an app, and hands its first attempt to the worker if it need not wait.
    pub async fn request_callback(&self, event_id: &str, request: CallbackRequest) -> AppResult<()> {
        let operation = request.callback.operation();
        let place = Place {
            serial: Place::serial(&request.marketplace_id, &request.instance_id),
            sequence: request.sequence,
        };
        let telling = Telling {
            instance_id: request.instance_id,
            event: operation.as_str(),
            body: serde_json::to_vec(&request.callback).map_err(AppError::unexpected)?,
            marketplace_id: request.marketplace_id,
            installation_id: request.installation_id,
            place,
            time: self.rules.time_for(operation),
        };
        self.tell(event_id, telling).await
    }

    /// Takes its place in its serial; with how it starts, the earlier ones that are not in flight, which end here.
    /// Nothing: it was taken before.
    pub(super) async fn take_place(
        &self,
        tx: &Tx,
        place: &Place,
        (now_ms, store_now_ms): (i64, i64),
    ) -> AppResult<Option<(Start, Vec<Ended>)>> {
        if !serial::enter(&**tx, place).await? {
            let is_taken = delivery::is_taken(&**tx, place).await?;
            return Ok((!is_taken).then_some((Start::Never, Vec::new())));
        }
        let (mut start, mut ended) = (Start::Now, Vec::new());
        for earlier in delivery::list_earlier(&**tx, place).await? {
            if earlier.lease_until_ms > store_now_ms {
                start = Start::Later;
            } else {
                ended.push(self.settle(tx, earlier, Ending::Superseded, None, now_ms).await?);
            }
        }
        Ok(Some((start, ended)))
    }

    /// Ends a callback that nobody has in flight, and whose row is this transaction's.
    pub(super) async fn settle(
        &self,
        tx: &Tx,
        callback: delivery::Model,
        ending: Ending,
        reason: Option<&str>,
        now_ms: i64,
    ) -> AppResult<Ended> {
        if callback.lease_until_ms > 0 {
            attempt::note_lost(&**tx, vec![lost(&callback.id, callback.attempts, now_ms)]).await?;
        }
        let settled = delivery::Model {
            state: ending.state().as_str().to_owned(),
            lease_until_ms: 0,
            held_since_ms: None,
            dead_reason: reason.map(str::to_owned),
            settled_at_ms: Some(now_ms),
            ..callback
        };
        delivery::update(&**tx, &settled).await?;
        self.announce_settled(&**tx, &settled, ending, now_ms).await
    }

    /// Announces, in the transaction that settles it, that no further attempt of the callback will be made, and wipes
    /// what it said: an Install holds the API key, and none is sent again.
    pub(super) async fn announce_settled(
        &self,
        tx: &impl ConnectionTrait,
        callback: &delivery::Model,
        ending: Ending,
        now_ms: i64,
    ) -> AppResult<Ended> {
        let attempts = attempt::list(tx, &callback.id).await?;
        let trail = Trail::of(attempts.iter().map(attempt::Model::outcome), ending);
        let settled = CallbackSettled {
            installation_id: callback.installation_id.clone().unwrap_or_default(),
            instance_id: callback.instance_id.clone(),
            marketplace_id: callback.marketplace_id.clone().unwrap_or_default(),
            operation: callback.event.clone(),
            sequence: callback.sequence.unwrap_or_default().unsigned_abs(),
            outcome: ending.as_str().to_owned(),
            status: trail.status.map(u32::from),
            attempts: u32::try_from(callback.attempts).unwrap_or(u32::MAX),
            may_have_arrived: trail.may_have_arrived,
            settled_at_ms: now_ms,
            delivery_id: callback.id.clone(),
        };
        outbox::announce(tx, &self.ids, now_ms, subject::CALLBACK_SETTLED, &settled).await?;
        message::wipe(tx, &callback.message_id).await?;
        let (operation, outcome) = (callback.event.clone(), ending.as_str());
        tracing::info!(delivery = callback.id, operation, outcome, "a callback has settled");
        Ok(Ended { operation, ending })
    }

    /// Gives up callbacks that nobody has in flight: their time is over, or they were held too long.
    pub(super) async fn give_up(
        &self,
        tx: &Tx,
        callbacks: Vec<delivery::Model>,
        reason: &str,
        now_ms: i64,
    ) -> AppResult<Vec<Ended>> {
        let overtaken = Overtaken::among(&**tx, &callbacks).await?;
        let mut ended = Vec::with_capacity(callbacks.len());
        for callback in callbacks {
            let (ending, reason) = match callback.kind().operation() {
                Some(operation) if !overtaken.has(&callback) => (Ending::given_up(operation), Some(reason)),
                _ => (Ending::Superseded, None),
            };
            ended.push(self.settle(tx, callback, ending, reason, now_ms).await?);
        }
        Ok(ended)
    }

    /// Gives up the Installs whose time is over, also those that a disabled endpoint holds.
    pub(super) async fn give_up_overdue(&self) -> AppResult<()> {
        while delivery::is_any_overdue(self.db.read(), self.clock.now_ms()).await? {
            let tx = self.db.begin().await?;
            let now_ms = self.clock.now_ms();
            let overdue = delivery::list_overdue(&*tx, now_ms, BATCH).await?;
            if overdue.is_empty() {
                // Another replica is at them.
                break;
            }
            let ended = self.give_up(&tx, overdue, TIME_OVER, now_ms).await?;
            tx.commit().await?;
            ended.into_iter().for_each(Ended::count);
        }
        Ok(())
    }
}

/// Which callbacks have a later one that waits for them.
pub(super) struct Overtaken(HashMap<String, i64>);

impl Overtaken {
    /// Looks at these. Their rows must be this transaction's: whoever takes a later one in looks at them after it has
    /// raised the sequence, so one of the two sees the other.
    pub(super) async fn among(tx: &impl ConnectionTrait, callbacks: &[delivery::Model]) -> AppResult<Self> {
        Self::among_places(tx, callbacks.iter().filter_map(delivery::Model::place)).await
    }

    /// The same by their places.
    pub(super) async fn among_places(
        tx: &impl ConnectionTrait,
        places: impl Iterator<Item = Place>,
    ) -> AppResult<Self> {
        Ok(Self(serial::highest_of(tx, places.map(|place| place.serial)).await?))
    }

    /// Whether this one is.
    pub(super) fn has(&self, callback: &delivery::Model) -> bool {
        callback.place().is_some_and(|place| self.has_place(&place))
    }

    /// The same by its place.
    pub(super) fn has_place(&self, place: &Place) -> bool {
        self.0.get(&place.serial).is_some_and(|highest| *highest > place.sequence)
    }
}

impl attempt::Model {
    /// Its class and its status. A class that an older release wrote and this one does not know may have been anything.
    fn outcome(&self) -> (Outcome, Option<u16>) {
        let status = self.status.and_then(|status| u16::try_from(status).ok());
        (self.outcome.parse().unwrap_or(Outcome::Lost), status)
    }
}

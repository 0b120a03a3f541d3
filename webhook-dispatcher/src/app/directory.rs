use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use platform::{
    AppError, AppResult, Shutdown,
    bus::{Bus, BusError, Message, Notice},
};
use proto::events::{EndpointChanged, subject};
use tokio::{sync::Mutex, time::sleep};

use super::App;
use crate::{
    domain::{
        circuit,
        endpoint::Owner,
        event::RELEASE_PUBLISHED,
        health::{ACTIVE, Health},
        settings::Subscription,
    },
    sender::Recipient,
    store::endpoint,
};

/// Rows read at once where all are read.
const PAGE: u64 = 1_000;
/// After a failure of the store or the bus.
const PAUSE: Duration = Duration::from_secs(1);

/// A shop's endpoint as it was when it was last read, its secrets opened.
pub(super) struct Known {
    pub(super) instance_id: String,
    pub(super) recipient: Arc<Recipient>,
    pub(super) rate: Option<u32>,
    health: Health,
    subscription: Subscription,
}

impl Known {
    /// Whether a first attempt may be made now. One that probes a circuit is never a first one: that it is the only one
    /// is agreed on in the store.
    pub(super) fn takes(&self, now_ms: i64) -> bool {
        self.health.state(now_ms) == ACTIVE
    }

    /// Whether it wants to be told of this event.
    pub(super) fn is_told(&self, event: &str) -> bool {
        self.subscription.has(event)
    }
}

/// The shops' endpoints in memory, by instance: what is told to one waits for no row. What is missing is read; a change
/// reads the row again, at once on the replica that made it and by notice on the others.
#[derive(Clone, Default)]
pub(super) struct Directory(Arc<Shared>);

#[derive(Default)]
struct Shared {
    entries: RwLock<Entries>,
    /// Rows are read one after the other, so that no older reading replaces a newer one.
    reading: Mutex<()>,
}

#[derive(Default)]
struct Entries {
    by_instance: HashMap<String, Arc<Known>>,
    /// In the order in which many are told.
    by_id: BTreeMap<String, Arc<Known>>,
    /// All have been read since the last gap; but for those that are missing.
    is_complete: bool,
    /// There, not to be read, and perhaps to be told what many are told.
    missing: BTreeSet<String>,
    by_circuit: [u32; 3],
    disabled: u32,
}

impl Directory {
    fn find(&self, instance_id: &str) -> Option<Arc<Known>> {
        self.read().by_instance.get(instance_id).cloned()
    }

    /// The next endpoints that take the event, in the order of their ids.
    pub(super) fn list_told_after(&self, event: &str, id: &str, limit: usize) -> AppResult<Vec<Arc<Known>>> {
        let entries = self.read();
        entries.require_complete()?;
        let after = entries.by_id.range::<str, _>((Bound::Excluded(id), Bound::Unbounded));
        let told = after.map(|(_, known)| known).filter(|known| known.is_told(event));
        Ok(told.take(limit).cloned().collect())
    }

    /// Not before all have been read is it known who takes an event.
    pub(super) fn require_complete(&self) -> AppResult<()> {
        self.read().require_complete()
    }

    /// Whether there is an endpoint that could not be read.
    pub(super) fn is_any_missing(&self) -> bool {
        !self.read().missing.is_empty()
    }

    fn put(&self, known: Arc<Known>) {
        self.write().put(known);
    }

    /// There is none any more.
    fn forget(&self, endpoint_id: &str) {
        let mut entries = self.write();
        entries.remove(endpoint_id);
        entries.missing.remove(endpoint_id);
    }

    /// It could not be read, and is read again when it is needed.
    fn miss(&self, endpoint_id: &str) {
        let mut entries = self.write();
        entries.remove(endpoint_id);
        entries.missing.insert(endpoint_id.to_owned());
    }

    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.0.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.0.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn put(&mut self, known: Arc<Known>) {
        let endpoint_id = &known.recipient.endpoint_id;
        self.missing.remove(endpoint_id);
        let before = self.by_id.insert(endpoint_id.clone(), Arc::clone(&known));
        self.count(before.as_deref(), Some(&known));
        self.by_instance.insert(known.instance_id.clone(), known);
        self.measure();
    }

    fn require_complete(&self) -> AppResult<()> {
        let not_yet = || AppError::unavailable("the endpoints are not known yet");
        self.is_complete.then_some(()).ok_or_else(not_yet)
    }

    fn remove(&mut self, endpoint_id: &str) {
        if let Some(known) = self.by_id.remove(endpoint_id) {
            self.by_instance.remove(&known.instance_id);
            self.count(Some(&known), None);
        }
    }

    fn count(&mut self, before: Option<&Known>, after: Option<&Known>) {
        if let Some(known) = before {
            self.by_circuit[index(known)] -= 1;
            self.disabled -= u32::from(known.health.standing.is_disabled());
        }
        if let Some(known) = after {
            self.by_circuit[index(known)] += 1;
            self.disabled += u32::from(known.health.standing.is_disabled());
        }
    }

    fn measure(&self) {
        for ((_, name), count) in circuit::STATES.into_iter().zip(self.by_circuit) {
            metrics::gauge!("webhook_endpoints", "circuit" => name).set(count);
        }
        metrics::gauge!("webhook_endpoints_disabled").set(self.disabled);
    }
}

impl App {
    /// The endpoint of a shop, from memory where it is known.
    pub(super) async fn known_endpoint(&self, instance_id: &str) -> AppResult<Option<Arc<Known>>> {
        if let Some(known) = self.directory.find(instance_id) {
            return Ok(Some(known));
        }
        let _reading = self.directory.0.reading.lock().await;
        if let Some(known) = self.directory.find(instance_id) {
            return Ok(Some(known));
        }
        let owner = Owner::Instance(instance_id.to_owned());
        let Some(row) = endpoint::find_of(self.db.read(), &owner).await? else { return Ok(None) };
        let known = self.know(&row)?;
        self.directory.put(Arc::clone(&known));
        Ok(Some(known))
    }

    /// Reads an endpoint again that has changed.
    pub(super) async fn reread_endpoint(&self, endpoint_id: &str) {
        let _reading = self.directory.0.reading.lock().await;
        match endpoint::find_now(self.db.read(), endpoint_id).await {
            Ok(Some(row)) => self.remember(&row),
            Ok(None) => self.directory.forget(endpoint_id),
            Err(error) => {
                tracing::warn!(%error, endpoint = endpoint_id, "an endpoint could not be read again");
                self.directory.miss(endpoint_id);
            }
        }
    }

    /// Reads again what could not be read.
    pub(super) async fn read_missing(&self) {
        let missing = self.directory.read().missing.clone();
        for endpoint_id in missing {
            self.reread_endpoint(&endpoint_id).await;
        }
    }

    /// Follows the endpoints until `shutdown`: what other replicas change is read again.
    pub(crate) async fn follow_endpoints(self, bus: Bus, shutdown: Shutdown) {
        shutdown.run_until_cancelled(self.follow_notices(bus)).await;
    }

    /// Subscribed before anything is read, so that nothing changes unseen between the two.
    async fn follow_notices(&self, bus: Bus) {
        let mut notices = loop {
            match bus.notices(&[subject::ENDPOINT_CHANGED]).await {
                Ok(notices) => break notices,
                Err(error) => pause(&error).await,
            }
        };
        self.read_all().await;
        loop {
            self.heed(notices.next().await).await;
        }
    }

    async fn heed(&self, notice: Notice) {
        match notice {
            Notice::Gap => self.read_all().await,
            Notice::Event(message) => {
                if let Some(endpoint_id) = changed(&message) {
                    self.reread_endpoint(&endpoint_id).await;
                }
            }
        }
    }

    /// Until it is done: what is in memory may have changed unseen.
    async fn read_all(&self) {
        *self.directory.write() = Entries::default();
        while let Err(error) = self.try_read_all().await {
            tracing::warn!(?error, "the endpoints could not be read; trying again");
            sleep(PAUSE).await;
        }
        self.directory.write().is_complete = true;
    }

    async fn try_read_all(&self) -> AppResult<()> {
        let mut after = String::new();
        loop {
            let _reading = self.directory.0.reading.lock().await;
            let page = endpoint::list_webhooks_after(self.db.read(), &after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(&last.id);
            for row in &page {
                self.remember(row);
            }
        }
    }

    fn remember(&self, row: &endpoint::Model) {
        if row.instance_id.is_none() {
            return self.directory.forget(&row.id);
        }
        match self.know(row) {
            Ok(known) => self.directory.put(known),
            Err(error) => {
                tracing::error!(endpoint = row.id, ?error, "an endpoint cannot be read");
                self.directory.forget(&row.id);
                if row.subscription().has(RELEASE_PUBLISHED) {
                    self.directory.miss(&row.id);
                }
            }
        }
    }

    fn know(&self, row: &endpoint::Model) -> AppResult<Arc<Known>> {
        Ok(Arc::new(Known {
            instance_id: row.instance_id.clone().unwrap_or_default(),
            recipient: Arc::new(self.recipient(row)?),
            rate: row.rate(),
            health: row.health(),
            subscription: row.subscription(),
        }))
    }
}

fn index(known: &Known) -> usize {
    let state = known.health.circuit.state;
    circuit::STATES.iter().position(|(one, _)| *one == state).unwrap_or(0)
}

fn changed(message: &Message) -> Option<String> {
    let changed: Result<EndpointChanged, _> = prost::Message::decode(message.payload.clone());
    let changed = changed.inspect_err(|_| tracing::warn!(id = message.id, "a notice cannot be decoded"));
    Some(changed.ok()?.endpoint_id)
}

async fn pause(error: &BusError) {
    tracing::warn!(%error, "the changes of endpoints cannot be followed yet");
    sleep(PAUSE).await;
}

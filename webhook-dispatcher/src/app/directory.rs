use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use platform::{
    AppResult, Shutdown,
    bus::{Bus, BusError, Message, Notice},
};
use proto::events::{EndpointChanged, subject};
use tokio::{sync::Mutex, time::sleep};

use super::App;
use crate::{
    domain::{endpoint::Owner, settings::Subscription},
    sender::Recipient,
    store::endpoint,
};

/// Rows read at once where all are read.
const PAGE: u64 = 1_000;
/// After a failure of the store or the bus.
const PAUSE: Duration = Duration::from_secs(1);

/// A shop's endpoint as it was when it was last read, its secrets opened.
pub(super) struct Known {
    pub(super) recipient: Arc<Recipient>,
    pub(super) is_disabled: bool,
    pub(super) throttled_until_ms: i64,
    subscription: Subscription,
}

impl Known {
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
    instances: HashMap<String, String>,
}

impl Directory {
    fn find(&self, instance_id: &str) -> Option<Arc<Known>> {
        self.read().by_instance.get(instance_id).cloned()
    }

    fn put(&self, instance_id: String, known: Arc<Known>) {
        self.write().put(instance_id, known);
    }

    /// It is read again when it is needed.
    fn forget(&self, endpoint_id: &str) {
        let mut entries = self.write();
        if let Some(instance_id) = entries.instances.remove(endpoint_id) {
            entries.by_instance.remove(&instance_id);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.0.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.0.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn put(&mut self, instance_id: String, known: Arc<Known>) {
        self.instances.insert(known.recipient.endpoint_id.clone(), instance_id.clone());
        self.by_instance.insert(instance_id, known);
    }

    fn clear(&mut self) {
        self.by_instance.clear();
        self.instances.clear();
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
        self.directory.put(instance_id.to_owned(), Arc::clone(&known));
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
                self.directory.forget(endpoint_id);
            }
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
        self.directory.write().clear();
        while let Err(error) = self.try_read_all().await {
            tracing::warn!(?error, "the endpoints could not be read; trying again");
            sleep(PAUSE).await;
        }
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
        let Some(instance_id) = row.instance_id.clone() else { return };
        match self.know(row) {
            Ok(known) => self.directory.put(instance_id, known),
            Err(error) => {
                tracing::error!(endpoint = row.id, ?error, "an endpoint cannot be read");
                self.directory.forget(&row.id);
            }
        }
    }

    fn know(&self, row: &endpoint::Model) -> AppResult<Arc<Known>> {
        Ok(Arc::new(Known {
            recipient: Arc::new(self.recipient(row)?),
            is_disabled: row.is_disabled(),
            throttled_until_ms: row.throttled_until_ms,
            subscription: row.subscription(),
        }))
    }
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

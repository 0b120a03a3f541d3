//! The use cases: load, decide, save. Each owns its transaction and what is announced in it.

mod admission;
mod callbacks;
mod claim;
mod deliveries;
mod directory;
mod endpoints;
mod failures;
mod fanout;
mod first;
mod fresh;
mod health;
mod housekeeping;
mod intake;
mod lists;
mod lookups;
mod measure;
mod operations;
mod prune;
mod record;
mod replays;
mod secrets;
mod settings;
mod verification;

use std::{sync::Arc, time::Duration};

pub use callbacks::CallbackRequest;
pub use deliveries::DeliveryDetail;
pub use endpoints::{Backlog, EndpointChange};
pub(crate) use first::Late;
pub use fresh::{HandedOut, Told};
pub use lists::{DeliveriesAsked, ListedAttempt, MessageDetail, MessagesAsked, Page};
use platform::{AppResult, Clock, Ids, Parts, Random, db::Db, sealing::Sealer};
pub use replays::ReplayRequest;
pub use settings::Settings;
use tokio::sync::{Notify, Semaphore, mpsc};
use wire::open2b::Operation;

use self::{directory::Directory, fresh::Unmade, health::Windows, lookups::Lookups};
use crate::{
    config::{Config, DeliveryConfig},
    domain::{health::HealthRules, kind::Kind, schedule::Schedule},
    sender::{Job, Slots},
};

/// Names the consumer of instances' changes, on the bus and in the inbox.
pub const FOLLOW_INSTANCES: &str = "webhooks-endpoints";
/// Names the consumer of hosted apps' changes.
pub const FOLLOW_APPS: &str = "webhooks-apps";
/// Names the consumer of callbacks that are to be made.
pub const REQUEST_CALLBACKS: &str = "webhooks-callbacks";
/// Names the consumer of issued licences.
pub const TELL_LICENSES: &str = "webhooks-licenses";
/// Names the consumer of what happens to licences and installations later.
pub const TELL_CHANGES: &str = "webhooks-changes";
/// Names the consumer of releases.
pub const TELL_RELEASES: &str = "webhooks-releases";

/// A replica that dies holds up what was handed to it no longer than this.
const MOST_SILENCE: Duration = Duration::from_secs(30);

/// The dispatcher's use cases over its store; cheap to clone.
#[derive(Clone)]
pub struct App {
    pub(crate) db: Db,
    pub(crate) slots: Slots,
    clock: Clock,
    random: Random,
    ids: Ids,
    sealer: Sealer,
    bus_sealer: Sealer,
    rules: Arc<Rules>,
    jobs: mpsc::Sender<Job>,
    wake: Arc<Notify>,
    /// Of whoever drives replays.
    replays: Arc<Notify>,
    directory: Directory,
    unmade: Unmade,
    windows: Windows,
    lookups: Lookups,
    /// In the pipeline, for what is told to many.
    places: Arc<Semaphore>,
}

/// What the configuration decides.
struct Rules {
    schedule: Schedule,
    install_schedule: Schedule,
    install_time: Duration,
    lease: Duration,
    batch: usize,
    retention: Duration,
    /// Where they are shorter than that of all.
    payload_retention: Option<Duration>,
    attempt_retention: Option<Duration>,
    held_retention: Duration,
    health: HealthRules,
    /// The operator's own endpoint is configured.
    tells_operator: bool,
    /// Endpoints that are new, or somewhere else, are verified first.
    verifies: bool,
}

impl App {
    /// The use cases, and the jobs that they hand to a worker.
    pub fn new(config: &Config, parts: &Parts, db: Db) -> AppResult<(Self, mpsc::Receiver<Job>)> {
        measure::register();
        let delivery = &config.delivery;
        let slots = Slots::new(delivery.concurrency, delivery.concurrency_per_endpoint);
        // As many as can be in the pipeline, so that who hands a job over never waits: from the store, of issued licences,
        // of what changes later, and of what is told to many.
        let (jobs, taken) = mpsc::channel(4 * slots.capacity());
        let app = Self {
            lookups: Lookups::start(db.clone()),
            db,
            places: Arc::new(Semaphore::new(slots.capacity())),
            slots,
            clock: parts.clock.clone(),
            random: parts.random.clone(),
            ids: parts.ids(),
            sealer: Sealer::new(&config.sealing, parts.random.clone())?,
            bus_sealer: Sealer::new(&config.bus_sealing, parts.random.clone())?,
            rules: Arc::new(Rules {
                tells_operator: config.operations.url.is_some(),
                ..Rules::new(delivery)
            }),
            jobs,
            wake: Arc::default(),
            replays: Arc::default(),
            directory: Directory::default(),
            unmade: Unmade::default(),
            windows: Windows::default(),
        };
        Ok((app, taken))
    }

    /// Returns when something may have become due.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// How many events may be handled at once.
    pub(crate) fn room(&self) -> usize {
        self.slots.capacity()
    }

    /// How long an event may be silent before it is handed to another replica: no longer than a lease.
    pub(crate) fn patience(&self) -> Duration {
        self.rules.lease.min(MOST_SILENCE)
    }

    /// Opens what came over the bus, for the consumers.
    pub(crate) fn bus_sealer(&self) -> &Sealer {
        &self.bus_sealer
    }
}

impl Rules {
    fn new(config: &DeliveryConfig) -> Self {
        Self {
            schedule: config.schedule(),
            install_schedule: config.install_schedule(),
            install_time: config.install_time(),
            lease: config.lease(),
            batch: config.batch,
            retention: config.retention(),
            payload_retention: config.payload_retention(),
            attempt_retention: config.attempt_retention(),
            held_retention: config.held_retention(),
            health: config.health(),
            tells_operator: false,
            verifies: config.verify_endpoints,
        }
    }

    fn schedule_for(&self, kind: Kind) -> &Schedule {
        match kind {
            Kind::Callback(Operation::Install) => &self.install_schedule,
            _ => &self.schedule,
        }
    }

    /// How long a callback is tried; `None`: until its schedule is over.
    fn time_for(&self, operation: Operation) -> Option<Duration> {
        (operation == Operation::Install).then_some(self.install_time)
    }
}

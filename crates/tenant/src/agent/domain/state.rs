use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};
use wire::{keys::Jwks, manifest::MarketplaceId};

use super::{HostedNote, Job, Offer, Problem};
use crate::{
    artifact::{Holder, Pins, Signers},
    license::KnownLicense,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// A payment by bank may take days to arrive; longer than that, its licence is asked about.
const CHECKOUT_LIFE_MS: i64 = 30 * DAY_MS;
/// Far longer than the marketplace retries a delivery (contracts.md section 3: less than a day).
const SEEN_LIFE_MS: i64 = 30 * DAY_MS;

/// Everything that the state file holds.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// The form of this file.
    pub(crate) format: u32,
    /// Signs the forms of the pages, hex.
    pub(crate) form_key: String,
    /// The marketplace's names and keys as last seen, to verify licence tokens without it.
    pub(crate) marketplace: Option<Marketplace>,
    /// The keys that may vouch for releases.
    pub(crate) pins: Pins,
    /// What the administrator has gone to pay for.
    pub(crate) checkouts: Vec<Checkout>,
    pub(crate) licenses: BTreeMap<MarketplaceId, KnownLicense>,
    pub(crate) offers: Vec<Offer>,
    pub(crate) jobs: BTreeMap<MarketplaceId, Job>,
    /// What is known of the hosted apps that were installed from here.
    #[serde(default)]
    pub(crate) hosted: Vec<HostedNote>,
    /// Webhook ids that have been taken, with the time.
    pub(crate) seen: BTreeMap<String, i64>,
}

/// What `/.well-known/mercato.json` said.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Marketplace {
    pub(crate) issuer: String,
    pub(crate) jwks: Jwks,
}

/// A checkout that the administrator started. It is noted before the marketplace is asked, so that no crash makes a
/// stranger's of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkout {
    pub(crate) idempotency_key: String,
    pub(crate) order_id: Option<String>,
    pub(crate) marketplace_id: MarketplaceId,
    pub(crate) version: Version,
    pub(crate) started_at_ms: i64,
    /// When its licence came.
    #[serde(default)]
    pub(crate) settled_at_ms: Option<i64>,
}

/// A licence that has arrived.
#[derive(Clone)]
pub(crate) struct Issued {
    /// The webhook's or the licence's id.
    pub(crate) id: String,
    pub(crate) marketplace_id: MarketplaceId,
    pub(crate) version: Version,
    pub(crate) license_key: String,
}

/// What was done with a licence that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is known already: nothing.
    Known,
    /// It answers a checkout of this shop: the app will be installed.
    Installing,
    /// Nobody here asked for it: the administrator will be asked.
    Asking,
}

impl State {
    pub(crate) fn new(form_key: String) -> Self {
        Self {
            format: 1,
            form_key,
            marketplace: None,
            pins: Pins::default(),
            checkouts: Vec::new(),
            licenses: BTreeMap::new(),
            offers: Vec::new(),
            jobs: BTreeMap::new(),
            hosted: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Notes that the administrator goes to pay.
    pub(crate) fn begin_checkout(&mut self, key: String, app: MarketplaceId, version: Version, now_ms: i64) {
        self.checkouts.retain(|checkout| now_ms - checkout.started_at_ms < CHECKOUT_LIFE_MS);
        self.checkouts.push(Checkout {
            idempotency_key: key,
            order_id: None,
            marketplace_id: app,
            version,
            started_at_ms: now_ms,
            settled_at_ms: None,
        });
    }

    /// The marketplace answers an open order again: then the earlier note, with the version it was for, stays.
    pub(crate) fn checkout_opened(&mut self, key: &str, order_id: &str) {
        if self.checkouts.iter().any(|checkout| checkout.order_id.as_deref() == Some(order_id)) {
            self.drop_checkout(key);
        } else if let Some(checkout) = self.checkouts.iter_mut().find(|one| one.idempotency_key == key) {
            checkout.order_id = Some(order_id.to_owned());
        }
    }

    /// The marketplace said no: there is nothing to wait for.
    pub(crate) fn drop_checkout(&mut self, key: &str) {
        self.checkouts.retain(|checkout| checkout.idempotency_key != key);
    }

    /// The checkout whose licence is being waited for.
    pub(crate) fn find_open_checkout(&self, app: &MarketplaceId) -> Option<&Checkout> {
        self.checkouts.iter().rev().find(|one| one.settled_at_ms.is_none() && one.marketplace_id == *app)
    }

    /// Takes a webhook once, whatever is repeated.
    pub(crate) fn take_delivery(&mut self, issued: Issued, now_ms: i64) -> Taken {
        if !self.is_first(&issued.id, now_ms) {
            return Taken::Known;
        }
        self.take_license(issued, now_ms)
    }

    /// Notes the webhook's id; false: it has come before.
    pub(crate) fn is_first(&mut self, id: &str, now_ms: i64) -> bool {
        self.seen.retain(|_, at_ms| now_ms - *at_ms < SEEN_LIFE_MS);
        self.seen.insert(id.to_owned(), now_ms).is_none()
    }

    /// Whether this is the key of the app's licence here.
    pub(crate) fn has_license(&self, app: &MarketplaceId, key: &str) -> bool {
        self.licenses.get(app).is_some_and(|known| known.key == key)
    }

    /// Installs what answers a checkout of this shop, and asks about everything else (contracts.md section 3).
    pub(crate) fn take_license(&mut self, issued: Issued, now_ms: i64) -> Taken {
        let known =
            self.licenses.get(&issued.marketplace_id).is_some_and(|known| known.key == issued.license_key);
        if known || self.offers.iter().any(|offer| offer.license_key == issued.license_key) {
            return Taken::Known;
        }
        if !self.settle_checkout(&issued, now_ms) {
            let Issued { id, marketplace_id, version, license_key } = issued;
            self.offers.push(Offer { id, marketplace_id, version, license_key, arrived_at_ms: now_ms });
            return Taken::Asking;
        }
        self.adopt(issued, now_ms);
        Taken::Installing
    }

    /// The administrator wants what nobody had asked for. False if the offer is gone.
    pub(crate) fn accept_offer(&mut self, id: &str, now_ms: i64) -> bool {
        let Some(offer) = self.take_offer(id) else { return false };
        let Offer { id, marketplace_id, version, license_key, .. } = offer;
        self.adopt(Issued { id, marketplace_id, version, license_key }, now_ms);
        true
    }

    /// Removes an offer.
    pub(crate) fn take_offer(&mut self, id: &str) -> Option<Offer> {
        let at = self.offers.iter().position(|offer| offer.id == id)?;
        Some(self.offers.remove(at))
    }

    /// Puts an installation in the queue; a newer wish replaces an older one.
    pub(crate) fn queue(&mut self, job: Job) {
        self.jobs.insert(job.marketplace_id.clone(), job);
    }

    /// The job that has been waiting longest of those that may be tried now.
    pub(crate) fn find_due_job(&self, now_ms: i64) -> Option<&Job> {
        let due = self.jobs.values().filter(|job| job.due_at_ms().is_some_and(|at_ms| at_ms <= now_ms));
        due.min_by_key(|job| job.requested_at_ms)
    }

    /// When the next waiting job may be tried.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.jobs.values().filter_map(Job::due_at_ms).min()
    }

    /// Changes a job, if it is still the one that was wished for.
    pub(crate) fn change_job(&mut self, tried: &Job, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.jobs.get_mut(&tried.marketplace_id).filter(|job| job.is_same_wish(tried)) {
            change(job);
        }
    }

    /// Ends a job that is done.
    pub(crate) fn finish_job(&mut self, done: &Job) {
        if self.has_job(done) {
            self.jobs.remove(&done.marketplace_id);
        }
    }

    /// Whether the administrator still wishes for this.
    pub(crate) fn has_job(&self, wished: &Job) -> bool {
        self.jobs.get(&wished.marketplace_id).is_some_and(|job| job.is_same_wish(wished))
    }

    /// The administrator says to go on: what was asked about is granted, if that is what the page has shown. A page may
    /// be old, and a button pressed twice.
    pub(crate) fn resume_job(&mut self, app: &MarketplaceId, shown: &str) {
        let asks = |job: &&mut Job| job.question().as_deref() == Some(shown);
        let Some(job) = self.jobs.get_mut(app).filter(asks) else { return };
        match job.problem.take() {
            Some(Problem::NewKey { holder, key }) => self.pins.pin(&holder, key),
            Some(Problem::Consent { added }) => job.allowed = added,
            _ => {}
        }
    }

    /// Keeps what a hosted app's manifest said; one note for each version.
    pub(crate) fn note_hosted(&mut self, note: HostedNote) {
        self.hosted.retain(|one| one.marketplace_id != note.marketplace_id || one.version != note.version);
        self.hosted.push(note);
    }

    /// Pins the keys that have vouched for an installation.
    pub(crate) fn pin(&mut self, signers: &Signers, app: &MarketplaceId) {
        self.pins.pin(&Holder::Marketplace, signers.marketplace);
        self.pins.pin(&Holder::Vendor(app.vendor().to_owned()), signers.vendor);
    }

    /// Whether these keys are trusted already.
    pub(crate) fn has_pinned(&self, signers: &Signers, app: &MarketplaceId) -> bool {
        self.pins.has(&Holder::Marketplace, signers.marketplace)
            && self.pins.has(&Holder::Vendor(app.vendor().to_owned()), signers.vendor)
    }

    fn adopt(&mut self, issued: Issued, now_ms: i64) {
        let Issued { marketplace_id, version, license_key, .. } = issued;
        let license =
            KnownLicense { key: license_key, version: version.clone(), token: None, standing: None };
        self.licenses.insert(marketplace_id.clone(), license);
        self.queue(Job::new(marketplace_id, version, now_ms));
    }

    fn settle_checkout(&mut self, issued: &Issued, now_ms: i64) -> bool {
        let answers = |one: &&mut Checkout| {
            one.settled_at_ms.is_none()
                && one.marketplace_id == issued.marketplace_id
                && one.version == issued.version
                && now_ms - one.started_at_ms < CHECKOUT_LIFE_MS
        };
        match self.checkouts.iter_mut().find(answers) {
            Some(checkout) => {
                checkout.settled_at_ms = Some(now_ms);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;

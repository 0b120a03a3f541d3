//! Hosted apps that shops install during the run: each must settle, told by one key.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::Context as _;
use serde_json::{Value, json};
use testkit::market::{Admin, AppBackend, Consent, Package, Vendor};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant as Moment, sleep_until},
};

use crate::{judge::Complaint, load::answered, stage::Stage};

const READ: &str = "api:orders.read";
/// So many shops are at it at once.
const AT_ONCE: usize = 4;

/// A hosted app on offer, free, with its backend.
#[derive(Debug)]
pub struct Hosted {
    id: String,
    backend: AppBackend,
}

impl Hosted {
    /// Puts one on offer.
    pub async fn publish(admin: &Admin, vendor: &Vendor, number: usize) -> anyhow::Result<Self> {
        let backend = AppBackend::start().await?;
        let id = format!("@{}/hosted-{number}", vendor.name);
        let package = Package::hosted(&id, &backend.url()).permissions(&[READ]);
        let release = admin.import_hosted(vendor, &package).await?;
        backend.accept(release["app_secret"].as_str().context("no secret for the app")?)?;
        Ok(Self { id, backend })
    }

    /// What is wrong with this app in one shop, where it has been installed.
    async fn complaints(&self, stage: &Stage, shop: usize) -> anyhow::Result<Vec<Complaint>> {
        let shop = &stage.outlets[shop].shop;
        let all = shop.installations(&[]).await?;
        let ours = all.iter().filter(|one| one["marketplace_id"] == self.id);
        let states: Vec<&Value> = ours.map(|one| &one["state"]).collect();
        let keys: BTreeSet<String> = self.keys(&shop.registration.shop)?;
        let mut complaints = Vec::new();
        let name = format!("{} in {}", self.id, shop.registration.shop);
        if states != [&json!("installed")] {
            complaints.push(Complaint::Lost(format!("{name}: {states:?}")));
        }
        if keys.len() > 1 {
            complaints.push(Complaint::Twice(format!("{name} was told {} keys", keys.len())));
        }
        for key in keys.iter().take(1) {
            if shop.introspect(key).await?["active"] != json!(true) {
                complaints.push(Complaint::Lost(format!("the key of {name} is not live")));
            }
        }
        Ok(complaints)
    }

    fn keys(&self, shop: &str) -> anyhow::Result<BTreeSet<String>> {
        let arrived = self.backend.arrived_from(shop)?;
        Ok(arrived.iter().filter_map(|one| one.api_key().ok().map(str::to_owned)).collect())
    }
}

/// Every shop installs every hosted app, evenly over `length`; how many were taken, and answers that no outage explains.
pub async fn install_all(
    stage: &Arc<Stage>,
    length: Duration,
    begun: Moment,
) -> anyhow::Result<(usize, Vec<String>)> {
    let wanted: Vec<_> = pairs(stage).collect();
    let pause = length.div_f64(f64::from(u32::try_from(wanted.len().max(1))?));
    let (mut running, mut next, room) = (JoinSet::new(), begun, Arc::new(Semaphore::new(AT_ONCE)));
    for (shop, app) in wanted {
        sleep_until(next).await;
        next += pause;
        let (stage, place) = (Arc::clone(stage), Arc::clone(&room).acquire_owned().await?);
        running.spawn(async move {
            let _place = place;
            install(&stage, shop, app).await
        });
    }
    let (mut taken, mut surprises) = (0, Vec::new());
    while let Some(done) = running.join_next().await {
        match done? {
            Ok(()) => taken += 1,
            Err(error) => surprises.push(format!("{error:#}")),
        }
    }
    Ok((taken, surprises))
}

/// Each shop with each app, by app.
fn pairs(stage: &Stage) -> impl Iterator<Item = (usize, usize)> {
    let shops = stage.outlets.len();
    (0..stage.hosted.len()).flat_map(move |app| (0..shops).map(move |shop| (shop, app)))
}

async fn install(stage: &Stage, shop: usize, app: usize) -> anyhow::Result<()> {
    let (shop, app) = (&stage.outlets[shop].shop, &stage.hosted[app].id);
    let ask = || shop.install(app, Consent::to(&[READ]).at_once());
    let answered = answered(ask).await.with_context(|| format!("{app} could not be installed"))?;
    answered.reply.success()
}

/// What is wrong with the installations.
pub async fn judge(stage: &Stage) -> anyhow::Result<Vec<Complaint>> {
    let mut complaints = Vec::new();
    for (shop, app) in pairs(stage) {
        complaints.extend(stage.hosted[app].complaints(stage, shop).await?);
    }
    Ok(complaints)
}

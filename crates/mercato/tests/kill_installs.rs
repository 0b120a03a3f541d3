//! `kill -9` of license-svc and the dispatcher in the middle of 200 installs: each one settles, and is told by one key.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use testkit::{
    eventually,
    market::{Admin, AppBackend, Consent, Market, Options, Package, Service, Shop, Topology},
    receiver::Answer,
};
use tokio::sync::watch;
use wire::open2b::{Callback, Operation};

const SHOPS: usize = 20;
const APPS: usize = 10;
const INSTALLS: usize = SHOPS * APPS;
const AT_ONCE: usize = 8;
/// So long an app thinks: most processes die while an Install is on its way.
const THINKS: Duration = Duration::from_millis(50);
/// Until a service is back, and until what it had begun is taken over.
const PATIENCE: Duration = Duration::from_secs(90);
const READ: &str = "api:orders.read";

/// Who dies, in this order.
const VICTIMS: [Service; 4] = [Service::License, Service::Dispatcher, Service::License, Service::Dispatcher];

/// A hosted app on offer.
struct App {
    id: String,
    backend: AppBackend,
    /// What it answers to an Install, and what its installations come to.
    takes: bool,
}

impl App {
    fn ends_in(&self) -> &'static str {
        if self.takes { "installed" } else { "cancelled" }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_install_settles_by_one_key_when_license_svc_and_the_dispatcher_are_killed() {
    let mut market = Market::start(Topology::FiveProcesses, Options::default()).await.unwrap();
    let apps = publish_apps(&market.admin().unwrap()).await;
    let names: Vec<String> = (0..SHOPS).map(|number| format!("shop-{number}")).collect();
    let shops = futures::future::try_join_all(names.iter().map(|name| market.shop(name))).await.unwrap();
    let shops: Vec<Arc<Shop>> = shops.into_iter().map(Arc::new).collect();

    let (progress, asked) = watch::channel(0);
    let installs = tokio::spawn(install_all(every_app_in_every_shop(&shops, &apps), progress));
    kill_all(&mut market, asked).await;
    installs.await.unwrap().unwrap();

    for shop in &shops {
        assert_all_settle(shop, &apps).await;
        for app in &apps {
            assert_told_by_one_key(shop, app).await;
        }
    }
}

/// Nine apps that install, and one that refuses.
async fn publish_apps(admin: &Admin) -> Vec<App> {
    let vendor = admin.create_vendor("acme").await.unwrap();
    let mut apps = Vec::new();
    for number in 0..APPS {
        let backend = AppBackend::start().await.unwrap();
        let id = format!("@acme/app-{number}");
        let package = Package::hosted(&id, &backend.url()).permissions(&[READ]);
        let release = admin.import_hosted(&vendor, &package).await.unwrap();
        backend.accept(release["app_secret"].as_str().unwrap()).unwrap();
        let takes = number > 0;
        backend.receiver.answer(Answer::status(if takes { 200 } else { 403 }).after(THINKS));
        apps.push(App { id, backend, takes });
    }
    apps
}

fn every_app_in_every_shop(shops: &[Arc<Shop>], apps: &[App]) -> Vec<(Arc<Shop>, String)> {
    apps.iter().flat_map(|app| shops.iter().map(|shop| (Arc::clone(shop), app.id.clone()))).collect()
}

/// A shop that gets no answer, or is told to come back, asks again; anything else would be a fault.
async fn install_all(wanted: Vec<(Arc<Shop>, String)>, progress: watch::Sender<usize>) -> anyhow::Result<()> {
    let progress = &progress;
    let install = async |(shop, app): (Arc<Shop>, String)| {
        let accepted = eventually("an install to be accepted", PATIENCE, async || {
            let reply = shop.install(&app, Consent::to(&[READ]).at_once()).await.ok()?;
            (reply.status != 503).then_some(reply)
        });
        accepted.await?.ok()?;
        progress.send_modify(|asked| *asked += 1);
        anyhow::Ok(())
    };
    stream::iter(wanted).map(install).buffer_unordered(AT_ONCE).try_collect().await
}

async fn kill_all(market: &mut Market, mut asked: watch::Receiver<usize>) {
    for (number, victim) in VICTIMS.into_iter().enumerate() {
        let by_now = (number + 1) * INSTALLS / (VICTIMS.len() + 1);
        asked.wait_for(|asked| *asked >= by_now).await.unwrap();
        assert!(*asked.borrow() < INSTALLS, "{victim} must die in the middle of the installs");
        market.kill(victim).unwrap();
        market.restart(victim).await.unwrap();
    }
}

/// One installation of each app, in the state that the app's answer asks for. An answer that was lost makes a shop ask
/// again: what had been cancelled by then is a second installation, cancelled too.
async fn assert_all_settle(shop: &Shop, apps: &[App]) {
    let last = eventually("all installations to settle", PATIENCE, async || {
        let all = shop.installations(&[]).await.ok()?;
        all.iter().all(|one| one["state"] != "installing").then_some(all)
    });
    let all = last.await.unwrap();
    for app in apps {
        let states: Vec<&Value> =
            all.iter().filter(|one| one["marketplace_id"] == app.id).map(|one| &one["state"]).collect();
        assert!(states.iter().all(|state| **state == app.ends_in()), "{}: {states:?}", app.id);
        assert!(states.len() == 1 || !app.takes && !states.is_empty(), "{}: {states:?}", app.id);
    }
}

async fn assert_told_by_one_key(shop: &Shop, app: &App) {
    let told = app.backend.arrived_from(&shop.registration.shop).unwrap();
    let keys: BTreeSet<&str> = told.iter().filter_map(|arrived| key_of(&arrived.callback)).collect();
    assert!(!keys.is_empty(), "{} has never seen {}", app.id, shop.registration.shop);
    let mut live = 0;
    for key in &keys {
        live += usize::from(shop.introspect(key).await.unwrap()["active"] == json!(true));
    }
    assert_eq!((keys.len() == 1 || !app.takes, live), (true, usize::from(app.takes)), "{}", app.id);
    let may_come =
        |operation| operation == Operation::Install || operation == Operation::Remove && !app.takes;
    assert!(told.iter().all(|arrived| may_come(arrived.callback.operation())));
}

fn key_of(callback: &Callback) -> Option<&str> {
    match callback {
        Callback::Install { key, .. } => Some(key),
        _ => None,
    }
}

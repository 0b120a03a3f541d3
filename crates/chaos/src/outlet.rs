//! A shop whose receiver has moods, and notes what it was told and whether it took it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use http::Method;
use serde_json::json;
use testkit::{
    eventually,
    market::{Admin, Shop},
    receiver::{Answer, Received},
};

use crate::{acts::Act, fault::Mood};

/// What every shop is told, and is judged by.
pub const ISSUED: &str = "license-issued";
/// Until the dispatchers know a shop.
const KNOWN_SOON: Duration = Duration::from_mins(1);

/// A slow receiver takes so long: longer than a first attempt waits before it is kept in the store.
const SLOW: Duration = Duration::from_millis(800);

/// A shop and the book of what it was told.
#[derive(Debug)]
pub struct Outlet {
    /// The shop.
    pub shop: Shop,
    book: Arc<Book>,
}

#[derive(Debug, Default)]
struct Book {
    mood: Mutex<Option<Mood>>,
    receipts: Mutex<Vec<Receipt>>,
}

/// One request that a shop has received.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// `dly_…`, by which a shop knows it again.
    pub delivery_id: String,
    /// Whether it was answered with success.
    pub taken: bool,
}

impl Outlet {
    /// Registers a shop that is told of its licences and of what becomes of them.
    pub async fn open(admin: &Admin, gateway_url: &str, number: usize) -> anyhow::Result<Self> {
        let shop = Shop::register(admin, gateway_url, &format!("shop-{number}")).await?;
        let book = Arc::new(Book::default());
        let kept = Arc::clone(&book);
        shop.receiver.decide(move |received| Some(kept.take(received)));
        subscribe(admin, &shop).await?;
        Ok(Self { shop, book })
    }

    /// From now on it answers like this.
    pub fn set(&self, mood: Mood) {
        *locked(&self.book.mood) = Some(mood);
    }

    /// What it has received so far, in that order.
    #[must_use]
    pub fn receipts(&self) -> Vec<Receipt> {
        locked(&self.book.receipts).clone()
    }
}

async fn subscribe(admin: &Admin, shop: &Shop) -> anyhow::Result<()> {
    let query = [("instance_id", shop.id())];
    let endpoint = eventually("a shop's endpoint", KNOWN_SOON, async || {
        admin.list("endpoints", &query).await.ok()?.into_iter().next()
    });
    let endpoint = endpoint.await?;
    let id = endpoint["id"].as_str().context("an endpoint without `id`")?;
    let events: Vec<&str> = Act::ALL.into_iter().map(Act::event).chain([ISSUED]).collect();
    let caller = admin.caller();
    let asked = caller.request(Method::PATCH, &format!("/admin/endpoints/{id}"));
    caller.send(asked.json(&json!({ "events": events }))).await?.success()
}

impl Book {
    fn take(&self, received: &Received) -> Answer {
        let mood = locked(&self.mood).unwrap_or(Mood::Good);
        let taken = matches!(mood, Mood::Good | Mood::Slow);
        let delivery_id = received.header("webhook-id").unwrap_or_default().to_owned();
        locked(&self.receipts).push(Receipt { delivery_id, taken });
        match mood {
            Mood::Good => Answer::status(204),
            Mood::Slow => Answer::status(204).after(SLOW),
            Mood::Fails => Answer::status(500),
            Mood::Busy => Answer::status(503).header("retry-after", "2"),
            Mood::Hangs => Answer::hang(),
            Mood::Resets => Answer::reset(),
            Mood::Breaks => Answer::half_a_head(),
            Mood::Gone => Answer::status(410),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

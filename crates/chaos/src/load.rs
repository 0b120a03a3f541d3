//! Steady sales: shops order, buyers pay.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use testkit::market::Order;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant as Moment, sleep, sleep_until},
};

use crate::stage::Stage;

/// So many shops are at it at once: an outage must not end in a crowd that is an outage of its own.
const AT_ONCE: usize = 16;
/// A shop that gets no answer, or is told to come back, asks again after so long.
const PAUSE: Duration = Duration::from_secs(1);
/// And gives up after so long.
const PATIENCE: Duration = Duration::from_mins(4);

/// What was sold.
#[derive(Debug, Clone)]
pub struct Sale {
    /// Which shop.
    pub shop: usize,
    /// Which app.
    pub app: String,
    /// `ord_…`
    pub order_id: String,
}

/// What came of the load.
#[derive(Debug, Default)]
pub struct Load {
    /// What was sold.
    pub sales: Vec<Sale>,
    /// Answers that no outage explains, and shops that have given up.
    pub surprises: Vec<String>,
}

/// Begins one sale after the other, evenly over `length`; returns when all are paid.
pub async fn sell(
    stage: &Arc<Stage>,
    pairs: Vec<(usize, usize)>,
    length: Duration,
    begun: Moment,
) -> anyhow::Result<Load> {
    let pause = length.div_f64(f64::from(u32::try_from(pairs.len().max(1))?));
    let (mut running, room) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
    let mut next = begun;
    for (shop, app) in pairs {
        sleep_until(next).await;
        next += pause;
        let (stage, place) = (Arc::clone(stage), Arc::clone(&room).acquire_owned().await?);
        running.spawn(async move {
            let _place = place;
            sell_one(&stage, shop, app).await
        });
    }
    let mut load = Load::default();
    while let Some(done) = running.join_next().await {
        match done? {
            Ok(sale) => load.sales.push(sale),
            Err(error) => load.surprises.push(format!("{error:#}")),
        }
    }
    Ok(load)
}

async fn sell_one(stage: &Stage, shop: usize, app: usize) -> anyhow::Result<Sale> {
    let app = stage.apps[app].clone();
    let order = order(stage, shop, &app).await?;
    stage.ground.stripe.pay(&order.session_id).await?;
    Ok(Sale { shop, app, order_id: order.id })
}

async fn order(stage: &Stage, shop: usize, app: &str) -> anyhow::Result<Order> {
    let give_up = Moment::now() + PATIENCE;
    loop {
        let error = match stage.outlets[shop].shop.try_checkout(app, "1.0.0").await {
            Ok(reply) if reply.status == 503 => reply.success().err(),
            Ok(reply) => return read(&reply.ok()?),
            Err(error) => Some(error),
        };
        anyhow::ensure!(Moment::now() < give_up, "shop-{shop} could not order {app}: {}", told(error));
        sleep(PAUSE).await;
    }
}

pub(crate) fn told(error: Option<anyhow::Error>) -> String {
    error.map(|error| format!("{error:#}")).unwrap_or_default()
}

fn read(order: &Value) -> anyhow::Result<Order> {
    let text = |field: &str| {
        let text = order[field].as_str().map(str::to_owned);
        text.ok_or_else(|| anyhow::anyhow!("the order has no text `{field}`"))
    };
    let url = text("url")?;
    let session_id = url.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(Order { id: text("id")?, session_id, url })
}

//! Steady sales: shops order, buyers pay.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use serde_json::{Value, json};
use testkit::market::{Order, Reply};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant as Moment, sleep, sleep_until},
};

use crate::{
    plan::{Payment, Purchase},
    stage::Stage,
};

/// So many shops are at it at once: an outage must not end in a crowd that is an outage of its own.
const AT_ONCE: usize = 16;
/// Who gets no answer, or is told to come back, asks again after so long.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);
/// And gives up after so long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(4);

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
    purchases: Vec<Purchase>,
    length: Duration,
    begun: Moment,
) -> anyhow::Result<Load> {
    let pause = length.div_f64(f64::from(u32::try_from(purchases.len().max(1))?));
    let (mut running, room) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
    let mut next = begun;
    for purchase in purchases {
        sleep_until(next).await;
        next += pause;
        let (stage, place) = (Arc::clone(stage), Arc::clone(&room).acquire_owned().await?);
        running.spawn(async move {
            let _place = place;
            sell_one(&stage, purchase).await
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

async fn sell_one(stage: &Stage, Purchase { shop, app, payment }: Purchase) -> anyhow::Result<Sale> {
    let app = stage.apps[app].clone();
    let order = order(stage, shop, &app).await?;
    let stripe = &stage.ground.stripe;
    match payment {
        Payment::Card => stripe.pay(&order.session_id).await?,
        Payment::Debit => {
            for act in ["pay_later", "settle"] {
                stripe.act(&order.session_id, act, &json!({})).await?.success()?;
            }
        }
    }
    Ok(Sale { shop, app, order_id: order.id })
}

async fn order(stage: &Stage, shop: usize, app: &str) -> anyhow::Result<Order> {
    let ask = || stage.outlets[shop].shop.try_checkout(app, "1.0.0");
    let answered = answered(ask).await.with_context(|| format!("shop-{shop} could not order {app}"))?;
    read(&answered.reply.ok()?)
}

/// An answer.
pub(crate) struct Answered {
    /// Other than "come back later".
    pub(crate) reply: Reply,
    /// None was missing before it.
    pub(crate) at_once: bool,
}

/// Asks until there is an answer.
pub(crate) async fn answered<F>(mut ask: impl FnMut() -> F) -> anyhow::Result<Answered>
where
    F: Future<Output = anyhow::Result<Reply>>,
{
    let (give_up, mut at_once) = (Moment::now() + PATIENCE, true);
    loop {
        let error = match ask().await {
            Ok(reply) if reply.status == 503 => reply.success().err(),
            Ok(reply) => return Ok(Answered { reply, at_once }),
            Err(error) => Some(error),
        };
        if Moment::now() > give_up {
            return Err(error.unwrap_or_else(|| anyhow::anyhow!("no answer")));
        }
        at_once = false;
        sleep(PAUSE).await;
    }
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

//! Whether every sale has one licence, and every licence was told by the rules.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use serde_json::Value;

use crate::{
    acts::Acts,
    install,
    load::Sale,
    outlet::{ISSUED, Outlet, Receipt},
    plan::{Form, LOST_CAUSE},
    stage::Stage,
    standing,
};

const AT_ONCE: usize = 8;

/// What is wrong.
#[derive(Debug)]
pub enum Complaint {
    /// It is not there as it should be.
    Lost(String),
    /// It is there more than once.
    Twice(String),
    /// It is there, but otherwise than it should be.
    Wrong(String),
}

/// What the run came to.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    /// Orders that were paid.
    pub sales: usize,
    /// What the operator did to licences: suspensions, reinstatements, revocations.
    pub acts: usize,
    /// To so many licences.
    pub licenses_acted_on: usize,
    /// Of these, so many to which less was done than planned, because an answer did not come.
    pub cut_short: usize,
    /// Installations of hosted apps.
    pub installs: usize,
    /// Licences.
    pub licenses: usize,
    /// Deliveries of all events.
    pub deliveries: usize,
    /// Of these, how many are dead: those to the shop that never takes anything.
    pub dead: usize,
    /// Attempts on record, lost ones too.
    pub attempts: usize,
    /// Of these, how many were lost: their replica never told what came of them.
    pub attempts_lost: usize,
    /// Requests that shops have received.
    pub receipts: usize,
    /// Sales without a licence, licences that a shop was not told of, deliveries that are not settled as the rules say.
    pub lost: Vec<String>,
    /// Orders, or pairs of a shop and an app, that have more than one licence or are told of by more than one delivery.
    pub issued_twice: Vec<String>,
    /// Licences that stand otherwise than the operator's last act has left them, by the list or by a check, and acts that
    /// were told otherwise than they were done.
    pub wrong: Vec<String>,
    /// Requests that came although the shop had taken that delivery before; it can tell by `webhook-id`.
    pub told_twice: Vec<ToldTwice>,
    /// Deliveries of which a shop has received more requests than there are attempts on record.
    pub unrecorded: Vec<String>,
}

/// A delivery that a shop was told again after it had taken it.
#[derive(Debug, Clone, Serialize)]
pub struct ToldTwice {
    /// `dly_…`, the same each time.
    pub delivery_id: String,
    /// Which of the requests was one too many, from 1.
    pub request: usize,
    /// The attempts on record.
    pub attempts: Vec<String>,
}

/// What came of the load.
#[derive(Debug, Default)]
pub struct Done {
    /// What was sold.
    pub sales: Vec<Sale>,
    /// What the operator did.
    pub acts: Acts,
    /// How many installations of hosted apps were taken.
    pub installs: usize,
}

/// A delivery as operators see it.
struct Delivery {
    id: String,
    shop_id: String,
    kind: String,
    event: String,
    state: String,
    dead_reason: Option<String>,
    attempts: Vec<(u64, String)>,
}

impl Verdict {
    /// Whether nothing was lost and nothing issued twice, and every request is on record.
    #[must_use]
    pub fn holds(&self) -> bool {
        let complaints = [&self.lost, &self.issued_twice, &self.wrong, &self.unrecorded];
        complaints.iter().all(|complaints| complaints.is_empty())
    }

    /// Looks at everything, as operators and shops see it.
    pub async fn reach(stage: &Stage, form: &Form, done: &Done) -> anyhow::Result<Self> {
        let Done { sales, acts, installs } = done;
        let mut verdict = Self {
            sales: sales.len(),
            acts: acts.count(),
            licenses_acted_on: acts.handled.len(),
            cut_short: acts.handled.iter().filter(|one| one.cut_short).count(),
            installs: *installs,
            ..Self::default()
        };
        let licenses = stage.admin.list_all("licenses").await?;
        verdict.judge_licenses(stage, &licenses, sales).await?;
        verdict.judge_what_shops_heard(stage, sales)?;
        let deliveries = deliveries(stage).await?;
        verdict.judge_deliveries(&deliveries, stage.outlets[LOST_CAUSE].shop.id(), form.schedule.len());
        verdict.judge_receipts(&deliveries, &stage.outlets);
        verdict.note(install::judge(stage).await?);
        verdict.note(standing::judge(stage, &licenses, acts, sales).await?);
        Ok(verdict)
    }

    fn note(&mut self, complaints: Vec<Complaint>) {
        for complaint in complaints {
            match complaint {
                Complaint::Lost(what) => self.lost.push(what),
                Complaint::Twice(what) => self.issued_twice.push(what),
                Complaint::Wrong(what) => self.wrong.push(what),
            }
        }
    }

    /// Stripe's own list of what was paid is what counts.
    async fn judge_licenses(
        &mut self,
        stage: &Stage,
        licenses: &[Value],
        sales: &[Sale],
    ) -> anyhow::Result<()> {
        self.licenses = licenses.len();
        let mut of_order = counted(licenses.iter().map(|license| text(license, "order_id")))?;
        let paid = counted(stage.ground.stripe.paid_orders().await?.into_iter().map(Ok))?;
        let orders = stage.admin.list_all("orders").await?;
        let ours = orders.iter().filter(|order| order["state"] == "paid");
        let ours = ours.map(|order| text(order, "id")).collect::<anyhow::Result<BTreeSet<_>>>()?;
        let sold: BTreeSet<String> = sales.iter().map(|sale| sale.order_id.clone()).collect();
        let all: BTreeSet<&String> = paid.keys().chain(&ours).chain(&sold).collect();
        for order in all {
            match (paid.get(order), ours.contains(order), of_order.remove(order)) {
                (Some(1), true, Some(1)) => {}
                (None, ..) => self.lost.push(format!("{order} was never paid at Stripe")),
                (_, false, _) => self.lost.push(format!("{order} is paid at Stripe and not here")),
                (_, _, None) => self.lost.push(format!("{order} has no licence")),
                (payments, _, licenses) => self.issued_twice.push(format!(
                    "{order} has {} payments and {} licences",
                    payments.unwrap_or(&0),
                    licenses.unwrap_or(0)
                )),
            }
        }
        self.issued_twice.extend(of_order.into_keys().map(|order| format!("{order} has a licence unpaid")));
        Ok(())
    }

    /// By what was received, each request's signatures verified.
    fn judge_what_shops_heard(&mut self, stage: &Stage, sales: &[Sale]) -> anyhow::Result<()> {
        let mut heard: BTreeMap<(usize, String), (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
        for (number, outlet) in stage.outlets.iter().enumerate() {
            let webhooks =
                outlet.shop.webhooks().with_context(|| format!("shop-{number} refuses a webhook"))?;
            for webhook in webhooks.iter().filter(|webhook| webhook.event == ISSUED) {
                let app = webhook.text("marketplace_id")?.to_owned();
                let (deliveries, keys) = heard.entry((number, app)).or_default();
                deliveries.insert(webhook.delivery_id.clone());
                keys.insert(webhook.license_key()?.to_owned());
            }
        }
        for sale in sales {
            match heard.get(&(sale.shop, sale.app.clone())) {
                None => self.lost.push(format!("shop-{} was not told of {}", sale.shop, sale.order_id)),
                Some((deliveries, keys)) if deliveries.len() == 1 && keys.len() == 1 => {}
                Some((deliveries, keys)) => self.issued_twice.push(format!(
                    "shop-{} was told of {} keys by {} deliveries for {}",
                    sale.shop,
                    keys.len(),
                    deliveries.len(),
                    sale.order_id
                )),
            }
        }
        Ok(())
    }

    fn judge_deliveries(&mut self, deliveries: &[Delivery], lost_cause: &str, waits: usize) {
        self.deliveries = deliveries.len();
        for delivery in deliveries {
            self.attempts += delivery.attempts.len();
            self.attempts_lost += delivery.attempts.iter().filter(|(_, outcome)| outcome == "lost").count();
            self.dead += usize::from(delivery.state == "dead");
            if !delivery.is_settled(lost_cause, waits) {
                let Delivery { id, event, state, .. } = delivery;
                self.lost.push(format!("{id} ({event}) is {state} after {}", delivery.told().join(", ")));
            }
        }
        let told = deliveries.iter().filter(|delivery| delivery.event == ISSUED).count();
        if told < self.licenses {
            self.lost.push(format!("{} licences have no delivery", self.licenses - told));
        }
    }

    fn judge_receipts(&mut self, deliveries: &[Delivery], outlets: &[Outlet]) {
        let known: BTreeMap<&str, &Delivery> =
            deliveries.iter().map(|delivery| (delivery.id.as_str(), delivery)).collect();
        let mut by_delivery: BTreeMap<String, Vec<Receipt>> = BTreeMap::new();
        for receipt in outlets.iter().flat_map(Outlet::receipts) {
            by_delivery.entry(receipt.delivery_id.clone()).or_default().push(receipt);
        }
        for (id, receipts) in by_delivery {
            self.receipts += receipts.len();
            let attempts = known.get(id.as_str()).map(|delivery| delivery.told()).unwrap_or_default();
            if receipts.len() > attempts.len() {
                let received = receipts.len();
                self.unrecorded
                    .push(format!("{id}: {received} received, on record: {}", attempts.join(", ")));
            }
            let first = receipts.iter().position(|receipt| receipt.taken).unwrap_or(receipts.len());
            self.told_twice.extend((first + 2..=receipts.len()).map(|request| ToldTwice {
                delivery_id: id.clone(),
                request,
                attempts: attempts.clone(),
            }));
        }
    }
}

impl Delivery {
    /// Delivered; or, to the shop that never takes anything, dead with its reason after the whole schedule.
    fn is_settled(&self, lost_cause: &str, waits: usize) -> bool {
        let failures = self.attempts.iter().filter(|(_, outcome)| outcome != "lost").count();
        let is_lost_cause = self.shop_id == lost_cause && self.kind == "webhook";
        let is_dead = self.state == "dead" && self.dead_reason.is_some() && failures > waits;
        if is_lost_cause { is_dead } else { self.state == "delivered" }
    }

    fn told(&self) -> Vec<String> {
        self.attempts.iter().map(|(number, outcome)| format!("{number} {outcome}")).collect()
    }
}

async fn deliveries(stage: &Stage) -> anyhow::Result<Vec<Delivery>> {
    let listed = stage.admin.list_all("deliveries").await?;
    let ids = listed.iter().map(|delivery| text(delivery, "id")).collect::<anyhow::Result<BTreeSet<_>>>()?;
    let read = |id: String| async move {
        let path = format!("/admin/deliveries/{id}");
        delivery(&stage.admin.caller().get(&path).await?.ok()?)
    };
    stream::iter(ids).map(read).buffer_unordered(AT_ONCE).try_collect().await
}

fn delivery(body: &Value) -> anyhow::Result<Delivery> {
    let log = body["attempt_log"].as_array().context("a delivery without `attempt_log`")?;
    let attempts = log.iter().map(|attempt| {
        let number = attempt["number"].as_u64().context("an attempt without `number`")?;
        Ok((number, text(attempt, "outcome")?))
    });
    Ok(Delivery {
        id: text(body, "id")?,
        shop_id: text(body, "instance_id")?,
        kind: text(body, "kind")?,
        event: text(body, "event")?,
        state: text(body, "state")?,
        dead_reason: body["dead_reason"].as_str().map(str::to_owned),
        attempts: attempts.collect::<anyhow::Result<_>>()?,
    })
}

/// How often each is there.
fn counted(ids: impl Iterator<Item = anyhow::Result<String>>) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for id in ids {
        *counts.entry(id?).or_default() += 1;
    }
    Ok(counts)
}

fn text(body: &Value, field: &str) -> anyhow::Result<String> {
    body[field].as_str().map(str::to_owned).with_context(|| format!("an answer without `{field}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery_to(shop: &str, state: &str, failures: u64) -> Delivery {
        Delivery {
            id: "dly_1".to_owned(),
            shop_id: shop.to_owned(),
            kind: "webhook".to_owned(),
            event: ISSUED.to_owned(),
            state: state.to_owned(),
            dead_reason: (state == "dead").then(|| "enough".to_owned()),
            attempts: (1..=failures).map(|number| (number, "server_error".to_owned())).collect(),
        }
    }

    #[test]
    fn only_the_lost_cause_may_die_and_only_after_its_whole_schedule() {
        assert!(delivery_to("inst_1", "delivered", 1).is_settled("inst_0", 3));
        assert!(!delivery_to("inst_1", "dead", 4).is_settled("inst_0", 3));
        assert!(!delivery_to("inst_1", "pending", 1).is_settled("inst_0", 3));
        assert!(delivery_to("inst_0", "dead", 4).is_settled("inst_0", 3));
        assert!(!delivery_to("inst_0", "dead", 3).is_settled("inst_0", 3));
        assert!(!delivery_to("inst_0", "delivered", 1).is_settled("inst_0", 3));
    }

    #[test]
    fn what_is_lost_or_issued_twice_or_not_on_record_is_no_verdict_that_holds() {
        assert!(Verdict::default().holds());
        let told_twice =
            ToldTwice { delivery_id: "dly_1".to_owned(), request: 2, attempts: vec!["1 lost".to_owned()] };
        assert!(Verdict { told_twice: vec![told_twice], ..Verdict::default() }.holds());
        assert!(!Verdict { lost: vec![String::new()], ..Verdict::default() }.holds());
        assert!(!Verdict { issued_twice: vec![String::new()], ..Verdict::default() }.holds());
        assert!(!Verdict { wrong: vec![String::new()], ..Verdict::default() }.holds());
        assert!(!Verdict { unrecorded: vec![String::new()], ..Verdict::default() }.holds());
    }
}

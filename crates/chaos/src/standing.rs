//! Whether every licence stands as the operator's last act has left it, by the operator's list, by what its shop was told,
//! and by what a check of it answers.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use testkit::market::Webhook;

use crate::{
    acts::{Act, Acts, Handled, is_done},
    judge::Complaint,
    load::Sale,
    outlet::{ISSUED, Outlet},
    stage::Stage,
};

const AT_ONCE: usize = 8;

/// A shop, and an app that it has bought.
type Place = (usize, String);

/// What is wrong with the licences.
pub async fn judge(
    stage: &Stage,
    licenses: &[Value],
    acts: &Acts,
    sales: &[Sale],
) -> anyhow::Result<Vec<Complaint>> {
    let heard = Heard::by(&stage.outlets)?;
    let mut complaints = standing(licenses, acts);
    complaints.extend(checks(stage, &heard.keys, acts, sales).await?);
    complaints.extend(heard.told(acts));
    Ok(complaints)
}

/// By the list, in which nothing else has happened to any.
fn standing(licenses: &[Value], acts: &Acts) -> Vec<Complaint> {
    let last_of = |one: &Handled| Some((one.license_id.clone(), one.acts.last()?.clone()));
    let last: BTreeMap<String, (Act, String)> = acts.handled.iter().filter_map(last_of).collect();
    let mut complaints = Vec::new();
    for license in licenses {
        let id = license["id"].as_str().unwrap_or_default();
        let (stands, wanted) = match last.get(id) {
            Some((act, reason)) => (is_done(license, *act, reason), act.status()),
            None => (license["status"] == "active", "active and untouched"),
        };
        if !stands {
            let (status, reason) = (&license["status"], &license["reason"]);
            complaints.push(Complaint::Wrong(format!("{id} is {status} ({reason}), not {wanted}")));
        }
    }
    complaints
}

/// By a check of each that was sold; the code that the last act has left.
async fn checks(
    stage: &Stage,
    keys: &BTreeMap<Place, String>,
    acts: &Acts,
    sales: &[Sale],
) -> anyhow::Result<Vec<Complaint>> {
    let codes = codes(acts);
    let check = |sale: &Sale| {
        let place = (sale.shop, sale.app.clone());
        let wanted = codes.get(&place).copied().unwrap_or(Act::Reinstate.code());
        let (key, order_id) = (keys.get(&place).cloned(), sale.order_id.clone());
        async move {
            // That its shop was told no key is said elsewhere.
            let Some(key) = key else { return anyhow::Ok(None) };
            let answer = stage.outlets[place.0].shop.verify(&key, &place.1).await?.ok()?;
            let said = &answer["code"];
            let wrong = || Complaint::Wrong(format!("the licence of {order_id} is {said}, not {wanted}"));
            Ok((said != wanted).then(wrong))
        }
    };
    let checks: Vec<_> = sales.iter().map(check).collect();
    let complaints: Vec<_> = stream::iter(checks).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(complaints.into_iter().flatten().collect())
}

fn codes(acts: &Acts) -> BTreeMap<Place, &'static str> {
    let last_of = |one: &Handled| Some(((one.shop, one.app.clone()), one.acts.last()?.0.code()));
    acts.handled.iter().filter_map(last_of).collect()
}

/// What shops were told of their licences.
#[derive(Debug, Default)]
struct Heard {
    /// The key that was issued.
    keys: BTreeMap<Place, String>,
    /// By the reason that the operator gave.
    acts: BTreeMap<(Place, String), Told>,
}

/// What was told of one act.
#[derive(Debug, Default)]
struct Told {
    events: BTreeSet<String>,
    keys: BTreeSet<String>,
    deliveries: BTreeSet<String>,
}

impl Heard {
    /// By what was received, each request's signatures verified.
    fn by(outlets: &[Outlet]) -> anyhow::Result<Self> {
        let mut heard = Self::default();
        for (shop, outlet) in outlets.iter().enumerate() {
            let webhooks =
                outlet.shop.webhooks().with_context(|| format!("shop-{shop} refuses a webhook"))?;
            for webhook in webhooks {
                heard.note(shop, webhook)?;
            }
        }
        Ok(heard)
    }

    fn note(&mut self, shop: usize, webhook: Webhook) -> anyhow::Result<()> {
        let place = (shop, webhook.text("marketplace_id")?.to_owned());
        let key = webhook.license_key()?.to_owned();
        if webhook.event == ISSUED {
            self.keys.insert(place, key);
            return Ok(());
        }
        let told = self.acts.entry((place, webhook.text("reason")?.to_owned())).or_default();
        told.events.insert(webhook.event);
        told.keys.insert(key);
        told.deliveries.insert(webhook.delivery_id);
        Ok(())
    }

    /// Whether each act was told to its shop, as it was done, by one delivery, and none that nobody did.
    fn told(mut self, acts: &Acts) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        for one in &acts.handled {
            let place = (one.shop, one.app.clone());
            let key = self.keys.get(&place).cloned();
            for (act, reason) in &one.acts {
                let name = format!("that {} was told `{}` ({reason})", one.license_id, act.event());
                let told = self.acts.remove(&(place.clone(), reason.clone()));
                let complaint = told.map_or_else(
                    || Some(Complaint::Lost(format!("shop-{} never heard {name}", one.shop))),
                    |told| told.complaint(*act, key.as_ref(), &name),
                );
                complaints.extend(complaint);
            }
        }
        let nobodys = self.acts.into_keys().map(|((shop, app), reason)| {
            Complaint::Wrong(format!("shop-{shop} was told of an act on {app} that nobody did: {reason}"))
        });
        complaints.into_iter().chain(nobodys).collect()
    }
}

impl Told {
    fn complaint(&self, act: Act, key: Option<&String>, name: &str) -> Option<Complaint> {
        if self.deliveries.len() > 1 {
            return Some(Complaint::Twice(format!("{name} by {} deliveries", self.deliveries.len())));
        }
        let is_right = self.events.iter().eq([act.event()]) && self.keys.iter().eq(key);
        (!is_right).then(|| Complaint::Wrong(format!("{name} by another event or with another key")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    const APP: &str = "@acme/app-1";

    fn acts() -> Acts {
        let done = [(Act::Suspend, "1 of 2: suspend"), (Act::Reinstate, "2 of 2: reinstate")];
        let one = Handled {
            shop: 3,
            app: APP.to_owned(),
            license_id: "lic_1".to_owned(),
            acts: done.map(|(act, reason)| (act, reason.to_owned())).into(),
            cut_short: false,
        };
        Acts { handled: vec![one], surprises: Vec::new() }
    }

    fn heard(webhooks: &[(&str, &str, &str)]) -> Heard {
        let mut heard = Heard::default();
        for (event, delivery_id, reason) in webhooks {
            let body = json!({ "marketplace_id": APP, "license_key": "CC-1", "reason": reason });
            let (event, delivery_id) = ((*event).to_owned(), (*delivery_id).to_owned());
            heard.note(3, Webhook { event, delivery_id, body }).unwrap();
        }
        heard
    }

    const ISSUE: (&str, &str, &str) = (ISSUED, "dly_1", "");
    const SUSPENSION: (&str, &str, &str) = ("license-suspended", "dly_2", "1 of 2: suspend");
    const RETURN: (&str, &str, &str) = ("license-reinstated", "dly_3", "2 of 2: reinstate");

    #[test]
    fn each_act_is_told_once_however_often_its_delivery_comes() {
        let told = heard(&[ISSUE, RETURN, SUSPENSION, SUSPENSION]).told(&acts());
        assert!(told.is_empty(), "{told:?}");
    }

    #[test]
    fn an_act_that_was_not_told_or_told_wrongly_is_complained_of() {
        let told = heard(&[ISSUE, SUSPENSION]).told(&acts());
        assert!(matches!(&told[..], [Complaint::Lost(_)]), "{told:?}");
        let again = ("license-suspended", "dly_9", "1 of 2: suspend");
        let told = heard(&[ISSUE, SUSPENSION, again, RETURN]).told(&acts());
        assert!(matches!(&told[..], [Complaint::Twice(_)]), "{told:?}");
        let other = ("license-revoked", "dly_2", "1 of 2: suspend");
        let told = heard(&[ISSUE, other, RETURN]).told(&acts());
        assert!(matches!(&told[..], [Complaint::Wrong(_)]), "{told:?}");
        let nobodys = ("license-revoked", "dly_4", "who?");
        let told = heard(&[ISSUE, SUSPENSION, RETURN, nobodys]).told(&acts());
        assert!(matches!(&told[..], [Complaint::Wrong(_)]), "{told:?}");
    }

    #[test]
    fn a_licence_stands_as_the_last_act_has_left_it_and_untouched_it_is_active() {
        let license = |id: &str, status: &str, reason: Option<&str>| json!({ "id": id, "status": status, "reason": reason });
        let right = license("lic_1", "active", Some("2 of 2: reinstate"));
        let untouched = license("lic_2", "active", None);
        assert!(standing(&[right, untouched], &acts()).is_empty());
        let earlier = license("lic_1", "suspended", Some("1 of 2: suspend"));
        let touched = license("lic_2", "revoked", None);
        assert_eq!(standing(&[earlier, touched], &acts()).len(), 2);
    }
}

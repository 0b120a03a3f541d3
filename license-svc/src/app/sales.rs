use platform::{AppError, AppResult, db::Tx, inbox};
use proto::events::{LicenseIssued, purpose as bus_purpose, subject};
use wire::license_key::LicenseKey;

use super::{App, purpose};
use crate::{
    domain::{
        license::License,
        order::{self, Effect, Order},
    },
    store::{instances, licenses, seats},
};

/// What became of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// A licence was issued.
    Issued,
    /// There was nothing to do: it came before, or its licence is there.
    Known,
}

/// What an instance has bought of an app.
#[derive(Debug)]
pub(crate) struct Bought {
    /// The licence that it can use, or will when it is reinstated.
    pub(crate) live_license_id: Option<String>,
    /// The orders of all its licences, those that have ended too.
    pub(crate) order_ids: Vec<String>,
}

impl App {
    /// Takes a paid order's snapshot: issues its licence, once, whatever is repeated.
    pub(crate) async fn take_paid_order(
        &self,
        consumer: &str,
        event_id: &str,
        order: &Order,
    ) -> AppResult<Taken> {
        let now_ms = self.clock.now_ms();
        let tx = self.db.begin().await?;
        if !inbox::is_first(&*tx, consumer, event_id, now_ms).await? {
            return Ok(Taken::Known);
        }
        let existing = licenses::lock_license_of_order(&*tx, &order.id).await?;
        let taken = match (order::take_paid(existing.as_ref(), order), existing) {
            (Effect::Issue, _) => self.issue(&tx, order, now_ms).await?,
            (Effect::Note, Some(license)) => {
                let license = License { order_revision: order.revision, ..license };
                licenses::update_license(&*tx, &license).await?;
                Taken::Known
            }
            _ => Taken::Known,
        };
        tx.commit().await?;
        if taken == Taken::Issued {
            self.meters.issued.increment(1);
        }
        Ok(taken)
    }

    async fn issue(&self, tx: &Tx, order: &Order, now_ms: i64) -> AppResult<Taken> {
        let license = License::one_time(self.ids.generate("lic"), order, now_ms);
        let key = LicenseKey::from_entropy(self.random.bytes());
        let sealed = self.sealer.seal(purpose::LICENSE_KEY, key.to_string().as_bytes())?;
        if !licenses::create_license(&**tx, &license, self.keyring.hash(&key), sealed).await? {
            // Another replica issued it between our look and our insert.
            return Ok(Taken::Known);
        }
        self.note_unknown_buyer(tx, order).await?;
        seats::create_seat(&**tx, &license.id, &license.instance_id, now_ms).await?;
        self.announce_issue(tx, &license, &key, order).await?;
        self.announce_change(tx, &license).await?;
        Ok(Taken::Issued)
    }

    /// A sale is never lost: the money has been taken, so the licence is issued for the instance that paid even if it
    /// is not registered here (a shared key lets a shop name any). The operator learns of it and can help the buyer.
    async fn note_unknown_buyer(&self, tx: &Tx, order: &Order) -> AppResult<()> {
        if instances::find_instance(&**tx, &order.instance_id).await?.is_none() {
            self.meters.unknown_buyers.increment(1);
            tracing::warn!(order = order.id, "a licence was issued to an instance that is not registered");
        }
        Ok(())
    }

    async fn announce_issue(
        &self,
        tx: &Tx,
        license: &License,
        key: &LicenseKey,
        order: &Order,
    ) -> AppResult<()> {
        let event = LicenseIssued {
            license_id: license.id.clone(),
            order_id: license.order_id.clone(),
            instance_id: license.instance_id.clone(),
            marketplace_id: license.marketplace_id.clone(),
            version: license.version.clone(),
            sealed_license_key: self.bus_sealer.seal(bus_purpose::LICENSE_KEY, key.to_string().as_bytes())?,
            sealed_purchased_by: order.sealed_customer_email.clone(),
        };
        self.announce(tx, subject::LICENSE_ISSUED, &event).await
    }

    /// What the buyer has of the app already. An instance that is not registered cannot buy, so that no one pays for a
    /// shop that nothing can be delivered to.
    pub(crate) async fn get_bought(&self, instance_id: &str, marketplace_id: &str) -> AppResult<Bought> {
        let instance = instances::find_instance(self.db.read(), instance_id).await?;
        match instance {
            None => return Err(super::no_instance()),
            Some(instance) if instance.disabled => {
                return Err(AppError::not_allowed(
                    "this instance is disabled; ask the marketplace's operator",
                ));
            }
            Some(_) => {}
        }
        let licenses = licenses::list_licenses_of_buyer(self.db.read(), instance_id, marketplace_id).await?;
        let now_ms = self.clock.now_ms();
        let live = licenses.iter().find(|license| license.is_live(now_ms));
        Ok(Bought {
            live_license_id: live.map(|license| license.id.clone()),
            order_ids: licenses.into_iter().map(|license| license.order_id).collect(),
        })
    }
}

use platform::{AppError, AppResult, db::Tx, inbox, outbox};
use proto::events::{EndpointChanged, EndpointDisabled, EndpointEnabled, subject};
use sea_orm::ConnectionTrait;

use super::{App, Page, callbacks::Ended, verification::waived};
use crate::{
    domain::{delivery::DROPPED, endpoint::Owner, kind::CALLBACK, reason::class_of, verification::Intake},
    sender::Route,
    store::{
        backlog, delivery,
        endpoint::{self, Filter},
        page::Part,
    },
};

/// The whole state of an instance or an app, as its endpoint needs it.
#[derive(Debug)]
pub struct EndpointChange {
    /// Whose it is.
    pub owner: Owner,
    /// Where it is, and its secrets.
    pub route: Route,
    /// Whether its instance is disabled.
    pub disabled: bool,
    /// Grows with each change.
    pub revision: u32,
}

/// What becomes of the deliveries that were held for an endpoint when it is enabled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Backlog {
    /// They are sent.
    #[default]
    Keep,
    /// They are given up.
    Drop,
}

impl App {
    /// Takes the owner's change into its endpoint; an older one, or one taken before, changes nothing.
    pub async fn follow(&self, consumer: &str, event_id: &str, change: EndpointChange) -> AppResult<()> {
        let tx = self.db.begin().await?;
        let now_ms = self.clock.now_ms();
        if !inbox::is_first(&*tx, consumer, event_id, now_ms).await? {
            return Ok(());
        }
        let changed = match endpoint::find_by_owner(&*tx, &change.owner).await? {
            None => self.create_endpoint(&tx, &change, now_ms).await?,
            Some(current) if current.revision >= i64::from(change.revision) => current,
            Some(current) => self.change_endpoint(&tx, current, &change, now_ms).await?,
        };
        tx.commit().await?;
        self.reread_endpoint(&changed.id).await;
        self.wake.notify_one();
        Ok(())
    }

    async fn create_endpoint(
        &self,
        tx: &Tx,
        change: &EndpointChange,
        now_ms: i64,
    ) -> AppResult<endpoint::Model> {
        let new = self.new_endpoint(change, now_ms)?;
        endpoint::create(&**tx, new.clone()).await?;
        self.ask_to_verify(tx, None, &new, now_ms).await?;
        self.announce_changed(&**tx, &new, now_ms).await?;
        Ok(new)
    }

    fn new_endpoint(&self, change: &EndpointChange, now_ms: i64) -> AppResult<endpoint::Model> {
        let new = endpoint::Model::new(self.ids.generate("ep"), &change.owner, change.route.url(), now_ms);
        Ok(endpoint::Model {
            sealed_secrets: self.seal_secrets(&change.route)?,
            revision: i64::from(change.revision),
            tenant_disabled: change.disabled,
            ..new.verified_as(self.verification_of(&change.owner, now_ms))
        })
    }

    async fn change_endpoint(
        &self,
        tx: &Tx,
        current: endpoint::Model,
        change: &EndpointChange,
        now_ms: i64,
    ) -> AppResult<endpoint::Model> {
        let moved = current.base_url != change.route.url();
        let standing = current.standing().follow(change.disabled, moved);
        let here = if moved { self.at_new_url(current.clone(), now_ms) } else { current.clone() };
        let changed = endpoint::Model {
            base_url: change.route.url().to_owned(),
            sealed_secrets: self.seal_secrets(&change.route)?,
            revision: i64::from(change.revision),
            ..here.standing_as(standing)
        };
        let changed = self.save(tx, &current, changed, now_ms).await?;
        if moved {
            delivery::hasten(&**tx, &changed.id, now_ms).await?;
        }
        if moved || (current.is_disabled() && !changed.is_disabled()) {
            self.ask_to_verify(tx, Some(&current), &changed, now_ms).await?;
        }
        Ok(changed)
    }

    /// A part of the endpoints, newest first.
    pub async fn list_endpoints(&self, filter: &Filter, page: &Page) -> AppResult<Part<endpoint::Model>> {
        Ok(endpoint::list(self.db.read(), filter, page.stretch()).await?)
    }

    /// The service's time.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// The operator disables an endpoint: its pending deliveries are held.
    pub async fn disable_endpoint(&self, id: &str) -> AppResult<endpoint::Model> {
        self.set_disabled(id, true, Backlog::Keep).await
    }

    /// The operator enables an endpoint: it begins afresh, and what was held for it goes on at once, or is given up. This
    /// is the operator's word for one that was to be verified, too.
    pub async fn enable_endpoint(&self, id: &str, backlog: Backlog) -> AppResult<endpoint::Model> {
        self.set_disabled(id, false, backlog).await
    }

    async fn set_disabled(&self, id: &str, disabled: bool, backlog: Backlog) -> AppResult<endpoint::Model> {
        let tx = self.db.begin().await?;
        let current = endpoint::find(&*tx, id).await?.ok_or_else(no_endpoint)?;
        let standing = current
            .standing()
            .set_by_operator(disabled)
            .map_err(|error| AppError::conflict(error.to_string()))?;
        let now_ms = self.clock.now_ms();
        let (mut dropped, mut ended) = (0, Vec::new());
        if backlog == Backlog::Drop {
            (dropped, ended) = self.drop_backlog(&tx, &current, now_ms).await?;
        }
        let changed = if disabled { current.clone() } else { waived(current.clone().renewed()) };
        let changed = self.save(&tx, &current, changed.standing_as(standing), now_ms).await?;
        if !disabled {
            self.ask_to_verify(&tx, Some(&current), &changed, now_ms).await?;
        }
        tx.commit().await?;
        if dropped > 0 {
            metrics::counter!("webhook_dead_letters_total", "reason" => class_of(DROPPED)).increment(dropped);
        }
        ended.into_iter().for_each(Ended::count);
        self.reread_endpoint(&changed.id).await;
        self.wake.notify_one();
        Ok(changed)
    }

    /// Webhooks become dead letters, which the operator need not be told of one by one; callbacks settle each.
    async fn drop_backlog(
        &self,
        tx: &Tx,
        endpoint: &endpoint::Model,
        now_ms: i64,
    ) -> AppResult<(u64, Vec<Ended>)> {
        if endpoint.kind == CALLBACK {
            let held = backlog::list_held_for(&**tx, &endpoint.id).await?;
            return Ok((0, self.give_up(tx, held, DROPPED, now_ms).await?));
        }
        Ok((backlog::drop_held(&**tx, &endpoint.id, DROPPED, now_ms).await?, Vec::new()))
    }

    /// Announces that the endpoint was disabled or enabled, on the bus and to the operator's own endpoint.
    async fn announce_standing(&self, tx: &Tx, endpoint: &endpoint::Model, now_ms: i64) -> AppResult<()> {
        let (endpoint_id, marketplace_id) = (endpoint.id.clone(), endpoint.marketplace_id.clone());
        let instance_id = endpoint.instance_id.clone().unwrap_or_default();
        if let Some(reason) = endpoint.standing().told_reason() {
            let event = EndpointDisabled { endpoint_id, instance_id, reason, marketplace_id };
            outbox::announce(&**tx, &self.ids, now_ms, subject::ENDPOINT_DISABLED, &event).await?;
        } else {
            let event = EndpointEnabled { endpoint_id, instance_id, marketplace_id };
            outbox::announce(&**tx, &self.ids, now_ms, subject::ENDPOINT_ENABLED, &event).await?;
        }
        self.tell_of_endpoint(tx, endpoint, now_ms).await
    }

    /// Tells the replicas, which know the shops' endpoints by heart.
    pub(super) async fn announce_changed(
        &self,
        tx: &impl ConnectionTrait,
        endpoint: &endpoint::Model,
        now_ms: i64,
    ) -> AppResult<()> {
        if endpoint.instance_id.is_some() {
            let event = EndpointChanged { endpoint_id: endpoint.id.clone() };
            outbox::announce(tx, &self.ids, now_ms, subject::ENDPOINT_CHANGED, &event).await?;
        }
        Ok(())
    }

    /// Saves the endpoint as it stands now; its deliveries follow when it takes more or less than before. That it was
    /// disabled or enabled is announced.
    pub(super) async fn save(
        &self,
        tx: &Tx,
        before: &endpoint::Model,
        after: endpoint::Model,
        now_ms: i64,
    ) -> AppResult<endpoint::Model> {
        let after = endpoint::Model { updated_at_ms: now_ms, ..after };
        endpoint::update(&**tx, &after).await?;
        match (before.health().intake(), after.health().intake()) {
            (was, is) if was == is => 0,
            (_, Intake::Everything) => delivery::release(&**tx, &after.id, now_ms).await?,
            _ => delivery::hold(&**tx, &after.id, now_ms).await?,
        };
        if before.is_disabled() != after.is_disabled() {
            self.announce_standing(tx, &after, now_ms).await?;
        }
        self.announce_changed(&**tx, &after, now_ms).await?;
        Ok(after)
    }
}

pub(super) fn no_endpoint() -> AppError {
    AppError::not_found("there is no endpoint with this id; list the endpoints to see their ids")
}

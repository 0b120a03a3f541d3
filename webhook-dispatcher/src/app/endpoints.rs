use platform::{AppError, AppResult, db::Tx, inbox, outbox};
use proto::events::{EndpointChanged, EndpointDisabled, subject};
use sea_orm::ConnectionTrait;

use super::{App, Page};
use crate::{
    domain::endpoint::{GONE, Owner, Standing},
    sender::Route,
    store::{
        delivery,
        endpoint::{self, Filter},
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
        self.announce_changed(&**tx, &new, now_ms).await?;
        Ok(new)
    }

    fn new_endpoint(&self, change: &EndpointChange, now_ms: i64) -> AppResult<endpoint::Model> {
        Ok(endpoint::Model {
            sealed_secrets: self.seal_secrets(&change.route)?,
            revision: i64::from(change.revision),
            tenant_disabled: change.disabled,
            ..endpoint::Model::new(self.ids.generate("ep"), &change.owner, change.route.url(), now_ms)
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
        let changed = endpoint::Model {
            base_url: change.route.url().to_owned(),
            sealed_secrets: self.seal_secrets(&change.route)?,
            revision: i64::from(change.revision),
            throttled_until_ms: if moved { 0 } else { current.throttled_until_ms },
            ..current
        };
        let changed = self.save(&**tx, changed, standing, now_ms).await?;
        if moved {
            delivery::hasten(&**tx, &changed.id, now_ms).await?;
        }
        Ok(changed)
    }

    /// A page of endpoints, newest first.
    pub async fn list_endpoints(
        &self,
        filter: &Filter,
        page: Page,
    ) -> AppResult<(Vec<endpoint::Model>, u64)> {
        Ok(endpoint::list(self.db.read(), filter, page.limit, page.offset).await?)
    }

    /// The operator disables or enables an endpoint: its pending deliveries are held, or go on at once.
    pub async fn set_endpoint_disabled(&self, id: &str, disabled: bool) -> AppResult<endpoint::Model> {
        let tx = self.db.begin().await?;
        let current = endpoint::find(&*tx, id).await?.ok_or_else(no_endpoint)?;
        let standing = current
            .standing()
            .set_by_operator(disabled)
            .map_err(|error| AppError::conflict(error.to_string()))?;
        let now_ms = self.clock.now_ms();
        let was_disabled = current.is_disabled();
        let changed = self.save(&*tx, current, standing, now_ms).await?;
        if disabled && !was_disabled {
            self.announce_disabled(&*tx, &changed, now_ms).await?;
        }
        tx.commit().await?;
        self.reread_endpoint(&changed.id).await;
        self.wake.notify_one();
        Ok(changed)
    }

    /// The endpoint, which is locked, answered 410: it is disabled, and what is pending for it is held.
    pub(super) async fn disable_gone(
        &self,
        tx: &impl ConnectionTrait,
        current: endpoint::Model,
        now_ms: i64,
    ) -> AppResult<endpoint::Model> {
        if current.disabled_reason.is_some() {
            return Ok(current);
        }
        let standing = current.standing().gone();
        let changed = self.save(tx, current, standing, now_ms).await?;
        tracing::warn!(
            endpoint = changed.id,
            reason = GONE,
            "an endpoint wants nothing any more and was disabled"
        );
        self.announce_disabled(tx, &changed, now_ms).await?;
        Ok(changed)
    }

    async fn announce_disabled(
        &self,
        tx: &impl ConnectionTrait,
        endpoint: &endpoint::Model,
        now_ms: i64,
    ) -> AppResult<()> {
        let event = EndpointDisabled {
            endpoint_id: endpoint.id.clone(),
            instance_id: endpoint.instance_id.clone().unwrap_or_default(),
            reason: endpoint.disabled_reason.clone().unwrap_or_default(),
            marketplace_id: endpoint.marketplace_id.clone(),
        };
        outbox::announce(tx, &self.ids, now_ms, subject::ENDPOINT_DISABLED, &event).await?;
        Ok(())
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

    /// Saves the endpoint as it stands now; its deliveries follow when it was disabled or enabled.
    async fn save(
        &self,
        tx: &impl ConnectionTrait,
        endpoint: endpoint::Model,
        standing: Standing,
        now_ms: i64,
    ) -> AppResult<endpoint::Model> {
        let was_disabled = endpoint.is_disabled();
        let changed = endpoint::Model {
            tenant_disabled: standing.by_instance,
            disabled_reason: standing.reason,
            updated_at_ms: now_ms,
            ..endpoint
        };
        endpoint::update(tx, &changed).await?;
        match (was_disabled, changed.is_disabled()) {
            (false, true) => delivery::hold(tx, &changed.id, now_ms).await?,
            (true, false) => delivery::release(tx, &changed.id, now_ms).await?,
            _ => 0,
        };
        self.announce_changed(tx, &changed, now_ms).await?;
        Ok(changed)
    }
}

pub(super) fn no_endpoint() -> AppError {
    AppError::not_found("there is no endpoint with this id; list the endpoints to see their ids")
}

//! Endpoints: one per instance, one per hosted app.

use sea_orm::{
    ActiveModelTrait as _, Condition, ConnectionTrait, DbErr, IntoActiveModel as _, QueryOrder as _,
    QuerySelect as _, entity::prelude::*, sea_query::OnConflict,
};

use super::{
    lease,
    page::{List, Part, Stretch},
};
use crate::domain::{
    circuit::{self, Circuit},
    endpoint::{Owner, Standing},
    health::Health,
    settings::Subscription,
    verification::Verification,
};

/// An endpoint: of an instance (`instance_id`), or of a hosted app (`marketplace_id`). It is disabled by its instance
/// (`tenant_disabled`) or by us (`disabled_reason`).
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "endpoints")]
#[allow(missing_docs, reason = "the columns are told in the migration")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub kind: String,
    pub instance_id: Option<String>,
    pub marketplace_id: Option<String>,
    pub base_url: String,
    pub sealed_secrets: Vec<u8>,
    pub revision: i64,
    pub tenant_disabled: bool,
    pub disabled_reason: Option<String>,
    pub throttled_until_ms: i64,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    pub events: String,
    pub header_names: String,
    pub sealed_headers: Option<Vec<u8>>,
    pub rate_per_second: Option<i64>,
    pub failing_since_ms: Option<i64>,
    pub circuit: String,
    pub circuit_until_ms: i64,
    pub circuit_trips: i64,
    pub unverified_since_ms: Option<i64>,
    pub verified_at_ms: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// One of which nothing is known yet but whose it is and where.
    #[must_use]
    pub fn new(id: String, owner: &Owner, base_url: &str, now_ms: i64) -> Self {
        let (instance_id, marketplace_id) = match owner.clone() {
            Owner::Instance(id) => (Some(id), None),
            Owner::App(id) => (None, Some(id)),
            Owner::Operator => (None, None),
        };
        Self {
            id,
            kind: owner.kind().to_owned(),
            instance_id,
            marketplace_id,
            base_url: base_url.to_owned(),
            sealed_secrets: Vec::new(),
            revision: 0,
            tenant_disabled: false,
            disabled_reason: None,
            throttled_until_ms: 0,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            events: Subscription::default().to_string(),
            header_names: String::new(),
            sealed_headers: None,
            rate_per_second: None,
            failing_since_ms: None,
            circuit: circuit::State::Closed.to_string(),
            circuit_until_ms: 0,
            circuit_trips: 0,
            unverified_since_ms: None,
            verified_at_ms: None,
        }
    }

    /// Whose it is, and so what it is told. The column `kind` is written from it, for lists to be filtered by.
    #[must_use]
    pub fn owner(&self) -> Owner {
        match (&self.marketplace_id, &self.instance_id) {
            (Some(id), _) => Owner::App(id.clone()),
            (None, Some(id)) => Owner::Instance(id.clone()),
            (None, None) => Owner::Operator,
        }
    }

    /// Whether it takes deliveries, and who said that it does not.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing { by_instance: self.tenant_disabled, reason: self.disabled_reason.clone() }
    }

    /// Which events it is told; a hosted app is called back, and told none.
    #[must_use]
    pub fn subscription(&self) -> Subscription {
        match self.owner() {
            Owner::Instance(_) => Subscription::stored(&self.events),
            Owner::App(_) | Owner::Operator => Subscription::NONE,
        }
    }

    /// How often one process calls it at most.
    #[must_use]
    pub fn rate(&self) -> Option<u32> {
        self.rate_per_second.and_then(|rate| u32::try_from(rate).ok())
    }

    /// The names of its own headers.
    #[must_use]
    pub fn header_names(&self) -> Vec<String> {
        self.header_names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// How it stands. A state of the circuit that a later release wrote and this one does not know counts as closed.
    #[must_use]
    pub fn health(&self) -> Health {
        let circuit = Circuit {
            state: self.circuit.parse().unwrap_or_default(),
            until_ms: self.circuit_until_ms,
            trips: u32::try_from(self.circuit_trips).unwrap_or(u32::MAX),
        };
        Health {
            standing: self.standing(),
            verification: Verification::stored(self.unverified_since_ms, self.verified_at_ms),
            throttled_until_ms: self.throttled_until_ms,
            failing_since_ms: self.failing_since_ms,
            circuit,
        }
    }

    /// The same endpoint, standing otherwise.
    #[must_use]
    pub fn with(self, health: Health) -> Self {
        Self {
            tenant_disabled: health.standing.by_instance,
            disabled_reason: health.standing.reason,
            unverified_since_ms: health.verification.awaited_since_ms(),
            verified_at_ms: health.verification.verified_at_ms(),
            throttled_until_ms: health.throttled_until_ms,
            failing_since_ms: health.failing_since_ms,
            circuit: health.circuit.state.to_string(),
            circuit_until_ms: health.circuit.until_ms,
            circuit_trips: i64::from(health.circuit.trips),
            ..self
        }
    }

    /// It begins afresh: what was known of it was of another URL, or of another time.
    #[must_use]
    pub fn renewed(self) -> Self {
        let health = self.health();
        self.with(Health {
            throttled_until_ms: 0,
            failing_since_ms: None,
            circuit: Circuit::closed(),
            ..health
        })
    }

    /// The same endpoint, its verification otherwise.
    #[must_use]
    pub fn verified_as(self, verification: Verification) -> Self {
        let health = self.health();
        self.with(Health { verification, ..health })
    }

    /// It is disabled, or not, like this.
    #[must_use]
    pub fn standing_as(self, standing: Standing) -> Self {
        Self { tenant_disabled: standing.by_instance, disabled_reason: standing.reason, ..self }
    }

    /// Whether it is disabled.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.standing().is_disabled()
    }

    /// Whether this event is held for it: it is disabled, or first to be verified.
    #[must_use]
    pub fn holds(&self, event: &str) -> bool {
        !self.health().intake().takes(event)
    }
}

/// Which endpoints are asked for.
#[derive(Debug, Default)]
pub struct Filter {
    /// Only this instance's.
    pub instance_id: Option<String>,
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Only this app's.
    pub marketplace_id: Option<String>,
}

impl Filter {
    /// An owner has one endpoint, which its own index finds.
    fn list(&self) -> List<Entity> {
        let is = |column: Column, wanted: &Option<String>| wanted.as_ref().map(|wanted| column.eq(wanted));
        let of_owner = Condition::all()
            .add_option(is(Column::InstanceId, &self.instance_id))
            .add_option(is(Column::MarketplaceId, &self.marketplace_id));
        let asked = Condition::all().add_option(is(Column::Kind, &self.kind));
        List { id: Column::Id, found: of_owner, asked }
    }
}

fn of_owner(owner: &Owner) -> Expr {
    match owner {
        Owner::Instance(id) => Column::InstanceId.eq(id),
        Owner::App(id) => Column::MarketplaceId.eq(id),
        // As a literal, for the partial index.
        Owner::Operator => Expr::cust("kind = 'operator'"),
    }
}

/// The owner's endpoint, kept as it is until the transaction ends.
pub async fn find_by_owner(tx: &impl ConnectionTrait, owner: &Owner) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(of_owner(owner)).lock_exclusive().one(tx).await
}

/// The same for reading it: others may read it too, and nobody may disable it until the transaction ends.
/// With it, the store's own time.
pub async fn find_to_tell(tx: &impl ConnectionTrait, owner: &Owner) -> Result<Option<(Model, i64)>, DbErr> {
    let found = Entity::find().filter(of_owner(owner)).lock_shared().one(tx).await?;
    let Some(endpoint) = found else { return Ok(None) };
    Ok(Some((endpoint, lease::store_now_ms(tx).await?)))
}

/// An endpoint by its id, kept as it is until the transaction ends.
pub async fn find(tx: &impl ConnectionTrait, id: &str) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(tx).await
}

/// The same where it is not to be changed: others may read it too, and nobody may disable or move it.
pub async fn find_shared(tx: &impl ConnectionTrait, id: &str) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).lock_shared().one(tx).await
}

/// Those of these ids in their order: others may read them too, and nobody may disable or move them.
pub async fn list_shared(tx: &impl ConnectionTrait, ids: Vec<String>) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::Id.is_in(ids)).order_by_asc(Column::Id).lock_shared().all(tx).await
}

/// The owner's endpoint as it stands now.
pub async fn find_of(db: &impl ConnectionTrait, owner: &Owner) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(of_owner(owner)).one(db).await
}

/// An endpoint by its id, as it stands now.
pub async fn find_now(db: &impl ConnectionTrait, id: &str) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db).await
}

/// The shops' endpoints after this id, in the order of their ids.
pub async fn list_webhooks_after(
    db: &impl ConnectionTrait,
    id: &str,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let shops = Entity::find().filter(Column::InstanceId.is_not_null()).filter(Column::Id.gt(id));
    shops.order_by_asc(Column::Id).limit(limit).all(db).await
}

/// The ids of those that are to be verified.
pub async fn list_unverified(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let unverified = Entity::find().filter(Column::UnverifiedSinceMs.is_not_null());
    unverified.select_only().column(Column::Id).order_by_asc(Column::Id).into_tuple().all(db).await
}

/// Those of these ids.
pub async fn list_by_ids(db: &impl ConnectionTrait, ids: Vec<String>) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::Id.is_in(ids)).all(db).await
}

/// A part of the endpoints, newest first.
pub async fn list(
    db: &impl ConnectionTrait,
    filter: &Filter,
    stretch: Stretch<'_>,
) -> Result<Part<Model>, DbErr> {
    filter.list().read(db, stretch, |endpoint| &endpoint.id).await
}

/// Adds one.
pub async fn create(tx: &impl ConnectionTrait, endpoint: Model) -> Result<(), DbErr> {
    Entity::insert(endpoint.into_active_model()).exec_without_returning(tx).await?;
    Ok(())
}

/// Adds the operator's own, unless another replica has just done so; whether it did.
pub async fn create_operators(tx: &impl ConnectionTrait, endpoint: Model) -> Result<bool, DbErr> {
    let once = OnConflict::new().do_nothing().to_owned();
    let added = Entity::insert(endpoint.into_active_model()).on_conflict(once).exec_without_returning(tx);
    Ok(added.await? > 0)
}

/// Writes all of it back.
pub async fn update(tx: &impl ConnectionTrait, endpoint: &Model) -> Result<(), DbErr> {
    let row = endpoint.clone().into_active_model().reset_all();
    Entity::update(row).validate()?.exec(tx).await?;
    Ok(())
}

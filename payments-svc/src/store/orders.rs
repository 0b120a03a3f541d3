//! Orders.

use platform::{AppError, AppResult};
use sea_orm::{
    ActiveValue::{NotSet, Set, Unchanged},
    Condition, QueryOrder as _, QuerySelect as _, Select,
    entity::prelude::*,
    sea_query::OnConflict,
};

use crate::domain::order::{Mismatch, Order, Session, State};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "orders")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: String,
    pub(crate) instance_id: String,
    pub(crate) marketplace_id: String,
    pub(crate) version: String,
    pub(crate) product_name: String,
    pub(crate) amount_cents: i64,
    pub(crate) currency: String,
    pub(crate) sealed_email: Vec<u8>,
    pub(crate) state: String,
    pub(crate) revision: i32,
    pub(crate) session_id: Option<String>,
    pub(crate) session_url: Option<String>,
    pub(crate) payable_until_ms: i64,
    pub(crate) payment_intent_id: Option<String>,
    pub(crate) mismatch_event_id: Option<String>,
    pub(crate) mismatch_amount_cents: Option<i64>,
    pub(crate) mismatch_currency: Option<String>,
    pub(crate) mismatch_at_ms: Option<i64>,
    pub(crate) created_at_ms: i64,
    pub(crate) updated_at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}

/// An order with what only the store and the bus may hold, sealed.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) order: Order,
    pub(crate) sealed_email: Vec<u8>,
}

/// Which orders an operator asks for.
#[derive(Default)]
pub(crate) struct Filter {
    pub(crate) state: Option<State>,
    pub(crate) instance_id: Option<String>,
    pub(crate) marketplace_id: Option<String>,
    pub(crate) mismatched: bool,
}

/// Inserts a new order. False: a live one of the same instance for the same app is there already.
pub(crate) async fn create_order(db: &impl ConnectionTrait, stored: &Stored) -> AppResult<bool> {
    let order = &stored.order;
    let row = ActiveModel {
        id: Set(order.id.clone()),
        instance_id: Set(order.instance_id.clone()),
        marketplace_id: Set(order.marketplace_id.clone()),
        version: Set(order.version.clone()),
        product_name: Set(order.product_name.clone()),
        amount_cents: Set(order.amount_cents),
        currency: Set(order.currency.clone()),
        sealed_email: Set(stored.sealed_email.clone()),
        created_at_ms: Set(order.created_at_ms),
        ..changing_columns(order)?
    };
    // The partial unique index decides; it can't be named as a target in a way that both stores read.
    let nothing = OnConflict::new().do_nothing().to_owned();
    Ok(Entity::insert(row).on_conflict(nothing).exec_without_returning(db).await? > 0)
}

/// Writes what can change of an order.
pub(crate) async fn update_order(db: &impl ConnectionTrait, order: &Order) -> AppResult<()> {
    let row = ActiveModel { id: Unchanged(order.id.clone()), ..changing_columns(order)? };
    Entity::update(row).validate()?.exec_without_returning(db).await?;
    Ok(())
}

/// The order, locked until the transaction ends.
pub(crate) async fn find_for_update(db: &impl ConnectionTrait, id: &str) -> AppResult<Option<Stored>> {
    one(Entity::find_by_id(id).lock_exclusive(), db).await
}

/// The order whose payment page this is, locked until the transaction ends.
pub(crate) async fn find_by_session_for_update(
    db: &impl ConnectionTrait,
    session_id: &str,
) -> AppResult<Option<Stored>> {
    one(Entity::find().filter(Column::SessionId.eq(session_id)).lock_exclusive(), db).await
}

/// The order that stands in the way of another one of this instance for this app, locked until the transaction ends.
pub(crate) async fn find_live_for_update(
    db: &impl ConnectionTrait,
    instance_id: &str,
    marketplace_id: &str,
) -> AppResult<Option<Stored>> {
    let live = State::ALL.into_iter().filter(|state| state.is_live()).map(State::as_str);
    let query = Entity::find()
        .filter(Column::InstanceId.eq(instance_id))
        .filter(Column::MarketplaceId.eq(marketplace_id))
        .filter(Column::State.is_in(live))
        .filter(Column::MismatchEventId.is_null());
    one(query.lock_exclusive(), db).await
}

/// The ids of all orders of this instance for this app that have been paid.
pub(crate) async fn list_paid_ids(
    db: &impl ConnectionTrait,
    instance_id: &str,
    marketplace_id: &str,
) -> AppResult<Vec<String>> {
    let query = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::InstanceId.eq(instance_id))
        .filter(Column::MarketplaceId.eq(marketplace_id))
        .filter(Column::State.eq(State::Paid.as_str()));
    Ok(query.into_tuple().all(db).await?)
}

/// The order.
pub(crate) async fn get_order(db: &impl ConnectionTrait, id: &str) -> AppResult<Order> {
    let found = one(Entity::find_by_id(id), db).await?;
    found
        .map(|stored| stored.order)
        .ok_or_else(|| AppError::not_found("there is no order with this id (ord_…)"))
}

/// A page of orders, newest first, and how many there are in all.
pub(crate) async fn list_orders(
    db: &impl ConnectionTrait,
    filter: Filter,
    limit: u64,
    offset: u64,
) -> AppResult<(Vec<Order>, u64)> {
    let query = Entity::find().filter(condition(filter));
    let count = query.clone().count(db).await?;
    let rows = query.order_by_desc(Column::Id).limit(limit).offset(offset).all(db).await?;
    let orders = rows.into_iter().map(|row| Stored::try_from(row).map(|stored| stored.order));
    Ok((orders.collect::<AppResult<_>>()?, count))
}

fn condition(filter: Filter) -> Condition {
    Condition::all()
        .add_option(filter.state.map(|state| Column::State.eq(state.as_str())))
        .add_option(filter.instance_id.map(|id| Column::InstanceId.eq(id)))
        .add_option(filter.marketplace_id.map(|id| Column::MarketplaceId.eq(id)))
        .add_option(filter.mismatched.then(|| Column::MismatchEventId.is_not_null()))
}

async fn one(query: Select<Entity>, db: &impl ConnectionTrait) -> AppResult<Option<Stored>> {
    query.one(db).await?.map(Stored::try_from).transpose()
}

fn changing_columns(order: &Order) -> AppResult<ActiveModel> {
    let mismatch = order.mismatch.as_ref();
    Ok(ActiveModel {
        id: NotSet,
        instance_id: NotSet,
        marketplace_id: NotSet,
        version: NotSet,
        product_name: NotSet,
        amount_cents: NotSet,
        currency: NotSet,
        sealed_email: NotSet,
        state: Set(order.state.as_str().to_owned()),
        revision: Set(i32::try_from(order.revision).map_err(AppError::unexpected)?),
        session_id: Set(order.session.as_ref().map(|session| session.id.clone())),
        session_url: Set(order.session.as_ref().map(|session| session.url.clone())),
        payable_until_ms: Set(order.payable_until_ms),
        payment_intent_id: Set(order.payment_intent_id.clone()),
        mismatch_event_id: Set(mismatch.map(|mismatch| mismatch.event_id.clone())),
        mismatch_amount_cents: Set(mismatch.and_then(|mismatch| mismatch.amount_cents)),
        mismatch_currency: Set(mismatch.and_then(|mismatch| mismatch.currency.clone())),
        mismatch_at_ms: Set(mismatch.map(|mismatch| mismatch.noted_at_ms)),
        created_at_ms: NotSet,
        updated_at_ms: Set(order.updated_at_ms),
    })
}

impl TryFrom<Model> for Stored {
    type Error = AppError;

    fn try_from(row: Model) -> AppResult<Self> {
        let mismatch = row.mismatch_event_id.map(|event_id| Mismatch {
            event_id,
            amount_cents: row.mismatch_amount_cents,
            currency: row.mismatch_currency,
            noted_at_ms: row.mismatch_at_ms.unwrap_or(row.updated_at_ms),
        });
        let order = Order {
            id: row.id,
            instance_id: row.instance_id,
            marketplace_id: row.marketplace_id,
            version: row.version,
            product_name: row.product_name,
            amount_cents: row.amount_cents,
            currency: row.currency,
            state: row.state.parse().map_err(AppError::unexpected)?,
            revision: u32::try_from(row.revision).map_err(AppError::unexpected)?,
            session: row.session_id.zip(row.session_url).map(|(id, url)| Session { id, url }),
            payable_until_ms: row.payable_until_ms,
            payment_intent_id: row.payment_intent_id,
            mismatch,
            created_at_ms: row.created_at_ms,
            updated_at_ms: row.updated_at_ms,
        };
        Ok(Self { order, sealed_email: row.sealed_email })
    }
}

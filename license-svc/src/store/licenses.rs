//! Table `licenses`.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, FromQueryResult, IntoActiveModel as _, JoinType,
    PaginatorTrait as _, QueryOrder as _, QuerySelect as _, QueryTrait as _, Select,
    entity::prelude::*,
    sea_query::{IntoColumnRef, OnConflict, SelectStatement},
};

use super::{damaged, releases, seats};
use crate::domain::{
    Page,
    license::{License, Status},
    verify::Facts,
};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "licenses")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The keyed hash under which the key is looked up.
    pub key_hash: Vec<u8>,
    /// The key itself, sealed, for telling it again to its buyer.
    pub sealed_key: Vec<u8>,
    pub order_id: String,
    pub order_revision: i64,
    pub instance_id: String,
    pub marketplace_id: String,
    pub version: String,
    pub status: String,
    pub reason: Option<String>,
    pub seats: i32,
    pub issued_at_ms: i64,
    pub expires_at_ms: Option<i64>,
    pub updates_until_ms: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for License {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            status: Status::parse(&row.status).map_err(|_| damaged("licenses.status"))?,
            id: row.id,
            order_id: row.order_id,
            order_revision: row.order_revision,
            instance_id: row.instance_id,
            marketplace_id: row.marketplace_id,
            version: row.version,
            reason: row.reason,
            seats: row.seats,
            issued_at_ms: row.issued_at_ms,
            expires_at_ms: row.expires_at_ms,
            updates_until_ms: row.updates_until_ms,
        })
    }
}

/// A licence as it is listed.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) license: License,
    pub(crate) seats_used: i64,
    pub(crate) sealed_key: Vec<u8>,
}

#[derive(FromQueryResult)]
struct ListedRow {
    #[sea_orm(nested)]
    license: Model,
    seats_used: i64,
}

impl TryFrom<ListedRow> for Listed {
    type Error = DbErr;

    fn try_from(row: ListedRow) -> Result<Self, DbErr> {
        let sealed_key = row.license.sealed_key.clone();
        Ok(Self { license: row.license.try_into()?, seats_used: row.seats_used, sealed_key })
    }
}

/// Stores a licence with its key. False: its order has one already.
pub(crate) async fn create_license(
    db: &impl ConnectionTrait,
    license: &License,
    key_hash: [u8; 32],
    sealed_key: Vec<u8>,
) -> Result<bool, DbErr> {
    let license = license.clone();
    let row = Model {
        id: license.id,
        key_hash: key_hash.to_vec(),
        sealed_key,
        order_id: license.order_id,
        order_revision: license.order_revision,
        instance_id: license.instance_id,
        marketplace_id: license.marketplace_id,
        version: license.version,
        status: license.status.as_str().to_owned(),
        reason: license.reason,
        seats: license.seats,
        issued_at_ms: license.issued_at_ms,
        expires_at_ms: license.expires_at_ms,
        updates_until_ms: license.updates_until_ms,
    };
    let once = OnConflict::column(Column::OrderId).do_nothing().to_owned();
    let created =
        Entity::insert(row.into_active_model()).on_conflict(once).exec_without_returning(db).await?;
    Ok(created > 0)
}

/// Saves what can change.
pub(crate) async fn update_license(db: &impl ConnectionTrait, license: &License) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Status, Expr::value(license.status.as_str()))
        .col_expr(Column::Reason, Expr::value(license.reason.clone()))
        .col_expr(Column::OrderRevision, Expr::value(license.order_revision))
        .filter(Column::Id.eq(&license.id))
        .exec(db)
        .await?;
    Ok(())
}

async fn lock(db: &impl ConnectionTrait, which: Select<Entity>) -> Result<Option<License>, DbErr> {
    which.lock_exclusive().one(db).await?.map(License::try_from).transpose()
}

/// The licence, held by this transaction, so that its changes come one after another.
pub(crate) async fn lock_license(db: &impl ConnectionTrait, id: &str) -> Result<Option<License>, DbErr> {
    lock(db, Entity::find_by_id(id)).await
}

/// The same by its key.
pub(crate) async fn lock_license_of_key(
    db: &impl ConnectionTrait,
    key_hash: [u8; 32],
) -> Result<Option<License>, DbErr> {
    lock(db, Entity::find().filter(Column::KeyHash.eq(key_hash.to_vec()))).await
}

/// The same by its order.
pub(crate) async fn lock_license_of_order(
    db: &impl ConnectionTrait,
    order_id: &str,
) -> Result<Option<License>, DbErr> {
    lock(db, Entity::find().filter(Column::OrderId.eq(order_id))).await
}

/// All licences that the instance has bought for the app.
pub(crate) async fn list_licenses_of_buyer(
    db: &impl ConnectionTrait,
    instance_id: &str,
    marketplace_id: &str,
) -> Result<Vec<License>, DbErr> {
    let bought = Entity::find()
        .filter(Column::InstanceId.eq(instance_id))
        .filter(Column::MarketplaceId.eq(marketplace_id))
        .all(db)
        .await?;
    bought.into_iter().map(License::try_from).collect()
}

#[derive(FromQueryResult)]
struct HeldRow {
    #[sea_orm(nested)]
    license: Model,
    holder: String,
}

/// The licences for any of the apps on which any of the instances holds a seat, each with its holder.
pub(crate) async fn list_held_licenses(
    db: &impl ConnectionTrait,
    instance_ids: &[&str],
    marketplace_ids: &[&str],
) -> Result<Vec<(String, License)>, DbErr> {
    let seat = Entity::belongs_to(seats::Entity).from(Column::Id).to(seats::Column::LicenseId).into();
    let rows = Entity::find()
        .join(JoinType::InnerJoin, seat)
        .expr_as(Expr::col((seats::Entity, seats::Column::InstanceId)), "holder")
        .filter(seats::Column::InstanceId.is_in(instance_ids.iter().copied()))
        .filter(Column::MarketplaceId.is_in(marketplace_ids.iter().copied()))
        .into_model::<HeldRow>()
        .all(db)
        .await?;
    rows.into_iter().map(|row| Ok((row.holder, row.license.try_into()?))).collect()
}

/// Which licences to list; what is absent does not matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) instance_id: Option<String>,
    pub(crate) marketplace_id: Option<String>,
    pub(crate) status: Option<Status>,
    pub(crate) order_id: Option<String>,
}

impl Filter {
    fn apply(&self) -> Select<Entity> {
        let equal = [
            (Column::InstanceId, self.instance_id.as_deref()),
            (Column::MarketplaceId, self.marketplace_id.as_deref()),
            (Column::Status, self.status.map(Status::as_str)),
            (Column::OrderId, self.order_id.as_deref()),
        ];
        let given = equal.into_iter().filter_map(|(column, value)| value.map(|value| column.eq(value)));
        given.fold(Entity::find(), QueryFilter::filter)
    }
}

fn with_seats(select: Select<Entity>) -> Select<Entity> {
    select.expr_as(taken_seats(None), "seats_used")
}

/// That a column of a subquery is the licence's.
fn same(column: impl IntoColumnRef, own: Column) -> Expr {
    sea_orm::ExprTrait::equals(Expr::col(column), (Entity, own))
}

/// How many seats are taken, or whether the given instance's is.
fn taken_seats(by: Option<&str>) -> SelectStatement {
    let of_license = same((seats::Entity, seats::Column::LicenseId), Column::Id);
    let mut taken = seats::Entity::find().select_only().expr(Expr::cust("COUNT(*)")).filter(of_license);
    if let Some(instance_id) = by {
        taken = taken.filter(seats::Column::InstanceId.eq(instance_id));
    }
    taken.into_query()
}

/// Newest first, and how many there are.
pub(crate) async fn list_licenses(
    db: &impl ConnectionTrait,
    filter: &Filter,
    page: Page,
) -> Result<(Vec<Listed>, u64), DbErr> {
    let count = filter.apply().count(db).await?;
    let rows = with_seats(filter.apply())
        .order_by_desc(Column::Id)
        .limit(page.limit)
        .offset(page.offset)
        .into_model::<ListedRow>()
        .all(db)
        .await?;
    let listed: Result<_, DbErr> = rows.into_iter().map(Listed::try_from).collect();
    Ok((listed?, count))
}

/// How many there are in each status.
pub(crate) async fn count_by_status(db: &impl ConnectionTrait) -> Result<Vec<(Status, i64)>, DbErr> {
    let rows: Vec<(String, i64)> = Entity::find()
        .select_only()
        .column(Column::Status)
        .column_as(Column::Id.count(), "count")
        .group_by(Column::Status)
        .into_tuple()
        .all(db)
        .await?;
    let parsed = |(status, count): (String, i64)| {
        Ok((Status::parse(&status).map_err(|_| damaged("licenses.status"))?, count))
    };
    rows.into_iter().map(parsed).collect()
}

/// The licence with its seats.
pub(crate) async fn find_license(db: &impl ConnectionTrait, id: &str) -> Result<Option<Listed>, DbErr> {
    let row = with_seats(Entity::find_by_id(id)).into_model::<ListedRow>().one(db).await?;
    row.map(Listed::try_from).transpose()
}

/// What a question is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) key_hash: [u8; 32],
    pub(crate) instance_id: &'a str,
    pub(crate) version: Option<&'a str>,
}

#[derive(FromQueryResult)]
struct FactsRow {
    #[sea_orm(nested)]
    license: Model,
    seats_used: i64,
    own_seats: i64,
    version_published_at_ms: Option<i64>,
}

/// Everything that a question needs, in one query over primary keys and the key's unique index.
pub(crate) async fn find_facts(
    db: &impl ConnectionTrait,
    subject: Subject<'_>,
) -> Result<Option<Facts>, DbErr> {
    let row = with_seats(Entity::find())
        .expr_as(taken_seats(Some(subject.instance_id)), "own_seats")
        .expr_as(published_at(subject.version), "version_published_at_ms")
        .filter(Column::KeyHash.eq(subject.key_hash.to_vec()))
        .into_model::<FactsRow>()
        .one(db)
        .await?;
    let facts = |row: FactsRow| {
        Ok(Facts {
            license: row.license.try_into()?,
            seats_used: row.seats_used,
            holds_seat: row.own_seats > 0,
            version_published_at_ms: row.version_published_at_ms,
        })
    };
    row.map(facts).transpose()
}

/// Nothing equals no version, so that none is found where none was named.
fn published_at(version: Option<&str>) -> SelectStatement {
    let of_app = same((releases::Entity, releases::Column::MarketplaceId), Column::MarketplaceId);
    releases::Entity::find()
        .select_only()
        .column(releases::Column::PublishedAtMs)
        .filter(of_app)
        .filter(releases::Column::Version.eq(version.unwrap_or_default()))
        .into_query()
}

//! Table `instances`.

use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DbErr, IntoActiveModel as _, PaginatorTrait as _, QueryOrder as _,
    QuerySelect as _, entity::prelude::*, sea_query::OnConflict,
};

use crate::domain::{
    Page,
    instance::{Instance, ShopApi},
};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "instances")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub base_url: String,
    pub shop: String,
    pub site_url: String,
    pub api_base_url: String,
    pub api_min_version: i32,
    pub api_max_version: i32,
    pub publishable_key: String,
    pub disabled: bool,
    pub revision: i32,
    pub created_at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for Instance {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            base_url: row.base_url,
            shop: row.shop,
            site_url: row.site_url,
            api: ShopApi {
                base_url: row.api_base_url,
                min_version: row.api_min_version,
                max_version: row.api_max_version,
            },
            publishable_key: row.publishable_key,
            disabled: row.disabled,
            revision: row.revision,
            created_at_ms: row.created_at_ms,
        }
    }
}

impl From<&Instance> for Model {
    fn from(instance: &Instance) -> Self {
        let instance = instance.clone();
        Self {
            id: instance.id,
            base_url: instance.base_url,
            shop: instance.shop,
            site_url: instance.site_url,
            api_base_url: instance.api.base_url,
            api_min_version: instance.api.min_version,
            api_max_version: instance.api.max_version,
            publishable_key: instance.publishable_key,
            disabled: instance.disabled,
            revision: instance.revision,
            created_at_ms: instance.created_at_ms,
        }
    }
}

/// False: the shop is registered already.
pub(crate) async fn create_instance(db: &impl ConnectionTrait, instance: &Instance) -> Result<bool, DbErr> {
    let once = OnConflict::column(Column::Shop).do_nothing().to_owned();
    let row = Model::from(instance).into_active_model();
    Ok(Entity::insert(row).on_conflict(once).exec_without_returning(db).await? > 0)
}

/// The instance, if there is one.
pub(crate) async fn find_instance(db: &impl ConnectionTrait, id: &str) -> Result<Option<Instance>, DbErr> {
    Ok(Entity::find_by_id(id).one(db).await?.map(Into::into))
}

/// The same, held by this transaction, so that its changes come one after another.
pub(crate) async fn lock_instance(db: &impl ConnectionTrait, id: &str) -> Result<Option<Instance>, DbErr> {
    Ok(Entity::find_by_id(id).lock_exclusive().one(db).await?.map(Into::into))
}

/// Newest first, and how many there are.
pub(crate) async fn list_instances(
    db: &impl ConnectionTrait,
    page: Page,
) -> Result<(Vec<Instance>, u64), DbErr> {
    let count = Entity::find().count(db).await?;
    let rows = Entity::find().order_by_desc(Column::Id).limit(page.limit).offset(page.offset).all(db).await?;
    Ok((rows.into_iter().map(Into::into).collect(), count))
}

/// Saves what can change.
pub(crate) async fn update_instance(db: &impl ConnectionTrait, instance: &Instance) -> Result<(), DbErr> {
    let row = Model::from(instance);
    let changed = ActiveModel {
        base_url: Set(row.base_url),
        site_url: Set(row.site_url),
        api_base_url: Set(row.api_base_url),
        api_min_version: Set(row.api_min_version),
        api_max_version: Set(row.api_max_version),
        publishable_key: Set(row.publishable_key),
        disabled: Set(row.disabled),
        revision: Set(row.revision),
        ..Default::default()
    };
    Entity::update_many().set(changed).filter(Column::Id.eq(row.id)).exec(db).await?;
    Ok(())
}

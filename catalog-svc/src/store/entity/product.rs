use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "products")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub marketplace_id: String,
    pub vendor_id: String,
    pub app_type: String,
    pub kind: String,
    /// Grows with each change of a hosted app's endpoint.
    pub endpoint_revision: i32,
    pub created_at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}

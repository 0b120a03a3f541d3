use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "app_secrets")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub product_id: String,
    /// 0 is the oldest that is kept.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    pub sealed_secret: Vec<u8>,
    pub expires_at_ms: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}

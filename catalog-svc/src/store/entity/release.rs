use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "releases")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub product_id: String,
    pub version: String,
    pub kind: String,
    pub state: String,
    #[sea_orm(column_type = "Text")]
    pub manifest: String,
    pub sha256: String,
    pub size: i64,
    pub security: bool,
    pub required_after_ms: Option<i64>,
    pub key_id: String,
    pub signature: String,
    pub vendor_key_id: String,
    pub vendor_signature: String,
    pub published_at_ms: i64,
    pub yanked_at_ms: Option<i64>,
    pub yanked_reason: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

use sea_orm_migration::{
    MigrationName, MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{ConnectionTrait as _, DbErr},
};

/// Fewer indexes: each costs every delivery, and most deliveries are born settled. Ids are ordered by time, so what is
/// listed or forgotten by age goes by the primary key.
pub(super) struct Migration;

const NO_LONGER_READ: [&str; 7] = [
    "deliveries_due",
    "deliveries_newest",
    "deliveries_of_instance",
    "deliveries_of_endpoint",
    "deliveries_of_message",
    "deliveries_settled",
    "deliveries_of_app",
];

const READ: [&str; 5] = [
    // Claims (`lease::claim`), and when the next one is due (`delivery::next_due_ms`, `oldest_due_ms`).
    "deliveries_due ON deliveries (next_attempt_at_ms, id) WHERE state = 'pending'",
    // A change of the endpoint (`delivery::hold`, `release`, `postpone`, `hasten`, `lock`).
    "deliveries_open ON deliveries (endpoint_id, state) WHERE settled_at_ms IS NULL",
    // What was held too long (`delivery::list_held_before`).
    "deliveries_held ON deliveries (held_since_ms) WHERE state = 'held'",
    // An operator's lists (`delivery::list`): of a shop, of an app.
    "deliveries_of_instance ON deliveries (instance_id, id)",
    "deliveries_of_app ON deliveries (marketplace_id, id) WHERE marketplace_id IS NOT NULL",
];

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0003_speed"
    }
}

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let store = manager.get_connection();
        for index in NO_LONGER_READ {
            store.execute_unprepared(&format!("DROP INDEX {index}")).await?;
        }
        for index in READ {
            store.execute_unprepared(&format!("CREATE INDEX {index}")).await?;
        }
        Ok(())
    }
}

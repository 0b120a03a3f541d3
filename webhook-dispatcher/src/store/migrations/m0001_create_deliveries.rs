use sea_orm_migration::{
    MigrationName, MigrationTrait, SchemaManager,
    async_trait::async_trait,
    schema::{big_integer, big_integer_null, binary, boolean, integer_null, string, string_null},
    sea_orm::DbErr,
    sea_query::{Index, Table},
};

use crate::store::{
    attempt::{Column as Attempt, Entity as Attempts},
    delivery::{Column as Delivery, Entity as Deliveries},
    endpoint::{Column as Endpoint, Entity as Endpoints},
    message::{Column as Message, Entity as Messages},
};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0001_create_deliveries"
    }
}

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        endpoints(manager).await?;
        messages(manager).await?;
        deliveries(manager).await?;
        attempts(manager).await
    }
}

async fn endpoints(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table(Endpoints)
        .col(string(Endpoint::Id).primary_key())
        .col(string(Endpoint::InstanceId).unique_key())
        .col(string(Endpoint::BaseUrl))
        // Every live secret with its end, sealed together.
        .col(binary(Endpoint::SealedSecrets))
        // Of the instance's last change that was taken.
        .col(big_integer(Endpoint::Revision))
        .col(boolean(Endpoint::TenantDisabled))
        // Why we disabled it: `operator`, or `gone` after an answer 410.
        .col(string_null(Endpoint::DisabledReason))
        // It asked to be left alone until then.
        .col(big_integer(Endpoint::ThrottledUntilMs))
        .col(big_integer(Endpoint::CreatedAtMs))
        .col(big_integer(Endpoint::UpdatedAtMs))
        .to_owned();
    manager.create_table(table).await
}

async fn messages(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table(Messages)
        .col(string(Message::Id).primary_key())
        .col(string(Message::InstanceId))
        .col(string(Message::Event))
        .col(binary(Message::SealedBody))
        .col(string_null(Message::Traceparent))
        .col(string_null(Message::Tracestate))
        .col(big_integer(Message::CreatedAtMs))
        .to_owned();
    manager.create_table(table).await
}

async fn deliveries(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table(Deliveries)
        .col(string(Delivery::Id).primary_key())
        .col(string(Delivery::MessageId))
        .col(string(Delivery::EndpointId))
        .col(string(Delivery::InstanceId))
        .col(string(Delivery::Event))
        .col(string(Delivery::State))
        // The number of the last attempt that was begun; one that is given back unmade gives back its number.
        .col(big_integer(Delivery::Attempts))
        // The fencing token: grows with each claim and never becomes less.
        .col(big_integer(Delivery::LeaseToken))
        // Failed attempts since the schedule began; a replay begins it anew.
        .col(big_integer(Delivery::Failures))
        .col(big_integer(Delivery::NextAttemptAtMs))
        // By the store's clock; 0: nobody holds it.
        .col(big_integer(Delivery::LeaseUntilMs))
        // Null: it is not held.
        .col(big_integer_null(Delivery::HeldSinceMs))
        .col(string_null(Delivery::DeadReason))
        .col(big_integer(Delivery::CreatedAtMs))
        .col(big_integer_null(Delivery::SettledAtMs))
        .to_owned();
    manager.create_table(table).await?;
    // What a claim looks for, what operators list, what a change of an endpoint touches, what is forgotten.
    index(manager, "deliveries_due", &[Delivery::State, Delivery::NextAttemptAtMs]).await?;
    index(manager, "deliveries_newest", &[Delivery::CreatedAtMs, Delivery::Id]).await?;
    index(manager, "deliveries_of_instance", &[Delivery::InstanceId, Delivery::CreatedAtMs]).await?;
    index(manager, "deliveries_of_endpoint", &[Delivery::EndpointId, Delivery::State]).await?;
    index(manager, "deliveries_of_message", &[Delivery::MessageId]).await?;
    index(manager, "deliveries_settled", &[Delivery::SettledAtMs]).await
}

async fn index(manager: &SchemaManager<'_>, name: &str, columns: &[Delivery]) -> Result<(), DbErr> {
    let mut index = Index::create().name(name).table(Deliveries).to_owned();
    for column in columns {
        index.col(*column);
    }
    manager.create_index(index).await
}

async fn attempts(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table(Attempts)
        .col(string(Attempt::DeliveryId))
        .col(big_integer(Attempt::Number))
        .col(big_integer(Attempt::StartedAtMs))
        .col(big_integer(Attempt::DurationMs))
        .col(integer_null(Attempt::Status))
        .col(string(Attempt::Outcome))
        .col(big_integer_null(Attempt::ResponseSize))
        .primary_key(Index::create().col(Attempt::DeliveryId).col(Attempt::Number))
        .to_owned();
    manager.create_table(table).await
}

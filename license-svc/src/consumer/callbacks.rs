use platform::{
    Shutdown,
    bus::{Bus, BusError, ConsumeError, ConsumerSpec, Message},
};
use proto::events::{CallbackSettled, subject};
use tokio::task::JoinHandle;

use super::decode;
use crate::{
    app::App,
    domain::installation::{LastCallback, Operation, Outcome, Settlement},
};

const NAME: &str = "license-callbacks";

/// Learns how the callbacks to hosted apps have ended.
pub(crate) fn callbacks(app: &App, bus: &Bus, shutdown: Shutdown) -> Result<JoinHandle<()>, BusError> {
    let app = app.clone();
    let spec = ConsumerSpec::new(NAME, [subject::CALLBACK_SETTLED]);
    bus.consume(spec, shutdown, move |message| {
        let app = app.clone();
        async move { take(&app, message).await }
    })
}

async fn take(app: &App, message: Message) -> Result<(), ConsumeError> {
    let settled: CallbackSettled = decode(&message)?;
    let id = settled.installation_id.clone();
    let settled = parse(&settled).map_err(|what| ConsumeError::Reject(what.to_owned()))?;
    Ok(app.take_settlement(NAME, &message.id, &id, &settled).await?)
}

fn parse(settled: &CallbackSettled) -> Result<Settlement, &'static str> {
    let operation: Result<Operation, _> = settled.operation.parse();
    let operation = operation.map_err(|_| "the callback's operation is not known")?;
    let outcome = Outcome::parse(&settled.outcome).ok_or("the callback's outcome is not known")?;
    let sequence = i64::try_from(settled.sequence).map_err(|_| "the callback's sequence is out of range")?;
    let callback = LastCallback {
        operation,
        outcome,
        status: settled.status,
        attempts: settled.attempts,
        settled_at_ms: settled.settled_at_ms,
    };
    Ok(Settlement { sequence, callback, may_have_arrived: settled.may_have_arrived })
}

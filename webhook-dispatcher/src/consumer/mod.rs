//! What comes over the bus: parse, use case, settle.

mod callbacks;
mod events;

pub use callbacks::{follow_apps, request_callbacks};
pub use events::{tell_changes, tell_licenses, tell_releases};
use platform::{
    Shutdown,
    bus::{Bus, BusError, ConsumeError, ConsumerSpec, Message},
    sealing::{SealError, Sealer},
};
use proto::events::{TenantChanged, TenantSecret, purpose, subject};
use tokio::task::JoinHandle;
use wire::standard_webhooks::WebhookSecret;

use crate::{
    app::{App, EndpointChange, FOLLOW_INSTANCES},
    domain::{endpoint::Owner, target::BaseUrl},
    sender::{Live, Route},
};

/// Follows the instances into their endpoints.
pub fn follow_instances(bus: &Bus, app: App, shutdown: Shutdown) -> Result<JoinHandle<()>, BusError> {
    let spec = ConsumerSpec::new(FOLLOW_INSTANCES, [subject::TENANT_CHANGED]);
    bus.consume(spec, shutdown, move |message| {
        let app = app.clone();
        async move {
            let change = instance_change(&app, &message)?;
            Ok(app.follow(FOLLOW_INSTANCES, &message.id, change).await?)
        }
    })
}

fn decode<T: prost::Message + Default>(message: &Message) -> Result<T, ConsumeError> {
    T::decode(message.payload.clone())
        .map_err(|_| ConsumeError::Reject("the payload cannot be decoded".to_owned()))
}

fn instance_change(app: &App, message: &Message) -> Result<EndpointChange, ConsumeError> {
    let change = decode::<TenantChanged>(message)?;
    let base_url =
        BaseUrl::parse(&change.base_url).map_err(|error| ConsumeError::Reject(error.to_string()))?;
    let secrets = change.secrets.iter().map(|one| secret(app.bus_sealer(), one)).collect::<Result<_, _>>()?;
    Ok(EndpointChange {
        owner: Owner::Instance(change.instance_id),
        route: Route::Shop { base_url, secrets },
        disabled: change.disabled,
        revision: change.revision,
    })
}

fn secret(sealer: &Sealer, given: &TenantSecret) -> Result<Live<WebhookSecret>, ConsumeError> {
    let text = open(sealer.open_text(purpose::WEBHOOK_SECRET, &given.sealed_secret))?;
    let secret =
        text.parse().map_err(|_| ConsumeError::Reject("a webhook secret is not of its form".to_owned()))?;
    Ok(Live { secret, expires_at_ms: given.expires_at_ms })
}

/// Whatever cannot be opened is tried again for as long as it takes. A wrong key looks like a damaged value, and a
/// replica that was given one must not bury what the others can open.
fn open<T>(opened: Result<T, SealError>) -> Result<T, ConsumeError> {
    opened.map_err(|error| {
        tracing::error!(%error, "a message cannot be opened; check bus_sealing.keys");
        ConsumeError::Retry(error.into())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use platform::{Random, sealing::SealingConfig};

    use super::*;

    fn ring(key: u8) -> Sealer {
        Sealer::new(&SealingConfig::single(&[key; 32]), Random::seeded(1)).unwrap()
    }

    /// The right id with the wrong bytes is what a mistyped key looks like.
    #[test]
    fn a_wrong_bus_key_under_the_right_id_buries_no_tenant() {
        let text = format!("whsec_{}", "A".repeat(43) + "=");
        let sealed_secret = ring(1).seal(purpose::WEBHOOK_SECRET, text.as_bytes()).unwrap();
        let given = TenantSecret { sealed_secret, expires_at_ms: None };
        assert!(secret(&ring(1), &given).is_ok());
        assert!(matches!(secret(&ring(2), &given), Err(ConsumeError::Retry(_))));
    }
}

//! What comes over the bus: parse, use case, settle.

mod callbacks;

pub use callbacks::{follow_apps, request_callbacks};
use platform::{
    Shutdown,
    bus::{Bus, BusError, ConsumeError, ConsumerSpec, Message},
    sealing::{SealError, Sealer},
};
use proto::events::{LicenseIssued, TenantChanged, TenantSecret, purpose, subject};
use tokio::task::JoinHandle;
use wire::standard_webhooks::WebhookSecret;

use crate::{
    app::{App, EndpointChange, FOLLOW_INSTANCES, HandedOut, TELL_LICENSES},
    domain::{endpoint::Owner, event, target::BaseUrl},
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

/// Tells shops of the licences that were issued for them.
pub fn tell_licenses(bus: &Bus, app: App, shutdown: Shutdown) -> Result<JoinHandle<()>, BusError> {
    let spec = ConsumerSpec {
        // What is handled waits for its receiver and for the store: this bounds the pipeline.
        concurrency: app.room(),
        ack_wait: app.patience(),
        // The store knows what was told.
        confirms_acks: false,
        ..ConsumerSpec::new(TELL_LICENSES, [subject::LICENSE_ISSUED])
    };
    bus.consume_counted(spec, shutdown, move |message, count| {
        let app = app.clone();
        async move {
            let issued = decode::<LicenseIssued>(&message)?;
            let body = body(app.bus_sealer(), &issued).inspect_err(|_| app.note_unmade(&message.id))?;
            let handed_out = HandedOut { event_id: message.id, count };
            Ok(app.tell_license_issued(&handed_out, &issued.instance_id, body).await?)
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

fn body(sealer: &Sealer, issued: &LicenseIssued) -> Result<Vec<u8>, ConsumeError> {
    let license_key = open(sealer.open_text(purpose::LICENSE_KEY, &issued.sealed_license_key))?;
    let purchased_by = open(sealer.open_text(purpose::CUSTOMER_EMAIL, &issued.sealed_purchased_by))?;
    let told = event::LicenseIssued {
        marketplace_id: &issued.marketplace_id,
        version: &issued.version,
        license_key: &license_key,
        purchased_by: &purchased_by,
    };
    told.body().map_err(|_| ConsumeError::Reject("the event cannot be written as JSON".to_owned()))
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

    fn sealed_license() -> LicenseIssued {
        LicenseIssued {
            sealed_license_key: ring(1).seal(purpose::LICENSE_KEY, b"CC-TEST-KEY").unwrap(),
            sealed_purchased_by: ring(1).seal(purpose::CUSTOMER_EMAIL, b"a@b.c").unwrap(),
            ..LicenseIssued::default()
        }
    }

    /// The right id with the wrong bytes is what a mistyped key looks like.
    #[test]
    fn a_wrong_bus_key_under_the_right_id_buries_no_license_and_no_tenant() {
        let issued = sealed_license();
        assert!(body(&ring(1), &issued).is_ok());
        assert!(matches!(body(&ring(2), &issued), Err(ConsumeError::Retry(_))));
        let text = format!("whsec_{}", "A".repeat(43) + "=");
        let sealed_secret = ring(1).seal(purpose::WEBHOOK_SECRET, text.as_bytes()).unwrap();
        let given = TenantSecret { sealed_secret, expires_at_ms: None };
        assert!(secret(&ring(1), &given).is_ok());
        assert!(matches!(secret(&ring(2), &given), Err(ConsumeError::Retry(_))));
    }

    #[test]
    fn what_could_not_be_opened_is_not_told() {
        let Err(ConsumeError::Retry(error)) = body(&ring(2), &sealed_license()) else { panic!("opened") };
        assert!(!format!("{error} {error:?}").contains("CC-TEST-KEY"));
    }
}

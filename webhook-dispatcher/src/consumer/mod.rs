//! What comes over the bus: parse, use case, settle.

use platform::{
    Shutdown,
    bus::{Bus, BusError, ConsumeError, ConsumerSpec, Message},
    sealing::{SealError, Sealer},
};
use proto::events::{LicenseIssued, TenantChanged, TenantSecret, purpose, subject};
use tokio::task::JoinHandle;

use crate::{
    app::{App, FOLLOW_INSTANCES, InstanceChange, Secret, TELL_LICENSES},
    domain::{event, target::BaseUrl},
};

/// Follows the instances into their endpoints.
pub fn follow_instances(bus: &Bus, app: App, shutdown: Shutdown) -> Result<JoinHandle<()>, BusError> {
    let spec = ConsumerSpec::new(FOLLOW_INSTANCES, [subject::TENANT_CHANGED]);
    bus.consume(spec, shutdown, move |message| {
        let app = app.clone();
        async move {
            let change = instance_change(&app, &message)?;
            Ok(app.follow_instance(&message.id, change).await?)
        }
    })
}

/// Tells shops of the licences that were issued for them.
pub fn tell_licenses(bus: &Bus, app: App, shutdown: Shutdown) -> Result<JoinHandle<()>, BusError> {
    let spec = ConsumerSpec::new(TELL_LICENSES, [subject::LICENSE_ISSUED]);
    bus.consume(spec, shutdown, move |message| {
        let app = app.clone();
        async move {
            let issued = decode::<LicenseIssued>(&message)?;
            let body = body(app.bus_sealer(), &issued)?;
            Ok(app.tell_license_issued(&message.id, &issued.instance_id, body).await?)
        }
    })
}

fn decode<T: prost::Message + Default>(message: &Message) -> Result<T, ConsumeError> {
    T::decode(message.payload.clone())
        .map_err(|_| ConsumeError::Reject("the payload cannot be decoded".to_owned()))
}

fn instance_change(app: &App, message: &Message) -> Result<InstanceChange, ConsumeError> {
    let change = decode::<TenantChanged>(message)?;
    let base_url =
        BaseUrl::parse(&change.base_url).map_err(|error| ConsumeError::Reject(error.to_string()))?;
    let secrets = change.secrets.iter().map(|one| secret(app.bus_sealer(), one)).collect::<Result<_, _>>()?;
    Ok(InstanceChange {
        instance_id: change.instance_id,
        base_url,
        disabled: change.disabled,
        secrets,
        revision: change.revision,
    })
}

fn secret(sealer: &Sealer, given: &TenantSecret) -> Result<Secret, ConsumeError> {
    let text = open(sealer.open_text(purpose::WEBHOOK_SECRET, &given.sealed_secret))?;
    let secret =
        text.parse().map_err(|_| ConsumeError::Reject("a webhook secret is not of its form".to_owned()))?;
    Ok(Secret { secret, expires_at_ms: given.expires_at_ms })
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

/// A key that is not configured may be configured soon; a damaged value stays damaged.
fn open<T>(opened: Result<T, SealError>) -> Result<T, ConsumeError> {
    opened.map_err(|error| match error {
        SealError::Damaged => ConsumeError::Reject(error.to_string()),
        SealError::UnknownKey | SealError::BadKeys => ConsumeError::Retry(error.into()),
    })
}

//! Hosted apps: where they are called, and what they are told.

use platform::{
    Shutdown,
    bus::{Bus, BusError, ConsumeError, ConsumerSpec, Message},
    sealing::Sealer,
};
use proto::events::{AppChanged, AppSecret, CallbackRequested, purpose, subject};
use tokio::task::JoinHandle;
use wire::open2b::{Callback, Operation, ShopApi};

use super::{decode, open};
use crate::{
    app::{App, CallbackRequest, EndpointChange, FOLLOW_APPS, REQUEST_CALLBACKS},
    domain::{endpoint::Owner, target::CallbackUrl},
    sender::{Live, Route},
};

/// Follows the hosted apps into their endpoints.
pub fn follow_apps(bus: &Bus, app: App, shutdown: Shutdown) -> Result<JoinHandle<()>, BusError> {
    let spec = ConsumerSpec::new(FOLLOW_APPS, [subject::APP_CHANGED]);
    bus.consume(spec, shutdown, move |message| {
        let app = app.clone();
        async move {
            match app_change(app.bus_sealer(), &message)? {
                Some(change) => Ok(app.follow(FOLLOW_APPS, &message.id, change).await?),
                None => Ok(()),
            }
        }
    })
}

/// Takes the callbacks that are to be made.
pub fn request_callbacks(bus: &Bus, app: App, shutdown: Shutdown) -> Result<JoinHandle<()>, BusError> {
    let subjects = [
        subject::INSTALLATION_REQUESTED,
        subject::INSTALLATION_UPDATE_REQUESTED,
        subject::INSTALLATION_REMOVAL_REQUESTED,
    ];
    bus.consume(ConsumerSpec::new(REQUEST_CALLBACKS, subjects), shutdown, move |message| {
        let app = app.clone();
        async move {
            let request = callback_request(app.bus_sealer(), decode(&message)?)?;
            Ok(app.request_callback(&message.id, request).await?)
        }
    })
}

/// Nothing: the app is not hosted.
fn app_change(sealer: &Sealer, message: &Message) -> Result<Option<EndpointChange>, ConsumeError> {
    let change = decode::<AppChanged>(message)?;
    let Some(hosted) = change.hosted else { return Ok(None) };
    let url = CallbackUrl::parse(&hosted.installation_url)
        .map_err(|error| ConsumeError::Reject(error.to_string()))?;
    let secrets = hosted.secrets.iter().map(|one| secret(sealer, one)).collect::<Result<_, _>>()?;
    Ok(Some(EndpointChange {
        owner: Owner::App(change.marketplace_id),
        route: Route::App { url, secrets },
        disabled: false,
        revision: hosted.revision,
    }))
}

fn secret(sealer: &Sealer, given: &AppSecret) -> Result<Live<wire::open2b::AppSecret>, ConsumeError> {
    let text = open(sealer.open_text(purpose::APP_SECRET, &given.sealed_secret))?;
    let secret =
        text.parse().map_err(|_| ConsumeError::Reject("an app secret is not of its form".to_owned()))?;
    Ok(Live { secret, expires_at_ms: given.expires_at_ms })
}

fn callback_request(sealer: &Sealer, asked: CallbackRequested) -> Result<CallbackRequest, ConsumeError> {
    let operation: Operation =
        asked.operation.parse().map_err(|_| ConsumeError::Reject("the operation is unknown".to_owned()))?;
    let sequence = i64::try_from(asked.sequence)
        .map_err(|_| ConsumeError::Reject("the sequence is larger than any can be".to_owned()))?;
    Ok(CallbackRequest {
        marketplace_id: asked.marketplace_id.clone(),
        instance_id: asked.instance_id.clone(),
        installation_id: asked.installation_id.clone(),
        sequence,
        callback: callback(sealer, operation, asked)?,
    })
}

fn callback(
    sealer: &Sealer,
    operation: Operation,
    asked: CallbackRequested,
) -> Result<Callback, ConsumeError> {
    let CallbackRequested { shop, site_url, version, .. } = asked;
    let api = ShopApi {
        base_url: asked.api_base_url,
        max_version: asked.api_max_version,
        min_version: asked.api_min_version,
    };
    Ok(match operation {
        Operation::Install => {
            let key = open(sealer.open_text(purpose::API_KEY, &asked.sealed_api_key))?.expose().to_owned();
            Callback::Install { shop, site_url, api, key, version }
        }
        Operation::Update => Callback::Update { shop, site_url, api, version },
        Operation::Remove => Callback::Remove { shop },
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

    fn install() -> CallbackRequested {
        CallbackRequested {
            operation: "Install".to_owned(),
            sequence: 7,
            sealed_api_key: ring(1).seal(purpose::API_KEY, b"THE-API-KEY").unwrap(),
            ..CallbackRequested::default()
        }
    }

    #[test]
    fn an_install_that_cannot_be_opened_is_retried_and_tells_nothing() {
        assert_eq!(callback_request(&ring(1), install()).unwrap().sequence, 7);
        let Err(ConsumeError::Retry(error)) = callback_request(&ring(2), install()) else { panic!("opened") };
        assert!(!format!("{error} {error:?}").contains("THE-API-KEY"));
    }

    #[test]
    fn what_can_never_be_made_is_rejected() {
        for bad in [
            CallbackRequested { operation: "Reinstall".to_owned(), ..install() },
            CallbackRequested { sequence: u64::MAX, ..install() },
        ] {
            assert!(matches!(callback_request(&ring(1), bad), Err(ConsumeError::Reject(_))));
        }
    }

    #[test]
    fn a_request_shows_no_key() {
        let request = callback_request(&ring(1), install()).unwrap();
        assert!(!format!("{request:?}").contains("THE-API-KEY"));
    }
}

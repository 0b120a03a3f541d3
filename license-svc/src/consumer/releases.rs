use platform::{
    Shutdown,
    bus::{Bus, BusError, ConsumeError, ConsumerSpec, Message},
};
use proto::events::{ReleaseChanged, subject};
use tokio::task::JoinHandle;

use super::decode;
use crate::{
    app::{App, Release},
    domain::installation::{self, Facts, Kind},
};

const NAME: &str = "license-releases";

/// Notes when releases are published, so that a licence's year of updates can be measured, and moves shops to those
/// that need no installation update.
pub(crate) fn releases(app: &App, bus: &Bus, shutdown: Shutdown) -> Result<JoinHandle<()>, BusError> {
    let app = app.clone();
    let spec = ConsumerSpec::new(NAME, [subject::RELEASE_PUBLISHED]);
    bus.consume(spec, shutdown, move |message| {
        let app = app.clone();
        async move { take(&app, message).await }
    })
}

async fn take(app: &App, message: Message) -> Result<(), ConsumeError> {
    let event: ReleaseChanged = decode(&message)?;
    let release = parse(&event)?;
    app.take_release(&release).await.map_err(ConsumeError::Retry)?;
    match hosted(event)? {
        Some(hosted) => app.update_silently(&hosted).await.map_err(ConsumeError::Retry),
        None => Ok(()),
    }
}

fn parse(release: &ReleaseChanged) -> Result<Release, ConsumeError> {
    if release.marketplace_id.is_empty() || release.version.is_empty() || release.published_at_ms <= 0 {
        let what = "a published release needs marketplace_id, version and published_at_ms";
        return Err(ConsumeError::Reject(what.to_owned()));
    }
    Ok(Release {
        marketplace_id: release.marketplace_id.clone(),
        version: release.version.clone(),
        published_at_ms: release.published_at_ms,
    })
}

/// The other kinds cannot change in a shop without its asking.
fn hosted(event: ReleaseChanged) -> Result<Option<installation::Release>, ConsumeError> {
    if Kind::parse(&event.kind) != Some(Kind::Hosted) {
        return Ok(None);
    }
    let facts = Facts {
        marketplace_id: event.marketplace_id,
        version: event.version,
        kind: event.kind,
        price_cents: event.price_cents,
        permissions: event.permissions,
        api_min_version: event.api_min_version,
        api_max_version: event.api_max_version,
        surface: event.surface,
        published_at_ms: event.published_at_ms,
    };
    facts.check().map(Some).map_err(|refusal| ConsumeError::Reject(refusal.to_string()))
}

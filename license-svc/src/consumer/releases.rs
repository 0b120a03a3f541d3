use platform::{
    Shutdown,
    bus::{Bus, BusError, ConsumeError, ConsumerSpec, Message},
};
use proto::events::{ReleaseChanged, subject};
use tokio::task::JoinHandle;

use super::decode;
use crate::app::{App, Release};

const NAME: &str = "license-releases";

/// Notes when releases are published, so that a licence's year of updates can be measured.
pub(crate) fn releases(app: &App, bus: &Bus, shutdown: Shutdown) -> Result<JoinHandle<()>, BusError> {
    let app = app.clone();
    let spec = ConsumerSpec::new(NAME, [subject::RELEASE_PUBLISHED]);
    bus.consume(spec, shutdown, move |message| {
        let app = app.clone();
        async move { take(&app, message).await }
    })
}

async fn take(app: &App, message: Message) -> Result<(), ConsumeError> {
    let release: ReleaseChanged = decode(&message)?;
    let release = parse(release)?;
    app.take_release(&release).await.map_err(ConsumeError::Retry)
}

fn parse(release: ReleaseChanged) -> Result<Release, ConsumeError> {
    if release.marketplace_id.is_empty() || release.version.is_empty() || release.published_at_ms <= 0 {
        let what = "a published release needs marketplace_id, version and published_at_ms";
        return Err(ConsumeError::Reject(what.to_owned()));
    }
    Ok(Release {
        marketplace_id: release.marketplace_id,
        version: release.version,
        published_at_ms: release.published_at_ms,
    })
}

use platform::{
    Shutdown,
    bus::{Bus, BusError, ConsumeError, ConsumerSpec, Message},
};
use proto::events::{ReleaseChanged, subject};
use tokio::task::JoinHandle;

use super::decode;
use crate::{
    app::App,
    domain::{
        Release,
        installation::{self, Facts, Kind},
    },
};

const NAME: &str = "license-releases";

/// Notes when releases are published, so that a licence's year of updates can be measured, and which are yanked, and
/// moves shops to those that need no installation update.
pub(crate) fn releases(app: &App, bus: &Bus, shutdown: Shutdown) -> Result<JoinHandle<()>, BusError> {
    let app = app.clone();
    let spec = ConsumerSpec::new(NAME, [subject::RELEASE_PUBLISHED, subject::RELEASE_YANKED]);
    bus.consume(spec, shutdown, move |message| {
        let app = app.clone();
        async move { take(&app, message).await }
    })
}

async fn take(app: &App, message: Message) -> Result<(), ConsumeError> {
    let release = parse(decode(&message)?)?;
    let taken = match message.subject.as_str() {
        subject::RELEASE_YANKED => app.take_yank(&release).await,
        _ => app.take_release(&release).await,
    };
    taken.map_err(ConsumeError::Retry)
}

fn parse(event: ReleaseChanged) -> Result<Release, ConsumeError> {
    if event.marketplace_id.is_empty() || event.version.is_empty() || event.published_at_ms <= 0 {
        let what = "a release needs marketplace_id, version and published_at_ms";
        return Err(ConsumeError::Reject(what.to_owned()));
    }
    Ok(Release {
        marketplace_id: event.marketplace_id.clone(),
        version: event.version.clone(),
        published_at_ms: event.published_at_ms,
        hosted: hosted(event)?,
    })
}

/// The other kinds cannot change in a shop without its asking.
fn hosted(event: ReleaseChanged) -> Result<Option<installation::Release>, ConsumeError> {
    if Kind::parse(&event.kind) != Some(Kind::Hosted) {
        return Ok(None);
    }
    let checked = Facts::from(event).check();
    checked.map(Some).map_err(|refusal| ConsumeError::Reject(refusal.to_string()))
}

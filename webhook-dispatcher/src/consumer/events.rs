//! What shops are told (contracts.md section 3): what was sold to them, what became of it, and what is new.

use std::sync::Arc;

use platform::{
    AppResult, Shutdown,
    bus::{Bus, BusError, ConsumeError, ConsumerSpec, Message},
    sealing::Sealer,
};
use proto::events::{InstallationChanged, LicenseChanged, LicenseIssued, ReleaseChanged, purpose, subject};
use tokio::task::JoinHandle;

use super::{decode, open};
use crate::{
    app::{App, HandedOut, TELL_CHANGES, TELL_LICENSES, TELL_RELEASES, Told},
    domain::event::{self, Body},
};

/// Releases that are told at once. Each is told to a great many, and what they have in the pipeline together is bounded
/// there.
const RELEASES: usize = 16;

/// Tells shops of the licences that were issued for them.
pub fn tell_licenses(bus: &Bus, app: App, shutdown: Shutdown) -> Result<JoinHandle<()>, BusError> {
    let spec = spec(&app, TELL_LICENSES, &[subject::LICENSE_ISSUED], app.room());
    tell(bus, spec, app, shutdown, news_of_license)
}

/// Tells shops of what happens to their licences and installations later.
pub fn tell_changes(bus: &Bus, app: App, shutdown: Shutdown) -> Result<JoinHandle<()>, BusError> {
    let subjects = [subject::LICENSE_CHANGED, subject::INSTALLATION_CHANGED];
    let spec = spec(&app, TELL_CHANGES, &subjects, app.room());
    tell(bus, spec, app, shutdown, news_of_change)
}

/// Tells every shop that asked for it of the apps' releases.
pub fn tell_releases(bus: &Bus, app: App, shutdown: Shutdown) -> Result<JoinHandle<()>, BusError> {
    let spec = spec(&app, TELL_RELEASES, &[subject::RELEASE_PUBLISHED], RELEASES);
    tell(bus, spec, app, shutdown, news_of_release)
}

/// What a message tells, and to whom.
struct News {
    to: To,
    told: Told,
}

enum To {
    Instance(String),
    All,
}

/// What is handled waits for its receiver and for the store: `concurrency` bounds the pipeline.
fn spec(app: &App, name: &str, subjects: &[&str], concurrency: usize) -> ConsumerSpec {
    ConsumerSpec {
        concurrency,
        ack_wait: app.patience(),
        // The store knows what was told.
        confirms_acks: false,
        ..ConsumerSpec::new(name, subjects.iter().copied())
    }
}

/// `read`: what a message tells; nothing: no shop is told of it.
fn tell(
    bus: &Bus,
    spec: ConsumerSpec,
    app: App,
    shutdown: Shutdown,
    read: fn(&Sealer, &Message) -> Result<Option<News>, ConsumeError>,
) -> Result<JoinHandle<()>, BusError> {
    let app = Arc::new(app);
    bus.consume_counted(spec, shutdown, move |message, count| {
        let app = Arc::clone(&app);
        async move {
            let news = read(app.bus_sealer(), &message).inspect_err(|_| app.note_unmade(&message.id))?;
            let handed_out = HandedOut { event_id: message.id, count };
            match news {
                Some(news) => Ok(news.tell(&app, &handed_out).await?),
                None => Ok(()),
            }
        }
    })
}

impl News {
    async fn tell(self, app: &App, handed_out: &HandedOut) -> AppResult<()> {
        match self.to {
            To::Instance(id) => app.tell_instance(handed_out, &id, self.told).await,
            To::All => app.tell_all(handed_out, self.told).await,
        }
    }
}

fn news_of_license(sealer: &Sealer, message: &Message) -> Result<Option<News>, ConsumeError> {
    let issued = decode::<LicenseIssued>(message)?;
    let license_key = open(sealer.open_text(purpose::LICENSE_KEY, &issued.sealed_license_key))?;
    let purchased_by = open(sealer.open_text(purpose::CUSTOMER_EMAIL, &issued.sealed_purchased_by))?;
    let body = event::LicenseIssued {
        marketplace_id: &issued.marketplace_id,
        version: &issued.version,
        license_key: &license_key,
        purchased_by: &purchased_by,
    };
    news(To::Instance(issued.instance_id.clone()), event::LICENSE_ISSUED, &body)
}

fn news_of_change(sealer: &Sealer, message: &Message) -> Result<Option<News>, ConsumeError> {
    if message.subject == subject::INSTALLATION_CHANGED {
        return news_of_installation(message);
    }
    let changed = decode::<LicenseChanged>(message)?;
    let Some(act) = &changed.act else { return Ok(None) };
    let event = event::of_act(act)
        .ok_or_else(|| ConsumeError::Reject("what was done to the licence is unknown".to_owned()))?;
    let license_key = open(sealer.open_text(purpose::LICENSE_KEY, &changed.sealed_license_key))?;
    let body = event::LicenseChanged {
        marketplace_id: &changed.marketplace_id,
        license_key: &license_key,
        reason: changed.reason.as_deref(),
    };
    news(To::Instance(changed.instance_id.clone()), event, &body)
}

fn news_of_installation(message: &Message) -> Result<Option<News>, ConsumeError> {
    let changed = decode::<InstallationChanged>(message)?;
    let body = event::InstallationChanged {
        installation_id: &changed.installation_id,
        marketplace_id: &changed.marketplace_id,
        version: &changed.version,
        state: &changed.state,
    };
    news(To::Instance(changed.instance_id.clone()), event::INSTALLATION_CHANGED, &body)
}

fn news_of_release(_: &Sealer, message: &Message) -> Result<Option<News>, ConsumeError> {
    let release = decode::<ReleaseChanged>(message)?;
    let body = event::ReleasePublished {
        marketplace_id: &release.marketplace_id,
        version: &release.version,
        changelog_url: release.changelog_url.as_deref(),
        security: release.security,
    };
    news(To::All, event::RELEASE_PUBLISHED, &body)
}

fn news(to: To, event: &'static str, body: &impl Body) -> Result<Option<News>, ConsumeError> {
    let body = body.body();
    let body = body.map_err(|_| ConsumeError::Reject("the event cannot be written as JSON".to_owned()))?;
    Ok(Some(News { to, told: Told { event, body: body.into() } }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use platform::{Random, sealing::SealingConfig, telemetry::TraceContext};

    use super::*;

    fn ring(key: u8) -> Sealer {
        Sealer::new(&SealingConfig::single(&[key; 32]), Random::seeded(1)).unwrap()
    }

    fn message(subject: &str, event: &impl prost::Message) -> Message {
        Message {
            id: "evt_1".to_owned(),
            subject: subject.to_owned(),
            payload: event.encode_to_vec().into(),
            trace: TraceContext::default(),
        }
    }

    fn issued() -> Message {
        let event = LicenseIssued {
            sealed_license_key: ring(1).seal(purpose::LICENSE_KEY, b"CC-TEST-KEY").unwrap(),
            sealed_purchased_by: ring(1).seal(purpose::CUSTOMER_EMAIL, b"a@b.c").unwrap(),
            ..LicenseIssued::default()
        };
        message(subject::LICENSE_ISSUED, &event)
    }

    fn done(act: Option<&str>) -> Message {
        let event = LicenseChanged {
            act: act.map(str::to_owned),
            sealed_license_key: ring(1).seal(purpose::LICENSE_KEY, b"CC-TEST-KEY").unwrap(),
            ..LicenseChanged::default()
        };
        message(subject::LICENSE_CHANGED, &event)
    }

    /// The right id with the wrong bytes is what a mistyped key looks like.
    #[test]
    fn a_wrong_bus_key_under_the_right_id_buries_no_licence() {
        assert!(news_of_license(&ring(1), &issued()).is_ok());
        assert!(matches!(news_of_license(&ring(2), &issued()), Err(ConsumeError::Retry(_))));
        assert!(matches!(news_of_change(&ring(2), &done(Some("revoked"))), Err(ConsumeError::Retry(_))));
    }

    #[test]
    fn what_could_not_be_opened_is_not_told() {
        for read in [news_of_license(&ring(2), &issued()), news_of_change(&ring(2), &done(Some("revoked")))] {
            let Err(ConsumeError::Retry(error)) = read else { panic!("opened") };
            assert!(!format!("{error} {error:?}").contains("CC-TEST-KEY"));
        }
    }

    #[test]
    fn a_shop_is_told_of_what_was_done_to_its_licence_and_of_nothing_else() {
        let news = news_of_change(&ring(1), &done(Some("suspended"))).unwrap().unwrap();
        assert_eq!(news.told.event, event::LICENSE_SUSPENDED);
        assert!(news_of_change(&ring(1), &done(None)).unwrap().is_none(), "a seat was taken");
        assert!(matches!(news_of_change(&ring(1), &done(Some("lent"))), Err(ConsumeError::Reject(_))));
    }
}

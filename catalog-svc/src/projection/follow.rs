use std::time::Duration;

use futures::FutureExt as _;
use platform::{
    Shutdown,
    bus::{Bus, Message, Notice, Notices},
};
use prost::Message as _;
use proto::events::{AppChanged, ReleaseChanged, subject};

use super::{Pending, Projection};

const SUBJECTS: [&str; 3] = [subject::RELEASE_PUBLISHED, subject::RELEASE_YANKED, subject::APP_CHANGED];
/// Between two tries while the store or the bus is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Loads the projection and keeps it until `shutdown`. It is subscribed before it loads, so that nothing falls
/// between the two.
pub async fn follow(projection: Projection, bus: Bus, shutdown: Shutdown) {
    let Some(mut notices) = shutdown.run_until_cancelled(subscribe(&bus)).await else { return };
    let mut pending = Pending::Everything;
    while !shutdown.is_cancelled() {
        if !pending.is_nothing() {
            match projection.refresh(&pending).await {
                Ok(()) => pending = Pending::nothing(),
                Err(error) => tracing::warn!(?error, "the catalogue could not be reloaded; trying again"),
            }
        }
        let pause = if pending.is_nothing() { Duration::MAX } else { PAUSE };
        tokio::select! {
            notice = notices.next() => note_all(&mut pending, notice, &mut *notices),
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

async fn subscribe(bus: &Bus) -> Box<dyn Notices> {
    loop {
        match bus.notices(&SUBJECTS).await {
            Ok(notices) => return notices,
            Err(error) => tracing::warn!(%error, "the catalogue's events cannot be followed; trying again"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Notes this notice and those that wait behind it: a burst of events is one reload.
fn note_all(pending: &mut Pending, first: Notice, notices: &mut dyn Notices) {
    note(pending, first);
    while let Some(notice) = notices.next().now_or_never() {
        note(pending, notice);
    }
}

fn note(pending: &mut Pending, notice: Notice) {
    match notice {
        Notice::Event(message) => match changed_app(&message) {
            Some(marketplace_id) => pending.add(marketplace_id),
            None => *pending = Pending::Everything,
        },
        Notice::Gap => *pending = Pending::Everything,
    }
}

/// The app to reload; none where the event cannot be read.
fn changed_app(message: &Message) -> Option<String> {
    let payload = message.payload.clone();
    match message.subject.as_str() {
        subject::APP_CHANGED => AppChanged::decode(payload).map(|event| event.marketplace_id).ok(),
        _ => ReleaseChanged::decode(payload).map(|event| event.marketplace_id).ok(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use platform::telemetry::TraceContext;

    use super::*;

    fn message(subject: &str, payload: Vec<u8>) -> Notice {
        let trace = TraceContext::default();
        Notice::Event(Message { id: "evt_1".into(), subject: subject.into(), payload: payload.into(), trace })
    }

    #[test]
    fn an_event_names_one_app_and_a_gap_or_an_unreadable_event_means_all() {
        let mut pending = Pending::nothing();
        assert!(pending.is_nothing());
        let published = ReleaseChanged { marketplace_id: "@a/b".into(), ..ReleaseChanged::default() };
        note(&mut pending, message(subject::RELEASE_PUBLISHED, published.encode_to_vec()));
        let changed = AppChanged { marketplace_id: "@c/d".into(), vendor_id: "vnd_1".into(), hosted: None };
        note(&mut pending, message(subject::APP_CHANGED, changed.encode_to_vec()));
        assert_eq!(pending, Pending::Apps(["@a/b".to_owned(), "@c/d".to_owned()].into()));

        let mut unreadable = pending.clone();
        note(&mut unreadable, message(subject::RELEASE_YANKED, vec![0xff]));
        assert_eq!(unreadable, Pending::Everything);
        note(&mut pending, Notice::Gap);
        assert_eq!(pending, Pending::Everything);
    }
}

//! Empties the caches as the services tell of changes.

use platform::{
    Shutdown,
    bus::{Message, Notice, Notices},
};
use proto::events::{LicenseChanged, TenantChanged, subject};
use proto::prost::Message as _;

use super::App;

/// What the caches depend on.
pub(crate) const SUBJECTS: [&str; 5] = [
    subject::LICENSE_CHANGED,
    subject::TENANT_CHANGED,
    subject::RELEASE_PUBLISHED,
    subject::RELEASE_YANKED,
    subject::APP_CHANGED,
];

/// Follows until `shutdown`.
pub(crate) async fn run(app: App, mut changes: Box<dyn Notices>, shutdown: Shutdown) {
    while let Some(notice) = shutdown.run_until_cancelled(changes.next()).await {
        match notice {
            Notice::Event(message) => apply(&app, &message),
            Notice::Gap => forget_everything(&app),
        }
    }
}

fn apply(app: &App, message: &Message) {
    match message.subject.as_str() {
        subject::LICENSE_CHANGED => match LicenseChanged::decode(message.payload.clone()) {
            Ok(event) => app.forget_answers_about(event.license_id),
            Err(_) => forget_everything(app),
        },
        subject::TENANT_CHANGED => match TenantChanged::decode(message.payload.clone()) {
            Ok(event) => app.forget_keys_of(event.instance_id),
            Err(_) => forget_everything(app),
        },
        _ => app.forget_feed(),
    }
}

fn forget_everything(app: &App) {
    app.forget_all_answers();
    app.forget_all_keys();
    app.forget_feed();
}

//! Empties the caches as the services tell of changes.

use platform::{
    Shutdown,
    bus::{Message, Notice, Notices},
};
use proto::events::{AppChanged, InstallationChanged, LicenseChanged, TenantChanged, subject};

use super::App;

/// What the caches depend on.
pub(crate) const SUBJECTS: [&str; 6] = [
    subject::LICENSE_CHANGED,
    subject::TENANT_CHANGED,
    subject::INSTALLATION_CHANGED,
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
        subject::LICENSE_CHANGED => read(app, message, |event: LicenseChanged| {
            app.forget_answers_about(event.license_id);
            app.forget_introspections_about(event.marketplace_id);
        }),
        subject::TENANT_CHANGED => read(app, message, |event: TenantChanged| {
            app.forget_keys_of(event.instance_id.clone());
            app.forget_introspections_of(event.instance_id);
        }),
        subject::INSTALLATION_CHANGED => read(app, message, |event: InstallationChanged| {
            app.forget_introspections_of(event.instance_id);
            app.installation_changed(event.installation_id);
        }),
        subject::APP_CHANGED => read(app, message, |event: AppChanged| {
            app.forget_vendor(event.vendor_id);
            app.forget_feed();
        }),
        _ => app.forget_feed(),
    }
}

/// A change that cannot be read may have been of anything.
fn read<E: proto::prost::Message + Default>(app: &App, message: &Message, forget: impl FnOnce(E)) {
    match E::decode(message.payload.clone()) {
        Ok(event) => forget(event),
        Err(_) => forget_everything(app),
    }
}

fn forget_everything(app: &App) {
    app.forget_all_answers();
    app.forget_all_introspections();
    app.forget_all_keys();
    app.forget_all_vendors();
    app.forget_feed();
    app.installation_changes_missed();
}

//! What a shop is told besides its licences, if it asked for it.

use platform::telemetry::TraceContext;
use proto::events::{InstallationChanged, LicenseChanged, purpose, subject};
use testkit::receiver::Received;

use crate::harness::{Dispatcher, WAIT};

over_both! {
    a_shop_is_told_what_it_asked_for_byte_by_byte,
    a_shop_that_asked_for_nothing_is_told_of_its_licences_alone,
    what_changes_nothing_that_a_shop_is_told_of_leaves_no_row,
}

const FURTHER: [&str; 4] =
    ["license-revoked", "license-suspended", "license-reinstated", "installation-changed"];

impl Dispatcher {
    async fn license_changed(&self, instance_id: &str, act: Option<&str>, reason: Option<&str>) {
        let changed = LicenseChanged {
            license_id: "lic_1".to_owned(),
            instance_id: instance_id.to_owned(),
            marketplace_id: "@acme/seo-pro".to_owned(),
            reason: reason.map(str::to_owned),
            act: act.map(str::to_owned),
            sealed_license_key: self.seal(purpose::LICENSE_KEY, "CC-TEST-KEY"),
            ..LicenseChanged::default()
        };
        self.publish(subject::LICENSE_CHANGED, &changed, TraceContext::default()).await;
    }

    async fn installation_changed(&self, instance_id: &str) {
        let changed = InstallationChanged {
            installation_id: "itn_1".to_owned(),
            instance_id: instance_id.to_owned(),
            marketplace_id: "@acme/seo-pro".to_owned(),
            version: "2.0.0".to_owned(),
            state: "installed".to_owned(),
        };
        self.publish(subject::INSTALLATION_CHANGED, &changed, TraceContext::default()).await;
    }

    async fn tell_everything(&self, instance_id: &str) {
        self.license_changed(instance_id, Some("suspended"), Some("a dispute")).await;
        self.license_changed(instance_id, Some("reinstated"), None).await;
        self.license_changed(instance_id, Some("revoked"), Some("it was lost")).await;
        self.license_changed(instance_id, None, None).await;
        self.installation_changed(instance_id).await;
    }
}

/// The event and the body of each.
fn told(requests: &[Received]) -> Vec<(String, String)> {
    let told = |one: &Received| {
        let event = one.uri.path().strip_prefix("/admin/marketplace/").unwrap().to_owned();
        assert_eq!(one.header("x-carpha-event"), Some(event.as_str()));
        (event, String::from_utf8(one.body.to_vec()).unwrap())
    };
    let mut told: Vec<_> = requests.iter().map(told).collect();
    told.sort();
    told
}

async fn a_shop_is_told_what_it_asked_for_byte_by_byte(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    let endpoint_id = dispatcher.endpoint("inst_1").await.unwrap().endpoint_id;
    dispatcher.set_events(endpoint_id, &FURTHER).await;
    dispatcher.tell_everything("inst_1").await;
    let told = told(&shop.receiver.wait_for_count(4, WAIT).await.unwrap());
    let license = |event: &str, reason| {
        let body =
            format!(r#"{{"marketplace_id":"@acme/seo-pro","license_key":"CC-TEST-KEY","reason":{reason}}}"#);
        (event.to_owned(), body)
    };
    let installation = r#"{"installation_id":"itn_1","marketplace_id":"@acme/seo-pro","version":"2.0.0","state":"installed"}"#;
    let wanted = [
        ("installation-changed".to_owned(), installation.to_owned()),
        license("license-reinstated", "null"),
        license("license-revoked", r#""it was lost""#),
        license("license-suspended", r#""a dispute""#),
    ];
    assert_eq!(told, wanted);
    let settled = || async {
        let all = dispatcher.deliveries_to("inst_1").await;
        (all.len() == 4 && all.iter().all(|one| one.state == "delivered")).then_some(())
    };
    testkit::eventually("all to be delivered", WAIT, settled).await.unwrap();
}

async fn a_shop_that_asked_for_nothing_is_told_of_its_licences_alone(dispatcher: Dispatcher) {
    let (asked, quiet) = (dispatcher.shop("inst_1").await, dispatcher.shop("inst_2").await);
    let endpoint_id = dispatcher.endpoint("inst_1").await.unwrap().endpoint_id;
    dispatcher.set_events(endpoint_id, &["installation-changed"]).await;
    dispatcher.tell_everything("inst_2").await;
    dispatcher.issue("inst_1").await;
    dispatcher.issue("inst_2").await;
    dispatcher.reaches("inst_2", "delivered").await;
    // Another shop is told of what came later: what came before has been looked at, unless it is still in the hands of the
    // consumer, and then it would leave a row.
    dispatcher.installation_changed("inst_1").await;
    dispatcher.reaches("inst_1", "delivered").await;
    assert_eq!(
        told(&quiet.receiver.requests()).into_iter().map(|one| one.0).collect::<Vec<_>>(),
        ["license-issued"]
    );
    assert_eq!(dispatcher.deliveries_to("inst_2").await.len(), 1);
    assert_eq!(dispatcher.deliveries_to("inst_1").await.len(), 1, "it takes no licences any more");
    assert_eq!(told(&asked.receiver.requests())[0].0, "installation-changed");
}

async fn what_changes_nothing_that_a_shop_is_told_of_leaves_no_row(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    let endpoint_id = dispatcher.endpoint("inst_1").await.unwrap().endpoint_id;
    dispatcher.set_events(endpoint_id, &FURTHER).await;
    dispatcher.license_changed("inst_1", None, None).await;
    dispatcher.installation_changed("inst_1").await;
    let requests = shop.receiver.wait_for_count(1, WAIT).await.unwrap();
    assert_eq!(told(&requests)[0].0, "installation-changed");
    dispatcher.reaches("inst_1", "delivered").await;
    assert_eq!(dispatcher.deliveries_to("inst_1").await.len(), 1, "a seat is nobody's news");
}

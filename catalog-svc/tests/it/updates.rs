use std::collections::HashMap;

use platform::{AppResult, Code};
use proto::catalog::{ImportHeader, ListUpdatesRequest, Update};
use serde_json::json;

use crate::{
    harness::{Replica, World, answer, header, over_both, upload},
    packages::Package,
};

over_both! {
    a_shop_learns_of_its_updates
    a_question_that_is_none_is_refused
}

async fn updates(
    replica: &Replica,
    versions: &[(&str, &str)],
    platform: Option<&str>,
) -> AppResult<Vec<Update>> {
    let versions = versions.iter().map(|(id, version)| ((*id).to_owned(), (*version).to_owned()));
    let request =
        ListUpdatesRequest { versions: versions.collect(), platform_version: platform.map(Into::into) };
    Ok(answer(replica.catalog().list_updates(replica.shop(request)).await)?.updates)
}

async fn a_shop_learns_of_its_updates(world: World) {
    let replica = &world.first;
    let vendor = replica.vendor("acme").await;
    replica.publish(&vendor, &Package::new("@acme/other", "1.0.0")).await;
    replica.publish(&vendor, &Package::new("@acme/tool", "1.0.0")).await;
    let fix = Package::new("@acme/tool", "1.0.1").zip();
    let is_fix = ImportHeader { security: true, ..header(&vendor, &fix) };
    replica.upload(upload(is_fix, &fix)).await.unwrap();
    let more = Package::new("@acme/tool", "1.1.0").with("permissions", json!(["api:orders.read"]));
    replica.publish(&vendor, &more.with("carphacom_min_version", "2.0.0")).await;

    let installed =
        [("@acme/tool", "1.0.0"), ("@acme/other", "1.0.0"), ("@acme/unknown", "1.0.0"), ("local", "3.0.0")];
    let known = updates(replica, &installed, None).await.unwrap();
    let expected = Update {
        marketplace_id: "@acme/tool".into(),
        current: "1.0.0".into(),
        latest: "1.1.0".into(),
        changelog_url: Some("https://acme.example/changes".into()),
        auto_update: false,
        requires_consent: true,
        added_permissions: vec!["api:orders.read".into()],
        security: true,
        required_after_ms: None,
        changes: Vec::new(),
    };
    assert_eq!(known, [expected]);
    let older = updates(replica, &installed, Some("1.5.0")).await.unwrap();
    assert_eq!((older[0].latest.as_str(), older[0].auto_update, older[0].security), ("1.0.1", true, true));
    replica.yank("@acme/tool", "1.0.1", "broken").await.unwrap();
    assert_eq!(updates(replica, &installed, Some("1.5.0")).await.unwrap(), []);
    assert_eq!(updates(replica, &[], None).await.unwrap(), []);
}

async fn a_question_that_is_none_is_refused(world: World) {
    let replica = &world.first;
    for (versions, platform) in
        [([("@acme/tool", "secret-one")], None), ([("@acme/tool", "1.0.0")], Some("secret-2"))]
    {
        let error = updates(replica, &versions, platform).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidData);
        assert!(
            error.message().contains("semantic version") && !error.message().contains("secret"),
            "{error}"
        );
    }
    let many: HashMap<_, _> = (0..201).map(|n| (format!("@acme/app-{n}"), "1.0.0".to_owned())).collect();
    let request = ListUpdatesRequest { versions: many, platform_version: None };
    let error = answer(replica.catalog().list_updates(replica.shop(request)).await).unwrap_err();
    assert_eq!(error.code(), Code::InvalidData);
    assert!(error.message().contains("200"), "{error}");
}

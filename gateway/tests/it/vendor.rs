use std::sync::atomic::Ordering;

use platform::Principal;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{ADMIN_KEY, Gateway, SECRET_KEY, VENDOR_KEY, installation};

async fn get(gateway: &Gateway, path: &str) -> Value {
    let answer = gateway.call(Method::GET, path, VENDOR_KEY).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_vendor_sees_how_often_each_version_is_installed_and_which_is_past_its_deadline() {
    let gateway = Gateway::start().await;
    let body = get(&gateway, "/vendor/apps/@acme/hosted/versions").await;
    let expected = json!([
        { "version": "2.0.0", "installations": 0, "deadline": null, "past_deadline": false },
        { "version": "1.5.0", "installations": 0, "deadline": null, "past_deadline": false },
        { "version": "1.0.0", "installations": 3, "deadline": "1970-01-01T00:00:00.001Z", "past_deadline": true },
    ]);
    assert_eq!(body["versions"], expected);
    assert_eq!(body["count"], 3);
    let last = get(&gateway, "/vendor/apps/%40acme/hosted/versions?limit=1&offset=2").await;
    assert_eq!((&last["versions"][0]["version"], &last["count"]), (&json!("1.0.0"), &json!(3)));
    assert_eq!(gateway.catalog.vendors_resolved.load(Ordering::SeqCst), 1, "the key is looked up once");
}

#[tokio::test]
async fn a_vendor_sees_the_shops_of_its_app_and_no_more_of_them_than_the_app_is_told() {
    let gateway = Gateway::start().await;
    *gateway.script.installations.listed.lock().unwrap() = vec![installation("installed")];
    let body = get(&gateway, "/vendor/apps/@acme/hosted/installations?past_deadline=true").await;
    let shown = &body["installations"][0];
    assert_eq!((&shown["shop"], &shown["version"]), (&json!("TN81S9AUB1"), &json!("1.0.0")));
    assert_eq!(
        (&shown["past_deadline"], &shown["deadline"]),
        (&json!(true), &json!("1970-01-01T00:00:00.001Z"))
    );
    assert!(!body.to_string().contains("inst_1"));
    let (principal, asked) = gateway.script.installations.list_asked.lock().unwrap().take().unwrap();
    assert_eq!(principal, Principal::Vendor("vnd_1".to_owned()));
    assert_eq!((asked.versions, asked.present), (vec!["1.0.0".to_owned()], true));
    let none =
        get(&gateway, "/vendor/apps/@acme/hosted/installations?past_deadline=true&version=2.0.0").await;
    assert_eq!((&none["installations"], &none["count"]), (&json!([]), &json!(0)));
    get(&gateway, "/vendor/apps/@acme/hosted/installations?version=2.0.0").await;
    let (_, asked) = gateway.script.installations.list_asked.lock().unwrap().take().unwrap();
    assert_eq!(asked.versions, ["2.0.0"]);
}

#[tokio::test]
async fn another_vendors_app_is_as_unknown_as_one_that_does_not_exist() {
    let gateway = Gateway::start().await;
    for app in ["@other/hosted", "@acme/nothing"] {
        for view in ["versions", "installations"] {
            let path = format!("/vendor/apps/{app}/{view}");
            let refused = gateway.call(Method::GET, &path, VENDOR_KEY).send().await.unwrap();
            assert_eq!(refused.status(), 404, "{path}");
        }
    }
}

#[tokio::test]
async fn only_a_known_vendor_key_is_taken() {
    let gateway = Gateway::start().await;
    for key in ["vk_unknown", SECRET_KEY, ADMIN_KEY, "rubbish"] {
        let path = "/vendor/apps/@acme/hosted/versions";
        let refused = gateway.call(Method::GET, path, key).send().await.unwrap();
        assert_eq!(refused.status(), 401, "{key}");
        let told: Value = refused.json().await.unwrap();
        assert!(told["message"].as_str().unwrap().contains("key"), "{told}");
    }
    let orders = gateway.call(Method::GET, "/admin/installations", VENDOR_KEY).send().await.unwrap();
    assert_eq!(orders.status(), 401, "a vendor is no operator");
}

use std::{sync::atomic::Ordering, time::Duration};

use proto::events::{InstallationChanged, subject};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{ADMIN_KEY, Gateway, INSTALLATION, SECRET_KEY, SHOP_KEY, installation};

const PATH: &str = "/store/marketplace/installations";

async fn install(gateway: &Gateway, body: Value, prefer: Option<&str>) -> Response {
    let call = gateway.call(Method::POST, PATH, SECRET_KEY).json(&body);
    let call = match prefer {
        Some(prefer) => call.header("prefer", prefer),
        None => call,
    };
    call.send().await.unwrap()
}

fn wanted() -> Value {
    json!({ "marketplace_id": "@acme/hosted", "granted_permissions": ["api:orders.read"] })
}

async fn tell_of_a_change(gateway: &Gateway) {
    let changed = InstallationChanged {
        installation_id: INSTALLATION.to_owned(),
        instance_id: "inst_1".to_owned(),
        ..InstallationChanged::default()
    };
    gateway.publish(subject::INSTALLATION_CHANGED, changed).await;
}

#[tokio::test]
async fn the_release_on_offer_is_asked_for_with_what_the_catalogue_says_of_it() {
    let gateway = Gateway::start().await;
    let answer = install(&gateway, wanted(), None).await;
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.headers()["location"], format!("{PATH}/{INSTALLATION}"));
    assert!(!answer.headers().contains_key("preference-applied"));
    let body: Value = answer.json().await.unwrap();
    assert_eq!((&body["id"], &body["state"]), (&json!(INSTALLATION), &json!("installing")));
    assert_eq!(body["pending_update"], Value::Null, "what is not installed yet has no update");
    assert!(body.get("instance_id").is_none());
    let asked = gateway.script.installations.install_asked.lock().unwrap().take().unwrap();
    let release = asked.release.unwrap();
    assert_eq!((release.version.as_str(), release.kind.as_str()), ("2.0.0", "hosted"));
    assert_eq!((release.api_min_version, release.api_max_version), (Some(1), Some(3)));
    assert_eq!(release.surface, "surface of 2.0.0");
    assert_eq!(asked.granted_permissions, ["api:orders.read"]);
}

#[tokio::test]
async fn a_wrong_request_is_refused_before_anything_is_begun() {
    let gateway = Gateway::start().await;
    let cases = [
        (json!({ "version": "1.5.0" }), 409, "withdrawn"),
        (json!({ "version": "9.9.9" }), 404, "no app"),
        (json!({ "version": "newest" }), 400, "semantic version"),
        (json!({ "marketplace_id": "@acme/other" }), 404, "no app"),
        (json!({ "marketplace_id": "hosted" }), 400, "@vendor/app"),
        (json!({ "customer": "jo@example.com" }), 400, "not taken here"),
        (json!({ "api": { "base_url": "https://a.example", "min_version": 1 } }), 400, "max_version"),
        (json!({ "shop": "SOMEONE" }), 403, "as registered"),
    ];
    for (change, status, says) in cases {
        let mut body = wanted();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = install(&gateway, body, None).await;
        assert_eq!(refused.status(), status, "{change}");
        let told: Value = refused.json().await.unwrap();
        assert!(told["message"].as_str().unwrap().contains(says), "{told}");
        assert!(!told.to_string().contains("example.com"));
    }
    assert!(gateway.script.installations.install_asked.lock().unwrap().is_none());
}

#[tokio::test]
async fn only_the_shops_own_secret_key_is_taken() {
    let gateway = Gateway::start().await;
    for key in [SHOP_KEY, ADMIN_KEY, "vk_acme", "sk_unknown"] {
        for (method, path) in
            [(Method::GET, PATH.to_owned()), (Method::DELETE, format!("{PATH}/{INSTALLATION}"))]
        {
            assert_eq!(gateway.call(method, &path, key).send().await.unwrap().status(), 401, "{key}");
        }
    }
}

#[tokio::test]
async fn who_prefers_to_wait_is_answered_when_it_has_settled() {
    let gateway = Gateway::start().await;
    let settle = async {
        while gateway.script.installations.install_asked.lock().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        let began = Instant::now();
        *gateway.script.installations.current.lock().unwrap() = installation("installed");
        tell_of_a_change(&gateway).await;
        began
    };
    let (answer, began) = tokio::join!(install(&gateway, wanted(), Some("respond-async, wait=120")), settle);
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "the notice was not heeded: after 2 s it is read again in any case"
    );
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.headers()["preference-applied"], "wait=30", "longer is never waited");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["state"], "installed");
    assert_eq!(body["pending_update"]["version"], "2.0.0");
}

#[tokio::test]
async fn a_change_whose_notice_was_lost_is_found_by_reading_again() {
    let gateway = Gateway::start().await;
    let settle = async {
        while gateway.script.installations.install_asked.lock().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        *gateway.script.installations.current.lock().unwrap() = installation("cancelled");
    };
    let (answer, ()) = tokio::join!(install(&gateway, wanted(), Some("wait=25")), settle);
    assert_eq!(answer.json::<Value>().await.unwrap()["state"], "cancelled");
}

#[tokio::test]
async fn when_the_time_is_over_the_answer_says_how_far_it_came() {
    let gateway = Gateway::start().await;
    let began = Instant::now();
    let answer = install(&gateway, wanted(), Some("wait=1")).await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["preference-applied"]),
        (202, &"wait=1".parse().unwrap())
    );
    assert_eq!(answer.json::<Value>().await.unwrap()["state"], "installing");
}

#[tokio::test]
async fn a_gateway_that_ends_answers_those_who_wait() {
    let gateway = Gateway::start().await;
    let end = async {
        while gateway.script.installations.install_asked.lock().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        gateway.shutdown.cancel();
    };
    let began = Instant::now();
    let (answer, ()) = tokio::join!(install(&gateway, wanted(), Some("wait=30")), end);
    assert_eq!(answer.status(), 202);
    assert!(began.elapsed() < Duration::from_secs(15), "it was held past the end of the process");
}

#[tokio::test]
async fn an_update_asks_for_the_facts_of_the_version_it_goes_to() {
    let gateway = Gateway::start().await;
    *gateway.script.installations.current.lock().unwrap() = installation("updating");
    let path = format!("{PATH}/{INSTALLATION}/update");
    let grants = ["api:orders.read", "api:orders.write"];
    let body = json!({ "granted_permissions": grants });
    let answer = gateway.call(Method::POST, &path, SECRET_KEY).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.headers()["location"], format!("{PATH}/{INSTALLATION}"));
    let asked = gateway.script.installations.update_asked.lock().unwrap().take().unwrap();
    assert_eq!(asked.installation_id, INSTALLATION);
    assert_eq!(asked.release.unwrap().version, "2.0.0");
    assert_eq!(asked.granted_permissions, grants);
    let unknown = format!("{PATH}/itn_01ARZ3NDEKTSV4RRFFQ69G5FAW/update");
    let refused = gateway.call(Method::POST, &unknown, SECRET_KEY).json(&body).send().await.unwrap();
    assert_eq!(refused.status(), 404);
    let no_id = gateway.call(Method::POST, &format!("{PATH}/1/update"), SECRET_KEY).json(&body);
    assert_eq!(no_id.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn an_update_without_a_version_goes_where_the_pending_update_leads() {
    let gateway = Gateway::start().await;
    let pre_release =
        proto::license::Installation { version: "2.1.0-rc.1".to_owned(), ..installation("installed") };
    *gateway.script.installations.current.lock().unwrap() = pre_release;
    let path = format!("{PATH}/{INSTALLATION}");
    let shown = gateway.call(Method::GET, &path, SECRET_KEY).send().await.unwrap();
    assert_eq!(shown.json::<Value>().await.unwrap()["pending_update"]["version"], "2.1.0-rc.2");
    let body = json!({ "granted_permissions": ["api:orders.read"] });
    let call = gateway.call(Method::POST, &format!("{path}/update"), SECRET_KEY).json(&body);
    assert_eq!(call.send().await.unwrap().status(), 202);
    let asked = gateway.script.installations.update_asked.lock().unwrap().take().unwrap();
    assert_eq!(asked.release.unwrap().version, "2.1.0-rc.2");
}

#[tokio::test]
async fn what_was_accepted_is_answered_though_the_catalogue_fails_afterwards() {
    let gateway = Gateway::start().await;
    *gateway.script.installations.current.lock().unwrap() = installation("installed");
    *gateway.script.installations.listed.lock().unwrap() = vec![installation("installed")];
    gateway.catalog.updates_fail.store(true, Ordering::SeqCst);
    let one = format!("{PATH}/{INSTALLATION}");
    let to = json!({ "version": "2.0.0", "granted_permissions": ["api:orders.read"] });
    let calls = [
        (gateway.call(Method::POST, PATH, SECRET_KEY).json(&wanted()), 202),
        (gateway.call(Method::POST, &format!("{one}/update"), SECRET_KEY).json(&to), 202),
        (gateway.call(Method::DELETE, &one, SECRET_KEY), 202),
        (gateway.call(Method::GET, &one, SECRET_KEY), 200),
    ];
    for (call, status) in calls {
        let answer = call.send().await.unwrap();
        assert_eq!(answer.status(), status);
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&body["id"], &body["pending_update"]), (&json!(INSTALLATION), &Value::Null));
    }
    let listed = gateway.call(Method::GET, PATH, SECRET_KEY).send().await.unwrap();
    assert_eq!(listed.status(), 200);
    assert_eq!(listed.json::<Value>().await.unwrap()["installations"][0]["id"], INSTALLATION);
}

#[tokio::test]
async fn a_removal_is_accepted_and_can_be_waited_for() {
    let gateway = Gateway::start().await;
    *gateway.script.installations.current.lock().unwrap() = installation("removed");
    let path = format!("{PATH}/{INSTALLATION}");
    let call = gateway.call(Method::DELETE, &path, SECRET_KEY).header("prefer", "wait=5");
    let answer = call.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["preference-applied"]),
        (202, &"wait=5".parse().unwrap())
    );
    assert_eq!(answer.json::<Value>().await.unwrap()["state"], "removed");
}

#[tokio::test]
async fn a_page_of_installations_is_shown_with_what_is_pending_and_one_question_to_the_catalogue() {
    let gateway = Gateway::start().await;
    let moved_on = proto::license::Installation {
        marketplace_id: "@acme/second".to_owned(),
        version: "2.0.0".to_owned(),
        ..installation("installed")
    };
    let listed = vec![installation("installed"), moved_on, installation("removed")];
    *gateway.script.installations.listed.lock().unwrap() = listed;
    let path = format!("{PATH}?state=installed&marketplace_id=%40acme%2Fhosted&page=2&per_page=10");
    let answer = gateway.call(Method::GET, &path, SECRET_KEY).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.unwrap();
    assert_eq!((&body["count"], &body["limit"], &body["offset"]), (&json!(3), &json!(10), &json!(10)));
    let pending: Vec<&Value> =
        body["installations"].as_array().unwrap().iter().map(|it| &it["pending_update"]).collect();
    let expected = json!({
        "version": "2.0.0", "changes": ["permissions"], "requires_consent": true,
        "added_permissions": ["api:orders.write"], "required_after": "2012-05-02T06:10:07Z", "security": false,
        "changelog_url": null,
    });
    assert_eq!(pending, [&expected, &Value::Null, &Value::Null]);
    assert_eq!(gateway.catalog.updates_asked.lock().unwrap().len(), 1);
    let (_, asked) = gateway.script.installations.list_asked.lock().unwrap().take().unwrap();
    assert_eq!(
        (asked.state.as_deref(), asked.marketplace_id.as_deref()),
        (Some("installed"), Some("@acme/hosted"))
    );
    assert_eq!((asked.limit, asked.offset), (10, 10));
    for wrong in ["state=broken", "marketplace_id=hosted", "instance_id=inst_2", "page=0"] {
        let refused = gateway.call(Method::GET, &format!("{PATH}?{wrong}"), SECRET_KEY).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{wrong}");
    }
}

#[tokio::test]
async fn the_operator_sees_the_installations_of_all_shops() {
    let gateway = Gateway::start().await;
    *gateway.script.installations.listed.lock().unwrap() = vec![installation("installed")];
    let path = "/admin/installations?instance_id=inst_1&state=installed";
    let answer = gateway.call(Method::GET, path, ADMIN_KEY).send().await.unwrap();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["installations"][0]["instance_id"], "inst_1");
    assert_eq!(body["installations"][0]["shop"], "TN81S9AUB1");
    let (principal, asked) = gateway.script.installations.list_asked.lock().unwrap().take().unwrap();
    assert_eq!(principal, platform::Principal::Operator);
    assert_eq!(asked.instance_id.as_deref(), Some("inst_1"));
}

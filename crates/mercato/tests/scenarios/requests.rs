//! Requests that are not as they must be: each gets its clear answer, and none is echoed.

use std::{collections::BTreeMap, sync::Arc};

use http::Method;
use serde_json::{Value, json};
use testkit::market::{Caller, Options, Reply, Shop};
use wire::license_key::LicenseKey;

use crate::stage::{Outcome, Stage, assert_refused};

scenarios! {
    Options::default();
    a_missing_or_unknown_key_is_refused,
    an_unknown_app_or_version_is_not_found,
    a_version_that_is_no_semver_is_refused,
    versions_that_are_no_json_or_too_many_are_refused,
    a_page_that_cannot_be_is_refused,
    a_field_that_is_not_asked_for_is_refused_and_never_echoed,
    a_missing_or_wrong_field_is_named,
    a_body_that_is_no_json_is_refused,
    a_body_over_the_limit_is_refused,
    a_licence_key_with_a_typing_error_is_told_from_an_unknown_one,
    a_licence_of_another_app_is_a_mismatch,
    a_question_may_be_asked_in_the_look_alikes_of_a_key,
    a_bad_instance_id_or_nonce_is_refused,
    a_path_or_method_that_is_not_there_is_said_so,
    the_document_of_the_api_names_every_call_of_the_shops,
}

const FEED: &str = "/store/marketplace/feed";
const UPDATES: &str = "/store/marketplace/updates";
const CHECKOUT: &str = "/store/marketplace/checkout/session";
const INSTALLATIONS: &str = "/store/marketplace/installations";
const VERIFY: &str = "/store/marketplace/license/verify";
/// What must never come back, wherever it was put.
const PRIVATE: &str = "buyer@customers.example";

fn unknown_key() -> String {
    LicenseKey::from_entropy([42; 12]).to_string()
}

async fn a_missing_or_unknown_key_is_refused(stage: Arc<Stage>) -> Outcome {
    let nobody = stage.anyone()?;
    for path in [FEED, "/store/marketplace/feed/@a/b", UPDATES, "/store/marketplace/download/@a/b/1.0.0"] {
        let path = if path == UPDATES { format!("{path}?versions={{}}") } else { path.to_owned() };
        assert_refused(&nobody.get(&path).await?, 401, "unauthorized", "x-publishable-api-key");
    }
    for key in ["pk_unknown", "sk_unknown", "nonsense", ""] {
        let refused = nobody.with("x-publishable-api-key", key).get(FEED).await?;
        assert_refused(&refused, 401, "unauthorized", "key");
    }
    for (path, key) in
        [("/admin/vendors", "ak_of_nobody_at_all_0123456789"), ("/store/marketplace/licenses", "sk_1")]
    {
        assert_refused(&nobody.bearer(key).get(path).await?, 401, "unauthorized", "key");
        assert_refused(&nobody.get(path).await?, 401, "unauthorized", "Authorization: Bearer");
    }
    let shop = stage.shop().await?;
    assert_refused(&shop.administrator().get("/admin/vendors").await?, 401, "unauthorized", "ak_");
    Ok(())
}

async fn an_unknown_app_or_version_is_not_found(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    assert_refused(&shop.product("@nobody/nothing").await?, 404, "not_found", "there is no");
    for (app, version) in [("@nobody/nothing", "1.0.0"), (app.as_str(), "9.9.9")] {
        assert_refused(&shop.try_download(app, version, None).await?, 404, "not_found", "there is no");
        assert_refused(&shop.try_checkout(app, version).await?, 404, "not_found", "there is no");
    }
    for id in ["nothing", "@vendor", "@Vendor/App", "@a/b/c/d"] {
        let answer = shop.product(id).await?;
        assert!([400, 404].contains(&answer.status), "{id}: {}", answer.body);
    }
    Ok(())
}

async fn a_version_that_is_no_semver_is_refused(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    for version in ["1.0", "latest", "v1.0.0", "01.0.0"] {
        let download = shop.try_download(&app, version, None).await?;
        assert_refused(&download, 400, "invalid_data", "semantic version such as 1.0.0");
        assert_refused(&shop.try_checkout(&app, version).await?, 400, "invalid_data", "semantic version");
        let mut question = shop.question(&unknown_key(), &app);
        question["version"] = json!(version);
        assert_refused(
            &shop.reader().post(VERIFY, &question).await?,
            400,
            "invalid_data",
            "semantic version",
        );
    }
    let platform = [("versions", "{}"), ("platform_version", "two")];
    let answer = shop.reader().query(UPDATES, &platform).await?;
    assert_refused(&answer, 400, "invalid_data", "platform_version must be a semantic version");
    Ok(())
}

async fn versions_that_are_no_json_or_too_many_are_refused(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    let many: BTreeMap<_, _> = (0..201).map(|number| (format!("@v/p{number}"), "1.0.0")).collect();
    let cases = [
        (PRIVATE.to_owned(), "must be a JSON object such as"),
        (format!("[\"{PRIVATE}\"]"), "must be a JSON object such as"),
        (json!({ (PRIVATE): "1.0.0" }).to_string(), "no marketplace id"),
        (json!({ "@v/p": PRIVATE }).to_string(), "no semantic version"),
        (serde_json::to_string(&many)?, "more than 200 ids"),
        ("x".repeat(40 * 1024), "too long"),
    ];
    for (versions, says) in cases {
        let answer = shop.reader().query(UPDATES, &[("versions", &versions)]).await?;
        assert_refused(&answer, 400, "invalid_data", says);
        assert!(!answer.message().contains(PRIVATE));
    }
    assert_refused(&shop.reader().get(UPDATES).await?, 400, "invalid_data", "versions");
    Ok(())
}

async fn a_page_that_cannot_be_is_refused(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[("page", "0")], "page counts from 1"),
        (&[("per_page", "1000")], "from 1 to 100"),
        (&[("per_page", "0")], "from 1 to 100"),
        (&[("limit", "101")], "from 1 to 100"),
        (&[("page", "1"), ("offset", "0")], "not both"),
        (&[("page", "4294967295"), ("per_page", "100")], "beyond any catalogue"),
        (&[("page", PRIVATE)], "page"),
    ];
    for (query, says) in cases {
        let answer = shop.feed(query).await?;
        assert_eq!(answer.status, 400, "{query:?}: {}", answer.body);
        assert!(!answer.message().contains(PRIVATE), "{}", answer.message());
        assert!(answer.message().contains(says) || says == "page", "{query:?}: {}", answer.message());
    }
    assert_refused(&shop.feed(&[("type", PRIVATE)]).await?, 400, "invalid_data", "one of payment");
    assert_refused(&shop.feed(&[("search", &"w".repeat(201))]).await?, 400, "invalid_data", "at most 200");
    Ok(())
}

/// A checkout's body with something more.
fn order_with(shop: &Shop, field: &str, value: Value) -> Value {
    let mut order = json!({
        "marketplace_id": "@v/p", "version": "1.0.0",
        "customer_email": "merchant@shop.example", "instance_id": shop.id(),
    });
    order[field] = value;
    order
}

async fn a_field_that_is_not_asked_for_is_refused_and_never_echoed(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    let mut question = shop.question(&unknown_key(), "@v/p");
    question["customers"] = json!([PRIVATE]);
    let order = order_with(&shop, "order_lines", json!([{ "buyer": PRIVATE }]));
    for (path, body) in [(CHECKOUT, &order), (VERIFY, &question)] {
        let answer = shop.reader().post(path, body).await?;
        assert_refused(&answer, 400, "invalid_data", "a field that is not taken here; it takes");
        assert!(!answer.message().contains(PRIVATE) && !answer.message().contains("order_lines"));
    }
    for path in [FEED, UPDATES, "/store/marketplace/licenses"] {
        let answer = shop.administrator().query(path, &[("versions", "{}"), (PRIVATE, "1")]).await?;
        assert_eq!((answer.status, answer.error_type()), (400, "invalid_data"), "{path}");
        assert!(!answer.message().contains(PRIVATE), "{}", answer.message());
    }
    Ok(())
}

async fn a_missing_or_wrong_field_is_named(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    let mut order = order_with(&shop, "version", json!("1.0.0"));
    order.as_object_mut().unwrap().remove("customer_email");
    let answer = shop.reader().post(CHECKOUT, &order).await?;
    assert_refused(&answer, 400, "invalid_data", "lacks the field `customer_email`");
    let wrong = shop.reader().post(CHECKOUT, &order_with(&shop, "version", json!({ "of": PRIVATE }))).await?;
    assert_refused(&wrong, 400, "invalid_data", "wrong type; expected a string");
    for email in ["", "nobody", "a b@shop.example", "a@b@c.example"] {
        let answer = shop.reader().post(CHECKOUT, &order_with(&shop, "customer_email", json!(email))).await?;
        assert_refused(&answer, 400, "invalid_data", "customer_email must be an e-mail address");
    }
    Ok(())
}

async fn post_text(
    caller: &Caller,
    path: &str,
    content_type: Option<&str>,
    body: &str,
) -> anyhow::Result<Reply> {
    let request = caller.request(Method::POST, path).body(body.to_owned());
    let typed = content_type.into_iter().fold(request, |request, kind| request.header("content-type", kind));
    caller.send(typed).await
}

async fn a_body_that_is_no_json_is_refused(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    let good = shop.question(&unknown_key(), "@v/p").to_string();
    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let answer = post_text(shop.reader(), VERIFY, content_type, &good).await?;
        assert_refused(&answer, 400, "invalid_data", "Content-Type: application/json");
    }
    for body in ["", "{", PRIVATE, &format!("{good}{good}")] {
        let answer = post_text(shop.reader(), VERIFY, Some("application/json"), body).await?;
        assert_refused(&answer, 400, "invalid_data", "not well-formed JSON");
        assert!(!answer.message().contains(PRIVATE));
    }
    let charset = post_text(shop.reader(), VERIFY, Some("application/json; charset=utf-8"), &good).await?;
    assert_eq!(charset.status, 200, "{}", charset.body);
    Ok(())
}

async fn a_body_over_the_limit_is_refused(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    let order = order_with(&shop, "version", json!("1".repeat(100 * 1024)));
    assert_refused(&shop.reader().post(CHECKOUT, &order).await?, 413, "too_large", "65536 bytes");
    Ok(())
}

async fn a_licence_key_with_a_typing_error_is_told_from_an_unknown_one(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let key = stage.sell(&shop, &app).await?.key;
    let mut typed = key.clone();
    typed.replace_range(4..5, if &key[4..5] == "7" { "8" } else { "7" });
    let answer = shop.verify(&typed, &app).await?;
    assert_refused(&answer, 400, "invalid_data", "typing error");
    assert!(!answer.message().contains(&typed));
    assert_refused(&shop.verify("CC-12", &app).await?, 400, "invalid_data", "looks like CC-XXXX-XXXX");
    let unknown = shop.verify(&unknown_key(), &app).await?.ok()?;
    assert_eq!((&unknown["valid"], &unknown["code"]), (&json!(false), &json!("NOT_FOUND")));
    assert!(unknown["license"].is_null());
    Ok(())
}

async fn a_licence_of_another_app_is_a_mismatch(stage: Arc<Stage>) -> Outcome {
    let (shop, app, other) = (stage.shop().await?, stage.paid_app().await?, stage.paid_app().await?);
    let key = stage.sell(&shop, &app).await?.key;
    let answer = shop.verify(&key, &other).await?.ok()?;
    assert_eq!((&answer["valid"], &answer["code"]), (&json!(false), &json!("PRODUCT_MISMATCH")));
    assert!(answer["license"].is_null(), "nothing is told of a licence of another app");
    Ok(())
}

async fn a_question_may_be_asked_in_the_look_alikes_of_a_key(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let key = stage.sell(&shop, &app).await?.key;
    let typed = key.to_lowercase().replace('0', "o").replace('1', "l").replace('-', " ");
    assert_eq!(shop.verify(&typed, &app).await?.ok()?["code"], "VALID", "as a person types it");
    Ok(())
}

async fn a_bad_instance_id_or_nonce_is_refused(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    for (field, value, says) in [
        ("instance_id", "inst_".to_owned(), "inst"),
        ("instance_id", "enc_AAAA".to_owned(), "sealed"),
        ("instance_id", PRIVATE.to_owned(), "inst"),
        ("nonce", "n".repeat(129), "nonce must have at most 128 characters"),
        ("marketplace_id", "labels".to_owned(), "@vendor/app"),
    ] {
        let mut question = shop.question(&unknown_key(), "@v/p");
        question[field] = json!(value);
        let answer = shop.anyone().post(VERIFY, &question).await?;
        assert_refused(&answer, 400, "invalid_data", says);
        assert!(!answer.message().contains(PRIVATE));
    }
    Ok(())
}

async fn a_path_or_method_that_is_not_there_is_said_so(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    let nowhere = shop.reader().get("/store/marketplace/nothing").await?;
    assert_refused(&nowhere, 404, "not_found", "GET /openapi.json");
    let request = shop.reader().request(Method::DELETE, FEED);
    let wrong = shop.reader().send(request).await?;
    assert_eq!(wrong.status, 405);
    assert!(wrong.header("allow").contains("GET") && wrong.message().contains("Allow"), "{}", wrong.body);
    Ok(())
}

async fn the_document_of_the_api_names_every_call_of_the_shops(stage: Arc<Stage>) -> Outcome {
    let document = stage.anyone()?.get("/openapi.json").await?.ok()?;
    let calls = [
        ("get", FEED),
        ("get", "/store/marketplace/feed/{marketplaceId}"),
        ("get", UPDATES),
        ("get", "/store/marketplace/download/{marketplaceId}/{version}"),
        ("post", CHECKOUT),
        ("post", VERIFY),
        ("post", "/store/marketplace/license/deactivate"),
        ("get", "/store/marketplace/licenses"),
        ("post", INSTALLATIONS),
        ("get", INSTALLATIONS),
        ("get", "/store/marketplace/installations/{id}"),
        ("delete", "/store/marketplace/installations/{id}"),
        ("post", "/store/marketplace/installations/{id}/update"),
        ("post", "/store/marketplace/installations/introspect"),
        ("get", "/.well-known/mercato.json"),
    ];
    for (method, path) in calls {
        assert!(document["paths"][path][method].is_object(), "{method} {path}");
    }
    let docs = stage.anyone()?.get("/docs/").await?;
    assert!(docs.status == 200 && docs.header("content-type").starts_with("text/html"), "{}", docs.status);
    Ok(())
}

//! Stripe's own library signs an event; Standard Webhooks', libsodium's and two JWT libraries read what is ours.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::market::{Caller, Market, Options, Order, Package, Shop, Topology};

use crate::tools::ask;

const SOON: Duration = Duration::from_secs(30);
const APP: &str = "@acme/labels";

struct Sold {
    /// Ends with this value.
    _market: Market,
    shop: Shop,
    key: String,
}

/// A marketplace, and a shop that has ordered.
async fn order() -> (Market, Shop, Order) {
    let market = Market::start(Topology::OneProcess, Options::default()).await.unwrap();
    let admin = market.admin().unwrap();
    let vendor = admin.create_vendor("acme").await.unwrap();
    admin.import(&vendor, &Package::new(APP).price_cents(4900)).await.unwrap();
    let shop = market.shop("a-shop").await.unwrap();
    let order = shop.checkout(APP, "1.0.0").await.unwrap();
    (market, shop, order)
}

async fn sell() -> Sold {
    let (market, shop, order) = order().await;
    market.stripe().pay(&order.session_id).await.unwrap();
    let key = shop.wait_for_license(APP, SOON).await.unwrap().license_key().unwrap().to_owned();
    Sold { _market: market, shop, key }
}

impl Sold {
    async fn identity(&self) -> Value {
        self.shop.anyone().get("/.well-known/mercato.json").await.unwrap().ok().unwrap()
    }

    async fn verify(&self, instance_id: &str) -> Value {
        let mut question = self.shop.question(&self.key, APP);
        question["instance_id"] = json!(instance_id);
        question["nonce"] = json!("of this question");
        self.shop.reader().post("/store/marketplace/license/verify", &question).await.unwrap().ok().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_signed_by_stripes_own_library_is_taken() {
    let (market, shop, order) = order().await;
    let event = json!({
        "id": "evt_of_the_library", "object": "event", "type": "checkout.session.completed",
        "data": { "object": {
            "id": order.session_id, "object": "checkout.session", "payment_status": "paid",
            "amount_subtotal": 4900, "currency": "eur", "metadata": { "order_id": order.id },
        } },
    });
    let question = json!({ "payload": event.to_string(), "secret": market.keys().stripe_webhook_secret });
    let signed = ask("sign_event.mjs", &question).await;
    let payments = Caller::new(&market.payments_url()).unwrap();
    let post = |body: String| {
        let request = payments.request(Method::POST, "/stripe/webhook").body(body);
        payments.send(request.header("stripe-signature", signed["header"].as_str().unwrap()))
    };
    assert_eq!(post(event.to_string().replace("paid", "void")).await.unwrap().status, 400);
    assert_eq!(post(event.to_string()).await.unwrap().status, 200);
    shop.wait_for_license(APP, SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_webhook_is_verified_by_the_standard_webhooks_library() {
    let sold = sell().await;
    let told = &sold.shop.receiver.requests()[0];
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        .map(|name| (name.to_owned(), json!(told.header(name).unwrap())));
    let body = std::str::from_utf8(&told.body).unwrap();
    let question = json!({
        "do": "verify-webhook", "secret": sold.shop.registration.webhook_secret,
        "headers": Value::Object(headers.into_iter().collect()), "body": body,
    });
    assert_eq!(ask("shop.py", &question).await["verified"], serde_json::from_str::<Value>(body).unwrap());
    let mut tampered = question.clone();
    tampered["body"] = json!(body.replace("1.0.0", "6.6.6"));
    assert_eq!(ask("shop.py", &tampered).await["refused"], "WebhookVerificationError");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_id_that_libsodium_sealed_is_read() {
    let sold = sell().await;
    let question = json!({
        "do": "seal", "instance_id": sold.shop.id(), "sealing_key": sold.identity().await["sealing_key"],
    });
    let sealed = ask("shop.py", &question).await["sealed"].as_str().unwrap().to_owned();
    let answer = sold.verify(&sealed).await;
    assert_eq!((&answer["code"], &answer["license"]["seats_used"]), (&json!("VALID"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_licence_token_is_verified_by_public_libraries_from_the_published_keys() {
    let sold = sell().await;
    let (identity, answer) = (sold.identity().await, sold.verify(sold.shop.id()).await);
    let question = json!({
        "do": "verify-token", "token": answer["token"], "jwks": identity["jwks"], "issuer": identity["issuer"],
    });
    for script in ["verify_token.mjs", "shop.py"] {
        let claims = ask(script, &question).await["claims"].clone();
        assert_eq!((&claims["sub"], &claims["app"]), (&answer["license"]["id"], &json!(APP)), "{script}");
        assert_eq!((&claims["st"], &claims["nonce"]), (&json!("VALID"), &json!("of this question")));
        let mut forged = question.clone();
        let token = answer["token"].as_str().unwrap();
        let (rest, signature) = token.rsplit_once('.').unwrap();
        forged["token"] = json!(format!("{rest}.{}", signature.chars().rev().collect::<String>()));
        assert!(ask(script, &forged).await["refused"].is_string(), "{script} took a forged token");
    }
}

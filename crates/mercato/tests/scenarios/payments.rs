//! Checkout, and what becomes of an order.

use std::sync::Arc;

use serde_json::json;
use testkit::market::{Options, Package, Reply, Shop};

use crate::stage::{Outcome, SOON, Stage, assert_refused, text};

scenarios! {
    Options::default();
    a_declined_card_leaves_the_order_open_for_another,
    money_that_comes_later_issues_the_licence_later,
    money_that_never_comes_fails_the_order_and_frees_the_next,
    an_expired_page_makes_room_for_a_new_order,
    a_free_app_is_not_sold,
    a_withdrawn_version_is_not_sold,
    an_open_order_is_answered_again,
    a_call_repeated_with_its_idempotency_key_is_the_same_call,
    an_idempotency_key_belongs_to_one_shop,
    what_a_shop_has_is_not_sold_to_it_again,
    two_shops_buy_the_same_app,
}

const CHECKOUT: &str = "/store/marketplace/checkout/session";

async fn act(stage: &Stage, session: &str, act: &str) -> Outcome {
    stage.market.stripe().act(session, act, &json!({})).await?.success()
}

async fn a_declined_card_leaves_the_order_open_for_another(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let order = shop.checkout(&app, "1.0.0").await?;
    act(&stage, &order.session_id, "decline").await?;
    assert_eq!(stage.order_in(&order.id, "open").await?["state"], "open");
    assert_eq!(shop.checkout(&app, "1.0.0").await?, order);
    assert!(stage.licenses_of(&order.id).await?.is_empty() && shop.licenses().await?.is_empty());
    stage.market.stripe().pay(&order.session_id).await?;
    shop.wait_for_license(&app, SOON).await?;
    Ok(())
}

async fn money_that_comes_later_issues_the_licence_later(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let order = shop.checkout(&app, "1.0.0").await?;
    act(&stage, &order.session_id, "pay_later").await?;
    stage.order_in(&order.id, "processing").await?;
    assert!(stage.licenses_of(&order.id).await?.is_empty(), "nothing before the money");
    assert_refused(&shop.try_checkout(&app, "1.0.0").await?, 409, "conflict", "under way");
    act(&stage, &order.session_id, "settle").await?;
    shop.wait_for_license(&app, SOON).await?;
    stage.order_in(&order.id, "paid").await?;
    Ok(())
}

async fn money_that_never_comes_fails_the_order_and_frees_the_next(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let order = shop.checkout(&app, "1.0.0").await?;
    act(&stage, &order.session_id, "pay_later").await?;
    stage.order_in(&order.id, "processing").await?;
    act(&stage, &order.session_id, "fail").await?;
    stage.order_in(&order.id, "failed").await?;
    assert!(shop.licenses().await?.is_empty());
    let sale = stage.sell(&shop, &app).await?;
    assert_ne!(sale.order.id, order.id);
    Ok(())
}

async fn an_expired_page_makes_room_for_a_new_order(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let order = shop.checkout(&app, "1.0.0").await?;
    act(&stage, &order.session_id, "expire").await?;
    stage.order_in(&order.id, "expired").await?;
    let sale = stage.sell(&shop, &app).await?;
    assert_ne!((&sale.order.id, &sale.order.session_id), (&order.id, &order.session_id));
    assert!(stage.licenses_of(&order.id).await?.is_empty());
    Ok(())
}

async fn a_free_app_is_not_sold(stage: Arc<Stage>) -> Outcome {
    let (vendor, shop) = (stage.vendor().await?, stage.shop().await?);
    let package = Package::new(&format!("@{}/gift", vendor.name));
    stage.admin.import(&vendor, &package).await?;
    let refused = shop.try_checkout(package.marketplace_id(), "1.0.0").await?;
    assert_refused(&refused, 403, "not_allowed", "this app is free");
    Ok(())
}

async fn a_withdrawn_version_is_not_sold(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let yank = format!("/admin/releases/{app}/1.0.0/yank");
    stage.admin.caller().post(&yank, &json!({ "reason": "It loses money." })).await?.ok()?;
    assert_refused(&shop.try_checkout(&app, "1.0.0").await?, 409, "conflict", "withdrawn");
    Ok(())
}

async fn an_open_order_is_answered_again(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    let asked = futures::future::try_join_all((0..4).map(|_| shop.try_checkout(&app, "1.0.0"))).await?;
    // Of calls at the very same time one may be told to repeat itself; never are there two orders.
    let told: Vec<&Reply> = asked.iter().filter(|reply| reply.status == 200).collect();
    assert!(!told.is_empty() && asked.iter().all(|reply| [200, 503].contains(&reply.status)));
    let again = shop.try_checkout(&app, "1.0.0").await?.ok()?;
    assert!(told.iter().all(|reply| reply.body["id"] == again["id"] && reply.body["url"] == again["url"]));
    let orders = stage.admin.list("orders", &[("instance_id", shop.id())]).await?;
    assert_eq!(orders.len(), 1);
    Ok(())
}

async fn checkout_with(shop: &Shop, app: &str, key: &str, email: &str) -> anyhow::Result<Reply> {
    let body = json!({
        "marketplace_id": app, "version": "1.0.0", "customer_email": email, "instance_id": shop.id(),
    });
    shop.reader().with("idempotency-key", key).post(CHECKOUT, &body).await
}

async fn a_call_repeated_with_its_idempotency_key_is_the_same_call(stage: Arc<Stage>) -> Outcome {
    let (shop, app, other) = (stage.shop().await?, stage.paid_app().await?, stage.paid_app().await?);
    let first = checkout_with(&shop, &app, "key-1", "one@shop.example").await?.ok()?;
    let again = checkout_with(&shop, &app, "key-1", "one@shop.example").await?.ok()?;
    assert_eq!(first, again);
    for (app, email) in [(&other, "one@shop.example"), (&app, "two@shop.example")] {
        let changed = checkout_with(&shop, app, "key-1", email).await?;
        assert_refused(&changed, 409, "conflict", "Idempotency-Key was used with other parameters");
        assert!(!changed.message().contains('@'), "{}", changed.message());
    }
    let long = checkout_with(&shop, &app, &"k".repeat(256), "one@shop.example").await?;
    assert_refused(&long, 400, "invalid_data", "255");
    Ok(())
}

async fn an_idempotency_key_belongs_to_one_shop(stage: Arc<Stage>) -> Outcome {
    let (one, other, app) = (stage.shop().await?, stage.shop().await?, stage.paid_app().await?);
    let first = checkout_with(&one, &app, "order-1", "one@shop.example").await?.ok()?;
    let second = checkout_with(&other, &app, "order-1", "other@shop.example").await?.ok()?;
    assert_ne!(first["id"], second["id"]);
    Ok(())
}

async fn what_a_shop_has_is_not_sold_to_it_again(stage: Arc<Stage>) -> Outcome {
    let (shop, app) = (stage.shop().await?, stage.paid_app().await?);
    stage.sell(&shop, &app).await?;
    let again = shop.try_checkout(&app, "1.0.0").await?;
    assert_refused(&again, 409, "conflict", "already has a live licence");
    Ok(())
}

async fn two_shops_buy_the_same_app(stage: Arc<Stage>) -> Outcome {
    let (one, other, app) = (stage.shop().await?, stage.shop().await?, stage.paid_app().await?);
    let (first, second) = (stage.sell(&one, &app).await?, stage.sell(&other, &app).await?);
    assert_ne!((&first.key, &first.order.id), (&second.key, &second.order.id));
    let license = &stage.licenses_of(&first.order.id).await?[0];
    assert_eq!(text(license, "marketplace_id")?, app);
    Ok(())
}

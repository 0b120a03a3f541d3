use platform::Code;
use proto::catalog::ListProductsRequest;
use serde_json::json;

use crate::{
    harness::{Replica, World, over_both},
    packages::Package,
};

over_both! {
    the_feed_offers_the_latest_release_of_each_app_newest_first
    the_feed_is_narrowed_by_type_and_by_words
    a_pre_release_is_offered_only_where_there_is_nothing_else
    what_cannot_be_asked_is_refused
}

async fn names(replica: &Replica, request: ListProductsRequest) -> (Vec<String>, u32) {
    let answer = replica.list(request).await.unwrap();
    (answer.products.into_iter().map(|it| it.marketplace_id).collect(), answer.count)
}

fn searching(text: &str) -> ListProductsRequest {
    ListProductsRequest { search: Some(text.to_owned()), ..ListProductsRequest::default() }
}

async fn the_feed_offers_the_latest_release_of_each_app_newest_first(world: World) {
    let replica = &world.first;
    let vendor = replica.vendor("acme").await;
    for (id, version) in [("a", "1.9.0"), ("b", "1.0.0"), ("c", "1.0.0"), ("a", "1.10.0"), ("a", "1.2.0")] {
        world.later();
        replica.publish(&vendor, &Package::new(&format!("@acme/{id}"), version)).await;
    }
    let feed = replica.list(ListProductsRequest::default()).await.unwrap();
    let offered: Vec<_> =
        feed.products.iter().map(|it| (it.marketplace_id.as_str(), it.version.as_str())).collect();
    assert_eq!(offered, [("@acme/a", "1.10.0"), ("@acme/c", "1.0.0"), ("@acme/b", "1.0.0")]);
    let page = |limit, offset| ListProductsRequest { limit, offset, ..ListProductsRequest::default() };
    assert_eq!(names(replica, page(2, 1)).await, (vec!["@acme/c".into(), "@acme/b".into()], 3));
    assert_eq!(names(replica, page(2, 9)).await, (vec![], 3));
    let versions = replica.product("@acme/a").await.unwrap().versions;
    assert_eq!(
        versions.iter().map(|it| it.version.as_str()).collect::<Vec<_>>(),
        ["1.10.0", "1.9.0", "1.2.0"]
    );
}

async fn the_feed_is_narrowed_by_type_and_by_words(world: World) {
    let replica = &world.first;
    let vendor = replica.vendor("acme").await;
    let shop =
        Package::new("@acme/shop-window", "1.0.0").with("type", "storefront-template").with("name", "Window");
    let cards =
        Package::new("@acme/cards", "1.0.0").with("type", "payment").with("keywords", json!(["visa"]));
    for package in [&shop, &cards] {
        replica.publish(&vendor, package).await;
    }
    let of_type = ListProductsRequest { r#type: Some("payment".into()), ..ListProductsRequest::default() };
    assert_eq!(names(replica, of_type.clone()).await, (vec!["@acme/cards".into()], 1));
    assert_eq!(names(replica, searching("wind")).await, (vec!["@acme/shop-window".into()], 1));
    assert_eq!(names(replica, searching("VISA")).await, (vec!["@acme/cards".into()], 1));
    assert_eq!(
        names(replica, ListProductsRequest { search: Some("window".into()), ..of_type }).await,
        (vec![], 0)
    );
    assert_eq!(names(replica, searching("  ")).await.1, 2, "an empty box shows the feed");
    assert_eq!(names(replica, searching("\"AND (name:*")).await, (vec![], 0));

    replica.publish(&vendor, &shop.with("version", "2.0.0").with("name", "Vitrine")).await;
    assert_eq!(names(replica, searching("vitrine")).await.1, 1);
    replica.yank("@acme/cards", "1.0.0", "broken").await.unwrap();
    assert_eq!(names(replica, searching("visa")).await.1, 0);
}

async fn a_pre_release_is_offered_only_where_there_is_nothing_else(world: World) {
    let replica = &world.first;
    let vendor = replica.vendor("acme").await;
    let latest =
        async || replica.list(ListProductsRequest::default()).await.unwrap().products[0].version.clone();
    replica.publish(&vendor, &Package::new("@acme/tool", "1.0.0-rc.1")).await;
    assert_eq!(latest().await, "1.0.0-rc.1");
    replica.publish(&vendor, &Package::new("@acme/tool", "0.9.0")).await;
    assert_eq!(latest().await, "0.9.0");
}

async fn what_cannot_be_asked_is_refused(world: World) {
    let replica = &world.first;
    let toys = ListProductsRequest { r#type: Some("toy".into()), ..ListProductsRequest::default() };
    let error = replica.list(toys).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidData);
    assert!(error.message().contains("storefront-template") && !error.message().contains("toy"), "{error}");
    let many = ListProductsRequest { limit: 101, ..ListProductsRequest::default() };
    assert_eq!(replica.list(many).await.unwrap_err().code(), Code::InvalidData);
    assert_eq!(replica.product("@acme/none").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(replica.product("none").await.unwrap_err().code(), Code::InvalidData);
    assert_eq!(replica.release("@acme/none", "1.0.0").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(replica.release("@acme/none", "1").await.unwrap_err().code(), Code::InvalidData);
}

use proto::catalog::ListProductsRequest;
use sea_orm::ConnectionTrait as _;

use crate::{
    harness::{World, over_both},
    packages::Package,
};

over_both! {
    replicas_see_each_others_writes
    a_replica_that_starts_later_knows_what_is_published
    what_a_replica_cannot_read_is_told_by_its_readiness
}

async fn replicas_see_each_others_writes(world: World) {
    let (first, second) = (&world.first, world.replica().await);
    let vendor = first.vendor("acme").await;
    first.publish(&vendor, &Package::new("@acme/one", "1.0.0")).await;
    let seen = second.until_release("@acme/one", "1.0.0", |_| true).await;
    assert_eq!(second.feed().await, ["@acme/one"]);
    assert!(!second.chunks(&seen.sha256, 0, None).await.unwrap().is_empty());

    world.later();
    second.publish(&vendor, &Package::new("@acme/two", "1.0.0").with("name", "Second")).await;
    assert_eq!(
        second.feed().await,
        ["@acme/two", "@acme/one"],
        "a write is visible at once where it was made"
    );
    first.until_release("@acme/two", "1.0.0", |_| true).await;
    assert_eq!(first.feed().await, second.feed().await);
    let search = ListProductsRequest { search: Some("second".into()), ..ListProductsRequest::default() };
    assert_eq!(first.list(search.clone()).await.unwrap(), second.list(search).await.unwrap());

    first.yank("@acme/one", "1.0.0", "broken").await.unwrap();
    second.until_release("@acme/one", "1.0.0", |release| release.yanked_reason.is_some()).await;
    assert_eq!(second.feed().await, ["@acme/two"]);
    second.stop().await;
}

async fn a_replica_that_starts_later_knows_what_is_published(world: World) {
    let vendor = world.first.vendor("acme").await;
    for n in 0..5 {
        world.later();
        world.first.publish(&vendor, &Package::new(&format!("@acme/app-{n}"), "1.0.0")).await;
    }
    world.first.yank("@acme/app-3", "1.0.0", "broken").await.unwrap();
    let later = world.replica().await;
    assert_eq!(later.feed().await, world.first.feed().await);
    assert_eq!(
        later.product("@acme/app-3").await.unwrap(),
        world.first.product("@acme/app-3").await.unwrap()
    );
    let search = ListProductsRequest { search: Some("app".into()), ..ListProductsRequest::default() };
    assert_eq!(later.list(search.clone()).await.unwrap(), world.first.list(search).await.unwrap());
}

async fn what_a_replica_cannot_read_is_told_by_its_readiness(world: World) {
    assert!(world.first.readiness.is_ready().await);
    std::fs::remove_dir_all(world.artifacts()).unwrap();
    std::fs::write(world.artifacts(), "no folder").unwrap();
    assert!(!world.first.readiness.is_ready().await);

    let vendor = world.first.vendor("acme").await;
    let zip = Package::new("@acme/tool", "1.0.0").zip();
    let error = world.first.import(&vendor, &zip).await.unwrap_err();
    assert_eq!(error.code(), platform::Code::Unavailable);
    assert!(!error.message().contains('/'), "nothing of the inside: {error}");
    let rows = world.first.db.read().query_all_raw(count(&world)).await.unwrap();
    assert_eq!(rows[0].try_get::<i64>("", "n").unwrap(), 0, "no row without its artefact");

    std::fs::remove_file(world.artifacts()).unwrap();
    std::fs::create_dir(world.artifacts()).unwrap();
    world.first.import(&vendor, &zip).await.unwrap();
    assert!(world.first.readiness.is_ready().await);
}

fn count(world: &World) -> sea_orm::Statement {
    sea_orm::Statement::from_string(world.first.db.backend(), "SELECT COUNT(*) AS n FROM releases")
}

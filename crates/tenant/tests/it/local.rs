use super::{marketplace::Marketplace, shop::Shop};

const LOCAL: &str = r#"{"id":"mine","marketplace_id":"@me/mine","name":"My <b>own</b>","version":"0.1.0","type":"marketing",
    "carphacom_min_version":"1.0.0","description":"Made here.","author":"Me","price_eur":0,"entry":"index.js"}"#;

fn put_local_plugin(shop: &Shop) {
    std::fs::create_dir_all(shop.plugins().join("mine")).unwrap();
    std::fs::write(shop.plugins().join("mine/manifest.json"), LOCAL).unwrap();
}

#[tokio::test]
async fn without_a_marketplace_the_tab_shows_local_plugins_and_how_to_connect() {
    let shop = Shop::alone().await;
    put_local_plugin(&shop);
    let page = shop.get("/admin/marketplace").await;
    assert_eq!(page.status, 200);
    assert!(page.html.contains("CARPHACOM_FEDERATION_URL") && page.html.contains("CARPHACOM_FEDERATION_PK"));
    assert!(page.card("@me/mine").contains("Local plugin"));
    assert!(page.html.contains("My &#60;b&#62;own"), "a manifest is text, not markup");
    assert_eq!(shop.status().await["apps"][0]["state"], "local");
}

#[tokio::test]
async fn a_local_plugin_is_told_from_what_was_installed_and_not_sent_to_the_marketplace() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    put_local_plugin(&shop);
    assert!(shop.get("/admin/plugins").await.card("@me/mine").contains("Local plugin"));
    let heard = marketplace.world().heard.concat();
    assert!(!heard.contains("mine"), "{heard}");
}

use platform::secret::Secret;

use super::{
    marketplace::{APP, FREE, Marketplace},
    shop::{Shop, between},
};

#[tokio::test]
async fn the_page_of_an_app_says_what_it_may_do_and_takes_nothing_for_markup() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    let page = shop.get(&format!("/admin/marketplace/app/{APP}")).await;
    assert_eq!(page.status, 200);
    for text in
        ["Read your orders", "€49", "1.0.0", "2 November 2026", "&#60;script&#62;", "Acme &#60;Tools&#62;"]
    {
        assert!(page.html.contains(text), "{text}");
    }
    assert!(!page.html.contains("<script"));
    assert_eq!(shop.get("/admin/marketplace/app/@acme/none").await.status, 404);
    assert_eq!(shop.get("/admin/marketplace/app/x/y").await.status, 404);
}

#[tokio::test]
async fn a_search_is_passed_on_and_shown_again() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    let page = shop.get("/admin/marketplace?search=seo&type=marketing&page=x").await;
    assert!(page.html.contains(FREE) && !page.html.contains(APP));
    assert!(page.html.contains(r#"value="seo""#));
    let heard = marketplace.world().heard.last().unwrap().clone();
    assert!(
        heard.starts_with("GET /store/marketplace/feed?type=marketing&search=seo&page=1&per_page=12"),
        "{heard}"
    );
    let none = shop.get("/admin/marketplace?search=%22%3E%3Cb%3E").await;
    assert!(none.html.contains("Nothing fits") && !none.html.contains("<b>"));
}

#[tokio::test]
async fn a_marketplace_that_is_down_takes_nothing_else_with_it() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    marketplace.world().is_down = true;
    let page = shop.get("/admin/marketplace").await;
    assert_eq!(page.status, 200);
    assert!(page.html.contains("being repaired"));
    assert_eq!(shop.get("/admin/plugins").await.status, 200);
    assert_eq!(shop.get(&format!("/admin/marketplace/app/{APP}")).await.status, 502);
}

#[tokio::test]
async fn a_form_that_no_page_of_this_browser_made_changes_nothing() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::connected_to(&marketplace).await;
    let html = shop.get("/admin/plugins").await.html;
    let token = between(&html, r#"name="csrf" value=""#, '"').unwrap();
    let form = [("csrf", token.as_str()), ("app", FREE), ("version", "1.0.0")];
    let other = "mercato_form=00000000000000000000000000000000";
    for cookie in [None, Some(other)] {
        assert_eq!(shop.post_raw("/admin/marketplace/install", &form, cookie).await.status, 403);
    }
    let without = [("app", FREE), ("version", "1.0.0")];
    assert_eq!(shop.post_raw("/admin/marketplace/install", &without, Some(other)).await.status, 400);
    assert_eq!(shop.get("/admin/marketplace/install").await.status, 405);
    assert_eq!(shop.status().await["apps"], serde_json::json!([]));
}

#[tokio::test]
async fn pages_are_closed_to_other_sites_and_to_foreign_resources() {
    let shop = Shop::alone().await;
    let response = reqwest::get(format!("{}/admin/plugins", shop.url)).await.unwrap();
    let policy = response.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"));
    let html = response.text().await.unwrap();
    assert!(!html.contains("src=\"http") && !html.contains("<script"));
}

#[tokio::test]
async fn with_a_password_only_the_administrator_gets_in_and_the_webhook_still_does() {
    let marketplace = Marketplace::start().await;
    let shop = Shop::start(tempfile::tempdir().unwrap(), Some(&marketplace), |config| {
        config.admin_password = Some(Secret::new("correct horse"));
    })
    .await;
    for path in ["/admin/marketplace", "/admin/plugins", "/admin/marketplace/status.json", "/nowhere"] {
        assert_eq!(shop.get(path).await.status, 401, "{path}");
    }
    let sign_in = |password: &str| {
        let request = reqwest::Client::new().get(format!("{}/admin/plugins", shop.url));
        request.basic_auth("admin", Some(password)).send()
    };
    assert_eq!(sign_in("correct horse").await.unwrap().status(), 200);
    assert_eq!(sign_in("wrong horse").await.unwrap().status(), 401);
    assert_eq!(shop.deliver_license("dly_1", APP, "1.0.0", &marketplace.license_key()).await, 200);
    assert_eq!(shop.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn what_is_not_there_is_told_so() {
    let shop = Shop::alone().await;
    let page = shop.get("/admin/nowhere").await;
    assert_eq!(page.status, 404);
    assert!(page.html.contains("There is no such page"));
}

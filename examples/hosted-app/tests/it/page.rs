//! The page of the shops.

use std::fs;

use axum::http::{StatusCode, header};
use wire::open2b::Callback;

use crate::harness::{KEY, api, install, start};

#[tokio::test]
async fn the_page_shows_the_shops_and_never_their_keys() {
    let (app, _folder) = start().await;
    assert!(app.get("/").await.body.contains("No shop has this app yet"));
    for shop in ["ZULU", "ALPHA"] {
        app.tell(&install(shop)).await;
    }
    let page = app.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("Installed in 2 shops"));
    assert!(page.body.find("ALPHA") < page.body.find("ZULU"));
    assert!(page.body.contains("1.0.0") && page.body.contains("versions 1 to 3"));
    assert!(!page.body.contains(KEY));
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
}

#[tokio::test]
async fn what_a_shop_sends_is_text_and_not_markup() {
    let (app, _folder) = start().await;
    let hostile = "<script>alert(1)</script>".to_owned();
    let callback = Callback::Install {
        shop: hostile.clone(),
        site_url: "\"><img src=x>".to_owned(),
        api: api(),
        key: KEY.to_owned(),
        version: hostile,
    };
    assert_eq!(app.tell(&callback).await.status, StatusCode::OK);
    let page = app.get("/").await.body;
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    assert!(page.contains("alert(1)"));
}

#[tokio::test]
async fn a_file_that_is_no_shop_is_told_without_its_content() {
    let (app, _folder) = start().await;
    fs::write(app.data.join("notes.txt"), "not of the app").unwrap();
    assert_eq!(app.get("/").await.status, StatusCode::OK, "other files are left alone");
    fs::write(app.file_of("X"), r#"{"key":"s3cret"}"#).unwrap();
    let page = app.get("/").await;
    assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!page.body.contains("s3cret"));
}

//! What the app does with each callback, and what it answers.

use std::{fs, os::unix::fs::PermissionsExt as _, sync::atomic::Ordering};

use axum::http::{StatusCode, header};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use wire::open2b::{self, Accepted, AppSecret};

use crate::harness::{KEY, NOW, install, remove, secret, start, start_on, update};

const SHOP: &str = "TN81S9AUB1";

#[tokio::test]
async fn an_install_is_on_disk_before_it_is_answered_with_200() {
    let (app, _folder) = start().await;
    let answer = app.tell(&install(SHOP)).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "saved\n"));
    let expected = json!({
        "shop": SHOP, "site_url": "https://www.store.example/", "key": KEY, "version": "1.0.0",
        "api": {"baseURL": "https://myshop.example/api/", "maxVersion": 3, "minVersion": 1},
    });
    assert_eq!(app.saved(SHOP), Some(expected));
    let mode = fs::metadata(app.file_of(SHOP)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the API key is in it");
    assert_eq!(app.files(), 1, "nothing is left beside it");
}

#[tokio::test]
async fn a_callback_that_comes_again_leaves_the_same_behind() {
    let (app, _folder) = start().await;
    for callback in [install(SHOP), update(SHOP, "1.1.0"), remove(SHOP)] {
        assert_eq!(app.tell(&callback).await.status, StatusCode::OK);
        let (saved, files) = (app.saved(SHOP), app.files());
        assert_eq!(app.tell(&callback).await.status, StatusCode::OK, "{callback:?} again");
        assert_eq!((app.saved(SHOP), app.files()), (saved, files));
    }
}

#[tokio::test]
async fn an_update_moves_the_version_and_keeps_the_key() {
    let (app, _folder) = start().await;
    app.tell(&install(SHOP)).await;
    assert_eq!(app.tell(&update(SHOP, "2.0.0")).await.status, StatusCode::OK);
    let saved = app.saved(SHOP).unwrap();
    assert_eq!((&saved["version"], &saved["key"]), (&json!("2.0.0"), &json!(KEY)));
    assert_eq!(saved["site_url"], "https://new.store.example/");
}

#[tokio::test]
async fn an_update_of_a_shop_that_is_not_known_is_refused() {
    let (app, _folder) = start().await;
    let answer = app.tell(&update(SHOP, "2.0.0")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.body.contains("install it before"), "{}", answer.body);
    assert_eq!(app.files(), 0);
}

#[tokio::test]
async fn a_remove_forgets_the_shop_and_no_other() {
    let (app, _folder) = start().await;
    for shop in [SHOP, "OTHER"] {
        app.tell(&install(shop)).await;
    }
    assert_eq!(app.tell(&remove(SHOP)).await.status, StatusCode::OK);
    assert!(app.saved(SHOP).is_none() && app.saved("OTHER").is_some());
    assert_eq!(app.tell(&install(SHOP)).await.status, StatusCode::OK, "it may come back");
}

#[tokio::test]
async fn shops_of_several_versions_live_side_by_side() {
    let (app, _folder) = start().await;
    for (shop, version) in [("A", "1.0.0"), ("B", "1.1.0"), ("C", "2.0.0")] {
        app.tell(&install(shop)).await;
        app.tell(&update(shop, version)).await;
    }
    let versions = ["A", "B", "C"].map(|shop| app.saved(shop).unwrap()["version"].clone());
    assert_eq!(versions, ["1.0.0", "1.1.0", "2.0.0"]);
}

#[tokio::test]
async fn no_name_of_a_shop_leads_out_of_the_folder_or_to_another_shop() {
    let (app, folder) = start().await;
    let names = ["../../escape", "/etc/shop", "a", "A", "a.json", "é€😀", ".", "con", "%2e%2e%2f"];
    for name in names {
        assert_eq!(app.tell(&install(name)).await.status, StatusCode::OK, "{name}");
    }
    assert_eq!(app.files(), names.len());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only the folder of the shops");
}

#[tokio::test]
async fn what_cannot_be_saved_is_not_answered_with_200() {
    let (app, _folder) = start().await;
    fs::create_dir(app.file_of(SHOP)).unwrap();
    for callback in [install(SHOP), update(SHOP, "2.0.0"), remove(SHOP)] {
        let answer = app.tell(&callback).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{callback:?}");
        assert_eq!(answer.body, "the shop could not be saved\n");
    }
    assert_eq!(app.files(), 1, "nothing half-written stays");
}

#[tokio::test]
async fn during_a_rotation_both_secrets_are_taken() {
    let folder = tempfile::TempDir::new().unwrap();
    let old = AppSecret::from_bytes([1; 32]);
    let secrets = vec![Accepted::always(secret()), Accepted::until(old.clone(), NOW + 60)];
    let app = start_on(folder.path(), secrets).await;
    let by = |secret: &AppSecret| open2b::form(&install(SHOP).sign(secret, NOW + 600));
    assert_eq!(app.post(by(&old)).await.status, StatusCode::OK);
    app.clock.store(NOW + 60, Ordering::Relaxed);
    assert_eq!(app.post(by(&old)).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(app.post(by(&secret())).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_no_callback_is_refused_by_its_kind() {
    let (app, _folder) = start().await;
    let good = open2b::form(&install(SHOP).sign(&secret(), NOW));
    assert_eq!(
        app.post_as("application/json", good.clone()).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    assert_eq!(app.post(format!("{good}&{good}")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(app.post("").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(app.post(vec![b'a'; 70_000]).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let page = app.get("/install").await;
    assert_eq!(
        (page.status, page.headers[header::ALLOW].as_bytes()),
        (StatusCode::METHOD_NOT_ALLOWED, &b"POST"[..])
    );
    assert_eq!(app.get("/shops").await.status, StatusCode::NOT_FOUND);
    assert_eq!(app.files(), 0);
    let with_charset = "application/x-www-form-urlencoded; charset=UTF-8";
    assert_eq!(app.post_as(with_charset, good).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_refusal_says_what_is_wrong_and_repeats_nothing() {
    let (app, _folder) = start().await;
    let stranger = install(SHOP).sign(&AppSecret::from_bytes([9; 32]), NOW);
    let answer = app.post(open2b::form(&stranger)).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.body, "the signature does not fit; check that the app has its present secret\n");
    app.clock.store(NOW + 601, Ordering::Relaxed);
    let answer = app.tell(&install(SHOP)).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.body.contains("expired"), "{}", answer.body);
}

#[tokio::test]
async fn half_a_request_saves_nothing() {
    let (app, _folder) = start().await;
    let body = open2b::form(&install(SHOP).sign(&secret(), NOW));
    let address = app.url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /install HTTP/1.1\r\nhost: app\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&body.as_bytes()[..body.len() / 2]).await.unwrap();
    connection.shutdown().await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200"));
    assert_eq!(app.files(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callbacks_at_once_are_all_saved_whole() {
    let (app, _folder) = start().await;
    let app = std::sync::Arc::new(app);
    let mut telling = tokio::task::JoinSet::new();
    for number in 0..60 {
        let (app, shop) = (std::sync::Arc::clone(&app), format!("shop-{}", number % 20));
        telling.spawn(async move { app.tell(&install(&shop)).await.status });
    }
    assert!(telling.join_all().await.iter().all(|status| *status == StatusCode::OK));
    assert_eq!(app.files(), 20);
    assert!((0..20).all(|number| app.saved(&format!("shop-{number}")).unwrap()["key"] == KEY));
}

#[tokio::test]
async fn what_was_saved_is_there_after_a_restart() {
    let (app, folder) = start().await;
    app.tell(&install(SHOP)).await;
    let data = app.data.clone();
    app.stop().await;
    let app = start_on(&data, vec![Accepted::always(secret())]).await;
    assert!(app.get("/").await.body.contains(SHOP));
    assert_eq!(app.tell(&update(SHOP, "1.1.0")).await.status, StatusCode::OK);
    drop(folder);
}

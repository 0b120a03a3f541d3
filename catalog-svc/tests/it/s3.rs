//! Artefacts in S3, over a stand-in that speaks the calls we make.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use catalog_svc::config::ArtifactsConfig;
use platform::secret::Secret;
use tokio::net::TcpListener;

use crate::{
    harness::{Replica, World},
    packages::Package,
};

type Objects = Arc<Mutex<HashMap<String, Bytes>>>;

async fn stand_in() -> (String, Objects) {
    let objects = Objects::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(object).with_state(Arc::clone(&objects));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, objects)
}

async fn object(
    State(objects): State<Objects>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let signed = headers.contains_key(header::AUTHORIZATION)
        || uri.query().is_some_and(|query| query.contains("X-Amz-Signature="));
    if !signed {
        return StatusCode::FORBIDDEN.into_response();
    }
    let mut objects = objects.lock().unwrap();
    if method == Method::PUT {
        objects.insert(uri.path().to_owned(), body);
        return [(header::ETAG, "\"1\"")].into_response();
    }
    let Some(bytes) = objects.get(uri.path()) else { return StatusCode::NOT_FOUND.into_response() };
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let tag = [(header::ETAG, "\"1\"")];
    let Some((from, to)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        return (tag, bytes.clone()).into_response();
    };
    let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
    let content_range = [(header::CONTENT_RANGE, format!("bytes {from}-{to}/{}", bytes.len()))];
    (StatusCode::PARTIAL_CONTENT, tag, content_range, bytes.slice(from..=to)).into_response()
}

fn config(endpoint: String) -> ArtifactsConfig {
    ArtifactsConfig {
        url: "s3://bucket/apps".into(),
        endpoint: Some(endpoint),
        region: None,
        access_key: Some(Secret::new("access")),
        secret_key: Some(Secret::new("secret")),
        public: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_goes_to_s3_and_comes_back_through_us_and_by_its_own_url() {
    let world = World::embedded().await;
    let (endpoint, objects) = stand_in().await;
    let replica = Replica::start(&world.database, &world.bus, &world.clock, config(endpoint)).await;
    let vendor = replica.vendor("acme").await;
    let zip = Package::new("@acme/tool", "1.0.0").zip();
    let release = replica.import(&vendor, &zip).await.unwrap();
    let (folder, rest) = release.sha256.split_at(2);
    let path = format!("/bucket/apps/sha256/{folder}/{rest}.zip");
    assert_eq!(objects.lock().unwrap().get(&path).unwrap(), &zip);

    assert_eq!(replica.chunks(&release.sha256, 0, None).await.unwrap().concat(), zip);
    assert_eq!(replica.chunks(&release.sha256, 10, Some(20)).await.unwrap().concat(), zip[10..30]);
    let url = replica.release("@acme/tool", "1.0.0").await.unwrap().presigned_url.unwrap();
    assert!(url.contains("X-Amz-Expires=900"), "{url}");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(client.get(&url).send().await.unwrap().bytes().await.unwrap(), zip);

    objects.lock().unwrap().clear();
    let error = replica.chunks(&release.sha256, 0, None).await.unwrap_err();
    assert!(error.is_transient(), "an artefact that is gone is our fault: {error:?}");
}

//! The app on a free port, with a clock that the test sets.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use axum::{
    body::Body,
    http::{Request, header},
};
use hosted_app::Settings;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use wire::open2b::{self, Accepted, AppSecret, Callback, ShopApi};

use crate::http::{Answer, post_form, send};

pub(crate) const NOW: i64 = 1_760_000_000;
pub(crate) const KEY: &str = "EZMRp7tfDT7JisRlGREU3R00do4nq0BSLHRKToTppOZRiTc75a";

pub(crate) struct Running {
    pub(crate) url: String,
    pub(crate) data: PathBuf,
    pub(crate) clock: Arc<AtomicI64>,
    shutdown: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

pub(crate) fn secret() -> AppSecret {
    AppSecret::from_bytes([7; 32])
}

/// On a folder of its own, with the one secret.
pub(crate) async fn start() -> (Running, TempDir) {
    let folder = TempDir::new().unwrap();
    (start_on(&folder.path().join("shops"), vec![Accepted::always(secret())]).await, folder)
}

pub(crate) async fn start_on(data: &Path, secrets: Vec<Accepted>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    fs::create_dir_all(data).unwrap();
    let clock = Arc::new(AtomicI64::new(NOW));
    let told = Arc::clone(&clock);
    let settings = Settings {
        secrets,
        data_dir: data.to_owned(),
        clock: Arc::new(move || told.load(Ordering::Relaxed)),
    };
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(hosted_app::serve(listener, settings, shutdown.clone()));
    Running { url, data: data.to_owned(), clock, shutdown, serving }
}

impl Running {
    pub(crate) async fn post(&self, body: impl Into<Body>) -> Answer {
        post_form(&format!("{}/install", self.url), body).await
    }

    pub(crate) async fn post_as(&self, content_type: &str, body: impl Into<Body>) -> Answer {
        let request =
            Request::post(format!("{}/install", self.url)).header(header::CONTENT_TYPE, content_type);
        send(request.body(body.into()).unwrap()).await
    }

    /// Signed as the marketplace signs it.
    pub(crate) async fn tell(&self, callback: &Callback) -> Answer {
        self.post(open2b::form(&callback.sign(&secret(), NOW + 600))).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(Request::get(format!("{}{path}", self.url)).body(Body::empty()).unwrap()).await
    }

    pub(crate) fn file_of(&self, shop: &str) -> PathBuf {
        self.data.join(format!("{}.json", hex::encode(shop)))
    }

    pub(crate) fn saved(&self, shop: &str) -> Option<Value> {
        fs::read(self.file_of(shop)).ok().map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }

    /// How many files there are, of whatever name.
    pub(crate) fn files(&self) -> usize {
        fs::read_dir(&self.data).unwrap().count()
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.serving.await.unwrap().unwrap();
    }
}

pub(crate) fn api() -> ShopApi {
    ShopApi { base_url: "https://myshop.example/api/".to_owned(), max_version: 3, min_version: 1 }
}

pub(crate) fn install(shop: &str) -> Callback {
    Callback::Install {
        shop: shop.to_owned(),
        site_url: "https://www.store.example/".to_owned(),
        api: api(),
        key: KEY.to_owned(),
        version: "1.0.0".to_owned(),
    }
}

pub(crate) fn update(shop: &str, version: &str) -> Callback {
    Callback::Update {
        shop: shop.to_owned(),
        site_url: "https://new.store.example/".to_owned(),
        api: api(),
        version: version.to_owned(),
    }
}

pub(crate) fn remove(shop: &str) -> Callback {
    Callback::Remove { shop: shop.to_owned() }
}

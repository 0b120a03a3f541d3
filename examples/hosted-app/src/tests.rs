//! On a disk that fails between saving and being sure of it.

#![allow(clippy::unwrap_used)]

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use wire::open2b::{self, AppSecret, Callback, ShopApi};

use super::*;

const SHOP: &str = "TN81S9AUB1";

async fn start(shops: Shops) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let app = App {
        secrets: [Accepted::always(secret())].into(),
        shops: Arc::new(Mutex::new(shops)),
        clock: Arc::new(|| 0),
    };
    tokio::spawn(axum::serve(listener, router(app)).into_future());
    address
}

fn secret() -> AppSecret {
    AppSecret::from_bytes([7; 32])
}

fn install() -> Callback {
    let api = ShopApi { base_url: "https://myshop.example/api/".to_owned(), max_version: 3, min_version: 1 };
    let (shop, site_url) = (SHOP.to_owned(), "https://www.store.example/".to_owned());
    Callback::Install { shop, site_url, api, key: "0123456789".repeat(5), version: "1.0.0".to_owned() }
}

/// All that comes back, until the connection is closed.
async fn tell(address: &str, callback: &Callback) -> String {
    let form = open2b::form(&callback.sign(&secret(), 600));
    let head = "POST /install HTTP/1.1\r\nhost: app\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded";
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{form}", form.len());
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

/// It was answered with 500, which cancels an Install for good, and the app kept the shop.
#[tokio::test]
async fn a_shop_that_may_be_saved_is_answered_neither_yes_nor_no() {
    let folder = TempDir::new().unwrap();
    let address = start(Shops::on_a_failing_disk(folder.path().to_owned()).unwrap()).await;
    for callback in [install(), Callback::Remove { shop: SHOP.to_owned() }] {
        assert_eq!(tell(&address, &callback).await, "", "closed without an answer to {callback:?}");
    }

    let mended = start(Shops::open(folder.path().to_owned()).unwrap()).await;
    assert!(tell(&mended, &install()).await.starts_with("HTTP/1.1 200"), "told again, it installs");
}

#[tokio::test]
async fn a_shop_that_is_surely_not_saved_is_answered_with_500() {
    let folder = TempDir::new().unwrap();
    let shops = Shops::on_a_failing_disk(folder.path().to_owned()).unwrap();
    std::fs::create_dir(folder.path().join(format!("{}.json", hex::encode(SHOP)))).unwrap();
    assert!(tell(&start(shops).await, &install()).await.starts_with("HTTP/1.1 500"));
}

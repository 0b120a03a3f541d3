//! Disks and networks that take their time.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    time::Duration,
};

use axum::http::StatusCode;
use rustix::fs::{CWD, Mode, mkfifoat};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::spawn_blocking,
    time::{advance, pause},
};
use wire::open2b;

use crate::harness::{NOW, install, secret, start, update};

const SHOP: &str = "TN81S9AUB1";

/// It was answered with 408 after 20 seconds, which cancels an Install, and was saved all the same.
#[tokio::test]
async fn a_save_that_takes_long_is_answered_by_what_comes_of_it() {
    let (app, _folder) = start().await;
    app.tell(&install(SHOP)).await;
    let saved = fs::read(app.file_of(SHOP)).unwrap();
    fs::remove_file(app.file_of(SHOP)).unwrap();
    mkfifoat(CWD, app.file_of(SHOP), Mode::RUSR | Mode::WUSR).unwrap();

    let pipe = app.file_of(SHOP);
    let slow_disk = async {
        let begun = spawn_blocking(|| OpenOptions::new().write(true).open(pipe));
        let mut disk = begun.await.unwrap().unwrap();
        pause();
        advance(Duration::from_mins(5)).await;
        disk.write_all(&saved).unwrap();
    };
    let callback = update(SHOP, "2.0.0");
    let (answer, ()) = tokio::join!(app.tell(&callback), slow_disk);
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(app.saved(SHOP).unwrap()["version"], "2.0.0");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_waited_for_20_seconds_and_not_answered() {
    let (app, _folder) = start().await;
    let form = open2b::form(&install(SHOP).sign(&secret(), NOW));
    let mut connection = TcpStream::connect(app.url.strip_prefix("http://").unwrap()).await.unwrap();
    let head = "POST /install HTTP/1.1\r\nhost: app\r\ncontent-type: application/x-www-form-urlencoded";
    let half = format!("{head}\r\ncontent-length: {}\r\n\r\n{}", form.len(), &form[..form.len() / 2]);
    connection.write_all(half.as_bytes()).await.unwrap();
    pause(); // With nothing else to do, the clock goes to the end of the patience by itself.
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert_eq!((answer.as_str(), app.files()), ("", 0), "an answer would cancel the Install");
}

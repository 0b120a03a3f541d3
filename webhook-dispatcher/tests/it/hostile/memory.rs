//! What hostile answers cost.

use std::{process::Stdio, time::Duration};

use futures::{StreamExt as _, stream};
use testkit::{
    raw::{
        RawServer,
        http2::{CONTINUATION, DATA, END_HEADERS, HEADERS, STATUS_200, frame, literal, settings},
    },
    tls::Authority,
};
use tokio::{io::AsyncWriteExt as _, process::Command};
use webhook_dispatcher::sender::Client;

use super::{Expected, Misdeed, Stream, Then, client, misdeed, plainly, request, tls};

const ATTEMPTS: usize = 100;
const AT_ONCE: usize = 10;
const MOST_GROWTH: u64 = 64 * 1024 * 1024;
const ALONE: &str = "MERCATO_TEST_ALONE";

/// Other tests of this process would be measured along: it is run again, as a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat_over_hundreds_of_hostile_answers() {
    if std::env::var_os(ALONE).is_some() {
        return measure().await;
    }
    let name = "hostile::memory::memory_stays_flat_over_hundreds_of_hostile_answers";
    let mut alone = Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", name, "--nocapture"]).env(ALONE, "1").stdin(Stdio::null()).kill_on_drop(true);
    let output = alone.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "it did not run");
}

/// The first hundreds bring the process to its size; the same again must not.
async fn measure() {
    let authority = Authority::new().unwrap();
    let (plain, trusting) = (client(Duration::from_secs(1)), tls::trusting(&authority));
    let mut servers = Vec::new();
    for misdeed in floods() {
        servers.push((start(misdeed, plainly).await, "http", &plain));
    }
    let serve = tls::behind_tls(&authority, b"h2", async |misdeed: Misdeed, mut stream: Box<dyn Stream>| {
        stream.write_all(&settings(&[])).await?;
        testkit::raw::http2::read_request(&mut stream).await?;
        misdeed.commit(stream).await
    });
    for misdeed in http2_floods() {
        servers.push((start(misdeed, serve.clone()).await, "https", &trusting));
    }
    for (server, scheme, client) in &servers {
        let base = format!("{scheme}://localhost:{}", server.address().port());
        attempt_many(client, &base, AT_ONCE).await;
        let before = resident_bytes();
        attempt_many(client, &base, ATTEMPTS).await;
        let growth = resident_bytes().saturating_sub(before);
        assert!(growth < MOST_GROWTH, "{growth} bytes more after {ATTEMPTS} attempts at {base}");
        assert!(server.accepted() > 0, "nobody came to it");
    }
}

async fn start(
    misdeed: Misdeed,
    serve: impl Fn(Misdeed, tokio::net::TcpStream) -> super::Served + Send + Sync + 'static,
) -> RawServer {
    RawServer::start(move |stream| serve(misdeed.clone(), stream)).await.unwrap()
}

fn floods() -> Vec<Misdeed> {
    let any = Expected::Status(200);
    let flood = |bytes: &[u8]| Then::Torrent(bytes.to_vec());
    vec![
        misdeed("headers", any, b"HTTP/1.1 200 OK\r\n", flood(b"x-more: and more\r\n")),
        misdeed("a header", any, b"HTTP/1.1 200 OK\r\nx-more: ", flood(b"and more ")),
        misdeed("a body", any, b"HTTP/1.1 200 OK\r\n\r\n", flood(b"more ")),
        misdeed(
            "trailers",
            any,
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
            flood(b"x: y\r\n"),
        ),
        misdeed("hints", any, b"", flood(b"HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\n")),
    ]
}

fn http2_floods() -> Vec<Misdeed> {
    let any = Expected::Status(200);
    let ok = frame(HEADERS, END_HEADERS, 1, STATUS_200);
    let more = frame(CONTINUATION, 0, 1, &literal("x-more", "and more"));
    vec![
        misdeed("continuations", any, &frame(HEADERS, 0, 1, STATUS_200), Then::Torrent(more)),
        misdeed("data", any, &ok, Then::Torrent(frame(DATA, 0, 1, &[b'x'; 8_000]))),
    ]
}

async fn attempt_many(client: &Client, base: &str, attempts: usize) {
    let sent = stream::iter(0..attempts).map(|_| client.send(request(base)));
    sent.buffer_unordered(AT_ONCE).count().await;
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB")).unwrap();
    kibibytes.trim().parse::<u64>().unwrap() * 1024
}

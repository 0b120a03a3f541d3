//! Over HTTP/1.1.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use testkit::raw::{self, RawServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use webhook_dispatcher::domain::answer::Outcome::{self, Reset, Timeout, TooLarge};

use super::{
    CAP,
    Expected::{self, Status},
    Misdeed, TIMEOUT, Then, attempt, client, commit_all, misdeed, plainly,
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

fn no(outcome: Outcome) -> Expected {
    Expected::None(outcome)
}

fn flood(bytes: &[u8]) -> Then {
    Then::Flood(bytes.to_vec())
}

fn trickle(bytes: &[u8]) -> Then {
    Then::Trickle(bytes.to_vec())
}

/// Heads that never end, end too soon, or are none.
fn heads() -> Vec<Misdeed> {
    vec![
        misdeed("closes instead of an answer", no(Reset), b"", Then::Close),
        misdeed("closes in the status line", no(Reset), b"HTTP/1.1 20", Then::Close),
        misdeed("closes in a header", no(Reset), b"HTTP/1.1 200 OK\r\ncontent-le", Then::Close),
        misdeed("says nothing", no(Timeout), b"", Then::Hold),
        misdeed("stops in the status line", no(Timeout), b"HTTP/1.1 20", Then::Hold),
        misdeed("stops after the headers", no(Timeout), OK, Then::Hold),
        misdeed("trickles the status line", no(Timeout), b"HTTP/1.1 200 ", trickle(b"O")),
        misdeed("trickles headers", no(Timeout), OK, trickle(b"x-more: and more\r\n")),
        misdeed("an endless status line", no(TooLarge), b"HTTP/1.1 200 ", flood(b"OK")),
        misdeed("an endless header", no(TooLarge), b"HTTP/1.1 200 OK\r\nx-more: ", flood(b"and more ")),
        misdeed("endless headers", no(TooLarge), OK, flood(b"x-more: and more\r\n")),
        misdeed("endless header names", no(TooLarge), OK, flood(b"x")),
        misdeed("endless 100s", no(Timeout), b"", flood(b"HTTP/1.1 100 Continue\r\n\r\n")),
        misdeed("endless hints", no(Timeout), b"", flood(b"HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\n")),
        misdeed("endless line breaks", no(TooLarge), b"", flood(b"\r\n")),
        misdeed("no HTTP", no(Reset), b"220 mail.example ESMTP\r\n", Then::Hold),
        misdeed("endless nonsense", no(Reset), b"", flood(b"\0\xff nonsense")),
        misdeed("frames of HTTP/2", no(Reset), b"\0\0\0\x04\0\0\0\0\0", Then::Hold),
        misdeed("a status of two digits", no(Reset), b"HTTP/1.1 99 OK\r\n\r\n", Then::Hold),
        misdeed("a status of four digits", no(Reset), b"HTTP/1.1 2000 OK\r\n\r\n", Then::Hold),
        misdeed(
            "a header of control characters",
            no(Reset),
            b"HTTP/1.1 200 OK\r\na: \0\x01\r\n\r\n",
            Then::Hold,
        ),
        misdeed(
            "two lengths",
            no(Reset),
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
            Then::Hold,
        ),
        misdeed(
            "a length below zero",
            no(Reset),
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            Then::Hold,
        ),
        misdeed(
            "a length beyond all numbers",
            no(Reset),
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
            Then::Hold,
        ),
    ]
}

/// Good heads, whose status is the answer, before bodies that are not.
fn bodies() -> Vec<Misdeed> {
    let with = |end: &[u8]| [CHUNKED, end].concat();
    vec![
        misdeed("a body without end", Status(200), b"HTTP/1.1 200 OK\r\n\r\n", flood(b"more ")),
        misdeed("chunks without end", Status(200), CHUNKED, flood(b"5\r\nmore \r\n")),
        misdeed("chunks of one byte", Status(200), CHUNKED, flood(b"1\r\nx\r\n")),
        misdeed("a chunk of all bytes", Status(200), &with(b"ffffffffffffffff\r\n"), flood(b"more ")),
        misdeed("a chunk beyond all numbers", Status(200), &with(b"fffffffffffffffff\r\n"), flood(b"x")),
        misdeed("a chunk of no number", Status(200), &with(b"-5\r\nhello\r\n"), Then::Hold),
        misdeed("an endless chunk extension", Status(200), &with(b"5;x="), flood(b"x")),
        misdeed("endless trailers", Status(200), &with(b"0\r\n"), flood(b"x-more: and more\r\n")),
        misdeed("an endless trailer", Status(200), &with(b"0\r\nx-more: "), flood(b"x")),
        misdeed("a body that trickles", Status(200), b"HTTP/1.1 200 OK\r\n\r\n", trickle(b"x")),
        misdeed(
            "a body that stops",
            Status(500),
            b"HTTP/1.1 500 No\r\ncontent-length: 9\r\n\r\nand",
            Then::Hold,
        ),
        misdeed(
            "a body that ends early",
            Status(404),
            b"HTTP/1.1 404 No\r\ncontent-length: 9\r\n\r\n",
            Then::Close,
        ),
        misdeed("a body of 204", Status(204), b"HTTP/1.1 204 No Content\r\n\r\nbody", Then::Hold),
        misdeed("a bomb", Status(200), b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n", flood(&bomb())),
        misdeed(
            "an unknown coding",
            Status(200),
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: x\r\n\r\n",
            flood(b"x"),
        ),
        misdeed("a status of no class", Status(999), b"HTTP/1.1 999 ?\r\n\r\n", flood(b"x")),
        misdeed(
            "another protocol",
            Status(101),
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            flood(b"\x81\x05hello"),
        ),
        misdeed(
            "a redirect to the inside",
            Status(302),
            b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
            Then::Close,
        ),
    ]
}

/// A megabyte of zeros as gzip has it (RFC 1951 section 3.2.6): each 13 bits say "258 times the byte before".
fn bomb() -> Vec<u8> {
    const BEGIN: [u8; 11] = [1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0];
    const AGAIN: [u8; 13] = [1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0];
    let bits = [&BEGIN[..], &AGAIN.repeat(4_000)].concat();
    let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit);
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    head.into_iter().chain(bits.chunks(8).map(byte)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_hostile_head_has_its_class_and_ends_in_time() {
    commit_all(client(TIMEOUT), "http", heads(), plainly).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_hostile_body_changes_nothing_about_its_status_and_ends_in_time() {
    commit_all(client(TIMEOUT), "http", bodies(), plainly).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_closes_before_it_has_read_the_request_is_a_reset() {
    let at_once = RawServer::start(async |stream| {
        drop(stream);
        Ok(())
    });
    let midway = RawServer::start(async |mut stream| stream.read_exact(&mut [0; 20]).await.map(drop));
    let client = client(TIMEOUT);
    for server in [at_once.await.unwrap(), midway.await.unwrap()] {
        let base = format!("http://localhost:{}", server.address().port());
        assert_eq!(attempt(&client, &base).await.outcome, Reset);
    }
}

/// What comes after an answer is none to the next request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_asked_for_is_not_taken_for_the_next_ones() {
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&asked);
    let server = RawServer::start(move |mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            loop {
                raw::read_request(&mut stream).await?;
                seen.fetch_add(1, Ordering::SeqCst);
                let two = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(two).await?;
            }
        }
    });
    let server = server.await.unwrap();
    let (client, base) = (client(TIMEOUT), format!("http://localhost:{}", server.address().port()));
    for number in 1..=10 {
        assert_eq!(attempt(&client, &base).await.status, Some(200), "attempt {number}");
        assert_eq!(asked.load(Ordering::SeqCst), number, "each answer had its request");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_bytes_are_counted_as_they_came() {
    let server = RawServer::start(async |mut stream| {
        raw::read_request(&mut stream).await?;
        let bomb = bomb();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bomb.len());
        stream.write_all(&[head.as_bytes(), &bomb].concat()).await?;
        raw::hold(&mut stream).await
    });
    let server = server.await.unwrap();
    let answer = attempt(&client(TIMEOUT), &format!("http://localhost:{}", server.address().port())).await;
    assert_eq!(answer.size, Some(bomb().len() as u64));
    assert!((bomb().len() as u64) < CAP);
}

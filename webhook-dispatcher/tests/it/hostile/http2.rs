//! Over HTTP/2, frame by frame.

use testkit::{
    raw::http2::{
        self, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PUSH_PROMISE, RST_STREAM,
        STATUS_200, WINDOW_UPDATE, frame, literal, settings,
    },
    tls::Authority,
};
use tokio::io::AsyncWriteExt as _;
use webhook_dispatcher::domain::answer::Outcome::{Reset, Timeout};

use super::{
    Expected::{None, Status},
    Misdeed, Stream, Then, commit_all, misdeed,
    tls::{behind_tls, trusting},
};

/// The stream of a client's first request.
const FIRST: u32 = 1;

fn flood(frame: Vec<u8>) -> Then {
    Then::Flood(frame)
}

fn ok(flags: u8) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, FIRST, STATUS_200)
}

/// After the request was read.
fn misdeeds() -> Vec<Misdeed> {
    let (more, many) = (literal("x-more", "and more"), literal("x-more", &"more ".repeat(25)).repeat(2_000));
    let begun = frame(HEADERS, 0, FIRST, STATUS_200);
    let parts: Vec<u8> = many.chunks(16_000).flat_map(|part| frame(CONTINUATION, 0, FIRST, part)).collect();
    let whole = [begun.clone(), parts, frame(CONTINUATION, END_HEADERS, FIRST, b"")].concat();
    vec![
        misdeed("a reset", None(Reset), &frame(RST_STREAM, 0, FIRST, &[0, 0, 0, 8]), Then::Hold),
        misdeed("away", None(Reset), &frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0]), Then::Close),
        misdeed(
            "away with an error",
            None(Reset),
            &frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11]),
            Then::Close,
        ),
        misdeed("closes", None(Reset), b"", Then::Close),
        misdeed("says nothing", None(Timeout), b"", Then::Hold),
        misdeed("speaks HTTP/1.1", None(Reset), b"HTTP/1.1 200 OK\r\n\r\n", Then::Hold),
        misdeed("nonsense", None(Reset), b"", flood(b"\xff\xff\xff nonsense".to_vec())),
        misdeed("settings without end", None(Timeout), b"", flood(settings(&[(4, 65_535)]))),
        misdeed("pings without end", None(Timeout), b"", flood(frame(PING, 0, 0, &[7; 8]))),
        misdeed(
            "windows without end",
            None(Reset),
            b"",
            flood(frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        ),
        misdeed("resets without end", None(Reset), b"", flood(frame(RST_STREAM, 0, FIRST, &[0, 0, 0, 8]))),
        misdeed("unknown frames without end", None(Timeout), b"", flood(frame(0xbe, 0, 0, b"what?"))),
        misdeed(
            "continuations without end",
            None(Reset),
            &begun,
            flood(frame(CONTINUATION, 0, FIRST, &more)),
        ),
        misdeed(
            "empty continuations without end",
            None(Reset),
            &begun,
            flood(frame(CONTINUATION, 0, FIRST, b"")),
        ),
        misdeed("a header list beyond the bound", None(Reset), &whole, Then::Hold),
        misdeed(
            "a promise",
            None(Reset),
            &frame(PUSH_PROMISE, END_HEADERS, FIRST, &[0, 0, 0, 2, 0x82]),
            Then::Hold,
        ),
        misdeed("an answer to nothing", None(Reset), &frame(HEADERS, 5, 7, STATUS_200), Then::Hold),
        misdeed("no HPACK", None(Reset), &frame(HEADERS, 5, FIRST, &[0xff; 20]), Then::Hold),
        misdeed("no status", None(Reset), &frame(HEADERS, 5, FIRST, &more), Then::Hold),
        misdeed("a body without end", Status(200), &ok(0), flood(frame(DATA, 0, FIRST, &[b'x'; 1000]))),
        misdeed("an empty body without end", Status(200), &ok(0), flood(frame(DATA, 0, FIRST, b""))),
        misdeed("a body that stops", Status(200), &ok(0), Then::Hold),
        misdeed(
            "a reset in the body",
            Status(200),
            &[ok(0), frame(RST_STREAM, 0, FIRST, &[0, 0, 0, 8])].concat(),
            Then::Hold,
        ),
        misdeed("more after the end", Status(200), &ok(END_STREAM), flood(frame(DATA, 0, FIRST, b"x"))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_hostile_answer_over_http_2_has_its_class_and_ends_in_time() {
    let authority = Authority::new().unwrap();
    let serve = behind_tls(&authority, b"h2", async |misdeed: Misdeed, mut stream: Box<dyn Stream>| {
        stream.write_all(&settings(&[])).await?;
        stream.flush().await?;
        http2::read_request(&mut stream).await?;
        misdeed.commit(stream).await
    });
    commit_all(trusting(&authority), "https", misdeeds(), serve).await;
}

/// Before the request can be sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_lets_no_request_through_ends_in_time() {
    let authority = Authority::new().unwrap();
    let misdeeds = vec![
        misdeed("no window for the body", None(Timeout), &settings(&[(4, 0)]), Then::Hold),
        misdeed("no stream at all", None(Timeout), &settings(&[(3, 0)]), Then::Hold),
        misdeed("a window beyond all bounds", None(Reset), &settings(&[(4, 0xffff_ffff)]), Then::Hold),
        misdeed("no settings", None(Timeout), b"", Then::Hold),
    ];
    let serve = behind_tls(&authority, b"h2", async |misdeed: Misdeed, stream: Box<dyn Stream>| {
        misdeed.commit(stream).await
    });
    commit_all(trusting(&authority), "https", misdeeds, serve).await;
}

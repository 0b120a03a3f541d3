//! Every line of contracts.md section 3 about what follows from an attempt: its number, the answer, `Retry-After`, the
//! clock and the chance in, the next time or the end out.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::{
    answer::{Answer, Outcome},
    delivery::{Next, Tried, after},
    kind::Kind,
    retry_after,
    schedule::Schedule,
};

/// 1994-11-06 08:49:37, the example of RFC 9110 section 5.6.7.
const NOW: i64 = 784_111_777;
const IN_100_S: &str = "Sun, 06 Nov 1994 08:51:17 GMT";
const AN_HOUR_AGO: &str = "Sun, 06 Nov 1994 07:49:37 GMT";

use What::{Alone, Dead, Delivered, Gone, Retry};

#[derive(Debug, Clone, Copy)]
enum What {
    Delivered,
    /// After so many seconds.
    Retry(u64),
    /// After so many seconds, and the endpoint's others wait for so many.
    Alone(u64, u64),
    Dead(&'static str),
    Gone,
}

fn next(attempt: u32, answer: &Answer, chance: f64) -> Next {
    after(Kind::Webhook, answer, Tried { failures: attempt, left: None }, &Schedule::default(), chance)
}

fn expected(what: What) -> Next {
    let secs = Duration::from_secs;
    match what {
        Delivered => Next::Deliver,
        Retry(wait) => Next::Retry { wait: secs(wait), throttle: None },
        Alone(wait, throttle) => Next::Retry { wait: secs(wait), throttle: Some(secs(throttle)) },
        Dead(reason) => Next::Die { reason: reason.to_owned() },
        Gone => Next::Disable,
    }
}

#[test]
fn every_answer_has_its_consequence_at_every_attempt() {
    // The attempt, the status, Retry-After, the chance (0.5: no jitter), what follows.
    let cases: &[(u32, u16, &str, f64, What)] = &[
        // 2xx is success, whatever came before and whatever the headers say.
        (1, 200, "", 0.5, Delivered),
        (6, 299, "3600", 0.0, Delivered),
        // 1 m, 5 m, 30 m, 2 h, 12 h, then dead.
        (1, 500, "", 0.5, Retry(60)),
        (2, 500, "", 0.5, Retry(300)),
        (3, 500, "", 0.5, Retry(1_800)),
        (4, 500, "", 0.5, Retry(7_200)),
        (5, 500, "", 0.5, Retry(43_200)),
        (6, 500, "", 0.5, Dead("6 attempts failed; the last answer was 500")),
        (6, 503, "60", 0.5, Dead("6 attempts failed; the last answer was 503")),
        // ±20 % jitter.
        (1, 500, "", 0.0, Retry(48)),
        (5, 500, "", 0.0, Retry(34_560)),
        (3, 500, "", 0.75, Retry(1_980)),
        // 3xx and 4xx are failures like any other.
        (1, 301, "", 0.5, Retry(60)),
        (1, 304, "", 0.5, Retry(60)),
        (1, 400, "", 0.5, Retry(60)),
        (1, 404, "", 0.5, Retry(60)),
        (1, 999, "", 0.5, Retry(60)),
        // 410 disables the endpoint, at every attempt.
        (1, 410, "", 0.5, Gone),
        (6, 410, "3600", 0.5, Gone),
        // Retry-After between the scheduled wait and twice it; in seconds and as a date.
        (1, 500, "30", 0.5, Retry(60)),
        (1, 500, "100", 0.5, Retry(100)),
        (1, 500, IN_100_S, 0.5, Retry(100)),
        (1, 500, AN_HOUR_AGO, 0.5, Retry(60)),
        (1, 500, "3600", 0.5, Retry(120)),
        (1, 500, "99999999999999999999", 0.0, Retry(120)),
        (1, 500, "soon", 0.5, Retry(60)),
        (2, 500, "400", 0.5, Retry(400)),
        (2, 500, "601", 0.5, Retry(600)),
        (5, 500, "90000", 0.5, Retry(86_400)),
        // 429, 502, 503 and 504 throttle the endpoint, no longer than need be.
        (1, 429, "", 0.5, Alone(60, 60)),
        (1, 502, "", 0.5, Alone(60, 60)),
        (1, 503, "", 0.5, Alone(60, 60)),
        (1, 504, "", 0.5, Alone(60, 60)),
        (1, 503, "", 0.0, Alone(48, 48)),
        (5, 503, "", 0.5, Alone(43_200, 60)),
        (1, 429, "100", 0.5, Alone(100, 100)),
        (1, 429, IN_100_S, 0.5, Alone(100, 100)),
        (1, 429, "3600", 0.5, Alone(120, 120)),
        (4, 429, "10", 0.5, Alone(7_200, 60)),
        (4, 429, "900", 0.5, Alone(7_200, 900)),
        (5, 429, "86400", 0.5, Alone(86_400, 3_600)),
    ];
    for (attempt, status, header, chance, what) in cases {
        let answer = Answer::status(*status, retry_after::parse(header, NOW));
        assert_eq!(next(*attempt, &answer, *chance), expected(*what), "{attempt} {status} {header} {chance}");
    }
}

#[test]
fn every_class_of_silence_is_tried_again_and_named_in_the_end() {
    let classes = [
        (Outcome::Dns, "dns"),
        (Outcome::Refused, "refused"),
        (Outcome::Tls, "tls"),
        (Outcome::Timeout, "timeout"),
        (Outcome::Reset, "reset"),
        (Outcome::TooLarge, "too_large"),
        (Outcome::ForbiddenAddress, "forbidden_address"),
        (Outcome::Unsigned, "unsigned"),
    ];
    for (outcome, name) in classes {
        let silence = Answer::none(outcome);
        let waits = [60, 300, 1_800, 7_200, 43_200];
        for (attempt, wait) in (1..).zip(waits) {
            assert_eq!(next(attempt, &silence, 0.5), expected(Retry(wait)), "{name} {attempt}");
        }
        let reason = format!("6 attempts failed; the last one: {name}");
        assert_eq!(next(6, &silence, 0.5), Next::Die { reason });
    }
}

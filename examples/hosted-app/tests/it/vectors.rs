//! The public vectors, posted: what PHP, Node and Python say of them, the app says too.

use std::sync::atomic::Ordering;

use serde_json::Value;
use wire::open2b::{self, Accepted};

use crate::harness::start_on;

/// What the app answers for each outcome of the vectors.
fn status_of(expect: &str) -> u16 {
    match expect {
        "ok" => 200,
        "Signature" | "Expired" => 401,
        "Form" | "Data" | "UnknownOperation" => 400,
        other => panic!("a new outcome: {other}"),
    }
}

#[tokio::test]
async fn each_vector_is_answered_as_it_should_be() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../../crates/wire/vectors/open2b.json")).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert!(cases.len() > 30);
    for case in cases {
        let secrets = case["secrets"].as_array().unwrap().iter().map(|one| Accepted {
            secret: one["secret"].as_str().unwrap().parse().unwrap(),
            until: one["until"].as_i64(),
        });
        let folder = tempfile::TempDir::new().unwrap();
        let app = start_on(folder.path(), secrets.collect()).await;
        app.clock.store(case["now"].as_i64().unwrap(), Ordering::Relaxed);
        let answer = app.post(open2b::form(case["auth"].as_str().unwrap())).await;
        // This app has no shop yet that could be updated.
        let expected =
            if case["name"] == "update" { 404 } else { status_of(case["expect"].as_str().unwrap()) };
        assert_eq!(answer.status.as_u16(), expected, "{}: {}", case["name"], answer.body);
        let is_install = case["request"]["operation"] == "Install";
        assert_eq!(app.files(), usize::from(is_install), "{}", case["name"]);
        app.stop().await;
    }
}

//! What app authors write in PHP, Node and Python: over the public vectors, and as whole endpoints. `cargo xtask interop` runs this with the
//! programs that it needs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod endpoints;
#[allow(dead_code, reason = "the other tests use more of it")]
#[path = "../it/http.rs"]
mod http;

use std::{
    ffi::OsString,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

const LANGUAGES: [(&str, &str); 3] = [("PHP", "run.php"), ("NODE", "run.mjs"), ("PYTHON", "run.py")];

/// A variable that `cargo xtask interop` sets.
pub(crate) fn given(name: &str) -> OsString {
    let name = format!("MERCATO_INTEROP_{name}");
    std::env::var_os(&name).unwrap_or_else(|| panic!("{name} is missing: run `cargo xtask interop`"))
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../crates/wire/vectors/open2b.json")).unwrap()
}

/// Hands the cases to the verification of a language.
fn ask(program: &str, script: &str, cases: &Value) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(script);
    let mut command = Command::new(given(program));
    command.arg(script).env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    running.stdin.take().unwrap().write_all(cases.to_string().as_bytes()).unwrap();
    running.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn assert_takes_what_is_good(program: &str, script: &str) {
    let vectors = vectors();
    let cases = vectors["cases"].as_array().unwrap();
    let output = ask(program, script, &vectors);
    assert!(output.status.success(), "{}", said(&output));
    let requests: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(requests.len(), cases.len());
    for (case, request) in cases.iter().zip(&requests) {
        assert_eq!(request, &case["request"], "{program}: {}", case["name"]);
    }
}

/// An app that was started without its secret would otherwise take what anyone signs.
fn assert_stops_without_a_secret(program: &str, script: &str) {
    for secret in ["", "AAAA", "not base64url"] {
        let mut case = vectors()["cases"][0].clone();
        case["secrets"] = json!([{"secret": secret, "until": null}]);
        let output = ask(program, script, &json!({"cases": [case]}));
        assert!(!output.status.success(), "{program} went on with {secret:?}: {}", said(&output));
        assert!(said(&output).contains("the app secret is missing or not whole"), "{}", said(&output));
    }
}

#[test]
fn each_language_takes_what_is_good_and_nothing_else() {
    for (program, script) in LANGUAGES {
        assert_takes_what_is_good(program, script);
    }
}

#[test]
fn each_language_stops_without_a_secret() {
    for (program, script) in LANGUAGES {
        assert_stops_without_a_secret(program, script);
    }
}

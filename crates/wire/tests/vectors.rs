//! The committed vectors: each case gives what it says, and none has drifted from the generator.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code, reason = "the example uses more of it than the test")]
#[path = "../examples/vectors/generate.rs"]
mod generate;

use std::fmt::Debug;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use wire::keys::{Jwks, VerifyingKey};
use wire::license_key::LicenseKey;
use wire::manifest::Manifest;
use wire::open2b::{self, Accepted, Refusal, Request};
use wire::standard_webhooks::WebhookSecret;
use wire::{download_url, instance, license_token, release, standard_webhooks, timed_signature};

fn load(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Runs `check` on each case; it says what came out, to be compared with `expect`.
fn each_case(cases: &Value, check: impl Fn(&Value) -> String) {
    let cases = cases.as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        assert_eq!(check(case), text(case, "expect"), "{}", text(case, "name"));
    }
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap()
}

fn number(case: &Value, key: &str) -> i64 {
    case[key].as_i64().unwrap()
}

fn texts<'a>(case: &'a Value, key: &str) -> Vec<&'a str> {
    case[key].as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

fn keys(case: &Value) -> Vec<VerifyingKey> {
    serde_json::from_value(case["keys"].clone()).unwrap()
}

fn outcome<T, E: Debug>(result: &Result<T, E>) -> String {
    result.as_ref().map_or_else(|e| format!("{e:?}"), |_| "ok".to_owned())
}

#[test]
fn no_vector_has_drifted() {
    for (name, content) in generate::all() {
        assert_eq!(load(name), content, "{name}: run `cargo run -p mercato-wire --example vectors`");
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), generate::all().len());
    assert!(generate::to_text(&load("release.json")).ends_with("}\n"));
}

#[test]
fn timed_signatures() {
    each_case(&load("timed_signature.json")["cases"], |case| {
        let body = text(case, "body").as_bytes();
        let (now, tolerance) = (number(case, "now"), number(case, "tolerance"));
        outcome(&timed_signature::verify(&texts(case, "secrets"), text(case, "header"), body, now, tolerance))
    });
}

#[test]
fn standard_webhook_signatures() {
    each_case(&load("standard_webhooks.json")["cases"], |case| {
        let secrets: Vec<WebhookSecret> = texts(case, "secrets").iter().map(|s| s.parse().unwrap()).collect();
        outcome(&standard_webhooks::verify(
            &secrets.iter().collect::<Vec<_>>(),
            text(case, "id"),
            text(case, "timestamp"),
            text(case, "signature"),
            text(case, "body").as_bytes(),
            number(case, "now"),
            number(case, "tolerance"),
        ))
    });
}

#[test]
fn license_keys() {
    each_case(&load("license_key.json")["cases"], |case| {
        let parsed = text(case, "input").parse::<LicenseKey>();
        if let Ok(key) = &parsed {
            assert_eq!(key.to_string(), text(case, "canonical"));
            let hash_key = hex::decode(text(case, "lookup_key")).unwrap().try_into().unwrap();
            assert_eq!(hex::encode(key.lookup_hash(&hash_key)), text(case, "lookup_hash"));
        }
        outcome(&parsed)
    });
}

#[test]
fn license_tokens() {
    let file = load("license_token.json");
    let jwks: Jwks = serde_json::from_value(file["jwks"].clone()).unwrap();
    each_case(&file["cases"], |case| {
        let result =
            license_token::verify(&jwks, text(case, "token"), text(&file, "issuer"), number(case, "now"));
        assert_eq!(serde_json::to_value(result.as_ref().ok()).unwrap(), case["claims"]);
        outcome(&result)
    });
    for case in file["instance_hashes"].as_array().unwrap() {
        assert_eq!(license_token::instance_hash(text(case, "instance_id")), text(case, "ins"));
    }
}

#[test]
fn releases() {
    let file = load("release.json");
    each_case(&file["statements"], |case| {
        let (app, version) =
            (text(case, "marketplace_id").parse().unwrap(), text(case, "version").parse().unwrap());
        let sha256 = text(case, "sha256").parse().unwrap();
        let signature = serde_json::from_value(case["signature"].clone()).unwrap();
        if text(case, "expect") == "ok" {
            assert_eq!(release::statement(&app, &version, &sha256), text(&file, "statement_text"));
        }
        outcome(&release::verify_statement(&keys(case), &signature, &app, &version, &sha256))
    });
    each_case(&file["vendor"], |case| {
        let artifact = STANDARD.decode(text(case, "artifact")).unwrap();
        let result = release::verify_vendor_signature(&keys(case), &artifact, text(case, "signature"));
        assert_eq!(result.as_deref().ok(), case["key_id"].as_str());
        outcome(&result)
    });
}

#[test]
fn download_urls() {
    each_case(&load("download_url.json")["cases"], |case| {
        let keys: Vec<&[u8]> = texts(case, "keys").into_iter().map(str::as_bytes).collect();
        let (expires, now) = (number(case, "expires"), number(case, "now"));
        outcome(&download_url::verify(&keys, text(case, "path"), expires, text(case, "sig"), now))
    });
}

#[test]
fn sealed_instances() {
    let file = load("sealed_instance.json");
    let key: instance::SealingKey = text(&file, "secret_key").parse().unwrap();
    assert_eq!(key.public_key().to_string(), text(&file, "public_key"));
    each_case(&file["cases"], |case| {
        let result = instance::open(&key, text(case, "sealed"));
        assert_eq!(result.as_deref().ok(), case["instance_id"].as_str());
        outcome(&result)
    });
}

fn accepted(case: &Value) -> Vec<Accepted> {
    let secrets = case["secrets"].as_array().unwrap().iter();
    secrets
        .map(|one| Accepted { secret: text(one, "secret").parse().unwrap(), until: one["until"].as_i64() })
        .collect()
}

/// The fields of the vector's JSON that the contract names.
fn assert_same(request: &Request, json: &Value) {
    let mut named = serde_json::to_value(&request.callback).unwrap();
    named["expires"] = request.expires.into();
    for (key, value) in named.as_object().unwrap() {
        assert_eq!(&json[key], value);
    }
}

#[test]
fn callbacks_to_hosted_apps() {
    each_case(&load("open2b.json")["cases"], |case| {
        let (auth, now) = (text(case, "auth"), number(case, "now"));
        let result = open2b::parse(auth, &accepted(case), now);
        let body = open2b::form(auth);
        assert_eq!(open2b::parse_form(body.as_bytes(), &accepted(case), now), result);
        if let Ok(request) = &result {
            assert_same(request, &case["request"]);
        }
        outcome(&result)
    });
}

#[test]
fn every_refusal_of_a_callback_has_a_vector() {
    let file = load("open2b.json");
    let has = |expect: &str| file["cases"].as_array().unwrap().iter().any(|case| case["expect"] == expect);
    for refusal in
        [Refusal::Form, Refusal::Signature, Refusal::Data, Refusal::Expired, Refusal::UnknownOperation]
    {
        assert!(has(&format!("{refusal:?}")), "{refusal:?}");
    }
}

#[test]
fn canonical_manifests() {
    let file = load("manifest.json");
    let cases = file["canonical"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let canonical = Manifest::try_from(case["manifest"].clone()).unwrap().canonical();
        assert_eq!(String::from_utf8(canonical.clone()).unwrap(), text(case, "canonical"));
        assert_eq!(release::sha256_hex(&canonical), text(case, "sha256"));
    }
}

#[test]
fn manifests() {
    each_case(&load("manifest.json")["cases"], |case| match Manifest::try_from(case["manifest"].clone()) {
        Ok(manifest) => {
            assert_eq!(serde_json::to_value(manifest).unwrap(), case["manifest"]);
            "ok".to_owned()
        }
        Err(error) => {
            let fields: Vec<&str> = error.problems().iter().map(|problem| problem.field.as_str()).collect();
            assert_eq!(fields, texts(case, "problems"), "{}", text(case, "name"));
            "invalid".to_owned()
        }
    });
}

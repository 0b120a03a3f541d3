//! The vectors of every format, positive and negative, from fixed keys and a fixed time.
#![allow(clippy::expect_used)]

#[path = "open2b.rs"]
mod open2b;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use wire::instance::{self, SealingKey};
use wire::keys::{Jwks, SigningKey};
use wire::license_key::LicenseKey;
use wire::license_token::{self, LicenseClaims};
use wire::manifest::{Manifest, MarketplaceId};
use wire::release::{self, ArtifactDigest};
use wire::standard_webhooks::{self, WebhookSecret};
use wire::{download_url, timed_signature};

const NOW: i64 = 1_760_000_000;
/// The secret key that the sealed ids are for; public, as all keys here.
pub(crate) const SEALING_SEED: [u8; 32] = [5; 32];
const INSTANCE: &str = "inst_01JAY2M3N4P5Q6R7S8T9V0W1X2";
const ISSUER: &str = "https://marketplace.example";
/// Made by `PyNaCl` (libsodium): `interop/verify_vectors.py --seal`.
const SEALED_BY_LIBSODIUM: &str = "enc_IHCRNwNmRlZAGzf0rVibA2VUnaePk3bwGyns1dM9iVYgLZL4zrnb6GuqRTdH-HqJ8QFMDRo6e1vEEOKNOMbixnqdRTIqIIz2UGbQbqloUQ==";
const BODY: &str = r#"{"marketplace_id":"@vendor/plugin","version":"1.0.0","license_key":"CC-0000-0000-0000-0000-0000","purchased_by":"merchant@shop.example"}"#;

/// Every file's name and content.
pub(crate) fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("timed_signature.json", timed_signatures()),
        ("standard_webhooks.json", webhooks()),
        ("license_key.json", license_keys()),
        ("license_token.json", license_tokens()),
        ("release.json", releases()),
        ("download_url.json", download_urls()),
        ("sealed_instance.json", sealed_instances()),
        ("manifest.json", manifests()),
        ("open2b.json", open2b::all()),
    ]
}

/// A file's text, as it is committed.
pub(crate) fn to_text(content: &Value) -> String {
    format!("{content:#}\n")
}

fn secret(byte: u8) -> WebhookSecret {
    WebhookSecret::from_random([byte; 32])
}

fn timed_signatures() -> Value {
    let (old, new) = (secret(1), secret(2));
    let (old, new) = (old.expose(), new.expose());
    let good = timed_signature::sign(&[new], NOW, BODY.as_bytes());
    let case = |name: &str, secrets: &[&str], header: &str, body: &str, expect: &str| json!({"name": name, "secrets": secrets, "header": header, "body": body, "now": NOW, "tolerance": 300, "expect": expect});
    let at = |t| timed_signature::sign(&[new], t, BODY.as_bytes());
    json!({"about": "X-Carpha-Signature and Stripe-Signature, contracts section 3 and 6", "cases": [
        case("good", &[new], &good, BODY, "ok"),
        case("utf8 body", &[new], &timed_signature::sign(&[new], NOW, "é€😀".as_bytes()), "é€😀", "ok"),
        case("empty body", &[new], &timed_signature::sign(&[new], NOW, b""), "", "ok"),
        case("rotation, receiver has the old secret", &[old], &timed_signature::sign(&[new, old], NOW, BODY.as_bytes()), BODY, "ok"),
        case("rotation, receiver has both", &[old, new], &good, BODY, "ok"),
        case("unknown scheme ignored", &[new], &format!("{good},v0=00"), BODY, "ok"),
        case("oldest allowed", &[new], &at(NOW - 300), BODY, "ok"),
        case("newest allowed", &[new], &at(NOW + 300), BODY, "ok"),
        case("too old", &[new], &at(NOW - 301), BODY, "TooOld"),
        case("in the future", &[new], &at(NOW + 301), BODY, "InFuture"),
        case("changed body", &[new], &good, &BODY.replace("1.0.0", "1.0.1"), "Mismatch"),
        case("other secret", &[old], &good, BODY, "Mismatch"),
        case("changed time", &[new], &good.replace(&NOW.to_string(), &(NOW + 1).to_string()), BODY, "Mismatch"),
        case("missing", &[new], "", BODY, "Missing"),
        case("no time", &[new], good.split_once(',').map_or("", |(_, v1)| v1), BODY, "Malformed"),
        case("two times", &[new], &format!("t={NOW},{good}"), BODY, "Malformed"),
        case("only another scheme", &[new], &good.replace("v1=", "v0="), BODY, "Malformed"),
    ]})
}

fn webhooks() -> Value {
    let (old, new) = (secret(1), secret(2));
    let good = standard_webhooks::sign(&[&new], "dly_01", NOW, BODY.as_bytes());
    let case = |name: &str,
                secret: &WebhookSecret,
                id: &str,
                t: i64,
                signature: &str,
                body: &str,
                expect: &str| {
        json!({"name": name, "secrets": [secret.expose()], "id": id, "timestamp": t.to_string(), "signature": signature,
               "body": body, "now": NOW, "tolerance": 300, "expect": expect})
    };
    let at = |t| standard_webhooks::sign(&[&new], "dly_01", t, BODY.as_bytes());
    let both = standard_webhooks::sign(&[&new, &old], "dly_01", NOW, BODY.as_bytes());
    json!({"about": "webhook-id, webhook-timestamp, webhook-signature, contracts section 3", "cases": [
        case("good", &new, "dly_01", NOW, &good, BODY, "ok"),
        case("rotation", &old, "dly_01", NOW, &both, BODY, "ok"),
        case("other version ignored", &new, "dly_01", NOW, &format!("v1a,AAAA {good}"), BODY, "ok"),
        case("too old", &new, "dly_01", NOW - 301, &at(NOW - 301), BODY, "TooOld"),
        case("in the future", &new, "dly_01", NOW + 301, &at(NOW + 301), BODY, "InFuture"),
        case("changed body", &new, "dly_01", NOW, &good, "{}", "Mismatch"),
        case("changed id", &new, "dly_02", NOW, &good, BODY, "Mismatch"),
        case("other secret", &old, "dly_01", NOW, &good, BODY, "Mismatch"),
        case("missing", &new, "dly_01", NOW, "", BODY, "Missing"),
        case("only another version", &new, "dly_01", NOW, &good.replace("v1,", "v2,"), BODY, "Malformed"),
    ]})
}

fn license_keys() -> Value {
    let hash_key = [7; 32];
    let good = |name: &str, input: &str, key: &LicenseKey| {
        json!({"name": name, "input": input, "expect": "ok", "canonical": key.to_string(),
               "lookup_key": hex::encode(hash_key), "lookup_hash": hex::encode(key.lookup_hash(&hash_key))})
    };
    let bad = |name: &str, input: &str, expect: &str| json!({"name": name, "input": input, "expect": expect});
    let key = LicenseKey::from_entropy(*b"mercato-test");
    let text = key.to_string();
    let zeros = LicenseKey::from_entropy([0; 12]);
    json!({"about": "licence keys, contracts section 5", "cases": [
        good("canonical", &text, &key),
        good("lower case", &text.to_lowercase(), &key),
        good("spaces instead of hyphens", &text.replace('-', " "), &key),
        good("no separators", &text.replace('-', ""), &key),
        good("all bits set", &LicenseKey::from_entropy([255; 12]).to_string(), &LicenseKey::from_entropy([255; 12])),
        good("o for 0", "cc-oooo-OOOO-0000-0000-0000", &zeros),
        bad("typing error", "CC-0000-0000-0000-0000-0001", "Checksum"),
        bad("too short", "CC-0000-0000-0000-0000-000", "Malformed"),
        bad("too long", "CC-0000-0000-0000-0000-00000", "Malformed"),
        bad("no prefix", "0000-0000-0000-0000-0000", "Malformed"),
        bad("u is no symbol", "CC-U000-0000-0000-0000-0000", "Malformed"),
        bad("empty", "", "Malformed"),
    ]})
}

fn claims() -> LicenseClaims {
    LicenseClaims {
        iss: ISSUER.to_owned(),
        sub: "lic_01JAY2M3N4P5Q6R7S8T9V0W1X2".to_owned(),
        app: "@vendor/plugin".to_owned(),
        ins: license_token::instance_hash(INSTANCE),
        st: "VALID".to_owned(),
        iat: NOW,
        exp: NOW + license_token::TOKEN_LIFETIME_SECS,
        nonce: None,
    }
}

fn license_tokens() -> Value {
    let (old, new) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
    let sign = |key: &SigningKey, claims: &LicenseClaims| license_token::issue(key, &key.key_id(), claims);
    let with_nonce = LicenseClaims { nonce: Some("8f0c".to_owned()), ..claims() };
    let elsewhere = LicenseClaims { iss: "https://other.example".to_owned(), ..claims() };
    let good = sign(&new, &claims());
    let stranger = SigningKey::from_seed(&[3; 32]);
    let case = |name: &str, token: &str, now: i64, expect: &str, claims: Option<&LicenseClaims>| json!({"name": name, "token": token, "now": now, "expect": expect, "claims": claims});
    let cases = [
        case("good", &good, NOW, "ok", Some(&claims())),
        case("with nonce", &sign(&new, &with_nonce), NOW, "ok", Some(&with_nonce)),
        case("key before the rotation", &sign(&old, &claims()), NOW, "ok", Some(&claims())),
        case("last second", &good, NOW + license_token::TOKEN_LIFETIME_SECS - 1, "ok", Some(&claims())),
        case("expired", &good, NOW + license_token::TOKEN_LIFETIME_SECS, "Expired", None),
        case("issued in the future", &good, NOW - 301, "IssuedInFuture", None),
        case("other issuer", &sign(&new, &elsewhere), NOW, "Issuer", None),
        case("unknown key", &sign(&stranger, &claims()), NOW, "UnknownKey", None),
        case(
            "forged under a known key id",
            &license_token::issue(&stranger, &new.key_id(), &claims()),
            NOW,
            "Signature",
            None,
        ),
        case(
            "algorithm HS256",
            &with_header(&good, &format!(r#"{{"alg":"HS256","kid":"{}"}}"#, new.key_id())),
            NOW,
            "Algorithm",
            None,
        ),
        case("no token", "a.b.c", NOW, "Malformed", None),
    ];
    json!({"about": "licence tokens, contracts section 5", "issuer": ISSUER,
           "jwks": Jwks::new([&old.verifying_key(), &new.verifying_key()]),
           "instance_hashes": [{"instance_id": INSTANCE, "ins": license_token::instance_hash(INSTANCE)}], "cases": cases})
}

fn with_header(token: &str, header: &str) -> String {
    let rest = token.split_once('.').map_or("", |(_, rest)| rest);
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))
}

fn id(text: &str) -> MarketplaceId {
    text.parse().expect("a fixed, valid id")
}

fn releases() -> Value {
    let (market, vendor) = (SigningKey::from_seed(&[2; 32]), SigningKey::from_seed(&[4; 32]));
    let other = SigningKey::from_seed(&[5; 32]);
    let (app, version) = (id("@vendor/plugin"), semver::Version::new(1, 2, 3));
    let artifact = b"the bytes of a ZIP";
    let digest = ArtifactDigest::of(artifact);
    let signature = release::sign_statement(&market, &app, &version, &digest);
    let statement = |name: &str, key: &SigningKey, app: &str, version: &str, expect: &str| {
        json!({"name": name, "keys": [key.verifying_key()], "marketplace_id": app, "version": version, "sha256": digest,
               "signature": signature, "expect": expect})
    };
    let zip = |name: &str, keys: &[&SigningKey], bytes: &[u8], signature: &str, expect: &str| {
        let keys: Vec<_> = keys.iter().map(|key| key.verifying_key()).collect();
        json!({"name": name, "keys": keys, "artifact": STANDARD.encode(bytes), "signature": signature, "expect": expect,
               "key_id": (expect == "ok").then(|| vendor.key_id())})
    };
    let by_vendor = release::sign_artifact(&vendor, artifact);
    json!({"about": "release statements and vendor signatures, contracts section 8",
    "statement_text": release::statement(&app, &version, &digest),
    "statements": [
        statement("good", &market, "@vendor/plugin", "1.2.3", "ok"),
        statement("another app", &market, "@vendor/other", "1.2.3", "Mismatch"),
        statement("another version", &market, "@vendor/plugin", "1.2.4", "Mismatch"),
        statement("unknown key", &other, "@vendor/plugin", "1.2.3", "UnknownKey"),
    ],
    "vendor": [
        zip("good", &[&vendor], artifact, &by_vendor, "ok"),
        zip("rotated key", &[&other, &vendor], artifact, &by_vendor, "ok"),
        zip("changed bytes", &[&vendor], b"the bytes of a zip", &by_vendor, "Mismatch"),
        zip("another vendor's key", &[&other], artifact, &by_vendor, "Mismatch"),
        zip("short signature", &[&vendor], artifact, "AAAA", "MalformedSignature"),
    ]})
}

fn download_urls() -> Value {
    let path = "/dl/rel_01JAY2M3N4P5Q6R7S8T9V0W1X2/plugin-1.2.3.zip";
    let expires = NOW + download_url::LIFETIME_SECS;
    let url = download_url::sign(b"current key", path, expires);
    let sig = url.rsplit_once("sig=").map_or("", |(_, sig)| sig);
    let case = |name: &str, keys: &[&str], path: &str, expires: i64, sig: &str, now: i64, expect: &str| json!({"name": name, "keys": keys, "path": path, "expires": expires, "sig": sig, "now": now, "expect": expect});
    json!({"about": "download links, contracts section 2; keys are UTF-8 here", "url": url, "cases": [
        case("good", &["current key"], path, expires, sig, NOW, "ok"),
        case("rotation", &["next key", "current key"], path, expires, sig, NOW, "ok"),
        case("last second", &["current key"], path, expires, sig, expires - 1, "ok"),
        case("expired", &["current key"], path, expires, sig, expires, "Expired"),
        case("prolonged", &["current key"], path, expires + 900, sig, NOW, "Mismatch"),
        case("another path", &["current key"], "/dl/other.zip", expires, sig, NOW, "Mismatch"),
        case("another key", &["next key"], path, expires, sig, NOW, "Mismatch"),
        case("no signature", &["current key"], path, expires, "", NOW, "Mismatch"),
    ]})
}

fn sealed_instances() -> Value {
    let (key, other) = (SealingKey::from_seed(&SEALING_SEED), SealingKey::from_seed(&[6; 32]));
    let seal = |to: &SealingKey| instance::seal(&to.public_key(), INSTANCE, [9; 32]).expect("a valid id");
    let good = seal(&key);
    let padding = "=".repeat((4 - (good.len() - 4) % 4) % 4);
    let case = |name: &str, sealed: &str, expect: &str| json!({"name": name, "sealed": sealed, "expect": expect, "instance_id": (expect == "ok").then_some(INSTANCE)});
    json!({"about": "sealed instance ids (crypto_box_seal), contracts section 5",
           "secret_key": STANDARD.encode(SEALING_SEED), "public_key": key.public_key(), "cases": [
        case("good", &good, "ok"),
        case("padded", &format!("{good}{padding}"), "ok"),
        case("sealed by libsodium", SEALED_BY_LIBSODIUM, "ok"),
        case("for another key", &seal(&other), "CannotOpen"),
        case("cut", &good[..good.len() - 2], "CannotOpen"),
        case("too short", "enc_AAAA", "Malformed"),
        case("no base64url", "enc_+/+/", "Malformed"),
        case("no prefix", &good[4..], "Malformed"),
    ]})
}

fn manifest() -> Value {
    json!({"id": "seo-essentials", "marketplace_id": "@carphacom/seo-essentials", "name": "SEO Essentials", "version": "1.0.0",
           "type": "admin-extension", "carphacom_min_version": "1.0.0", "description": "Titles and sitemaps.",
           "author": "CarphaCom", "price_eur": 19.99, "entry": "./index.js"})
}

fn manifest_with(changes: &Value) -> Value {
    let mut manifest = manifest();
    for (key, value) in changes.as_object().into_iter().flatten() {
        manifest[key] = value.clone();
    }
    manifest
}

fn manifests() -> Value {
    let good = |name: &str, changes: &Value| json!({"name": name, "manifest": manifest_with(changes), "expect": "ok"});
    let bad = |name: &str, changes: &Value, problems: &[&str]| json!({"name": name, "manifest": manifest_with(changes), "expect": "invalid", "problems": problems});
    let optional = json!({"author_url": "https://a.example", "icon_url": "https://a.example/i.png", "screenshots": ["https://a.example/1.png"],
        "migrations": true, "auto_restart": true, "permissions": ["api:orders.read"], "keywords": ["seo"], "changelog_url": "https://a.example/c",
        "config_schema": {"secret_key": {"type": "string", "label": "Secret key", "required": true, "secret": true, "placeholder": "sk_…"}},
        "menu_items": [{"label": "Settings", "path": "/cms/plugins/seo", "icon": "Search"}],
        "medusa_provider": {"module": "payment", "resolve": "./providers/x", "id": "x"}});
    json!({"about": "manifests, contracts section 8", "cases": [
        good("all required", &json!({})),
        good("all optional", &optional),
        good("unknown keys are kept", &json!({"x-vendor": {"a": [1, null]}})),
        good("free", &json!({"price_eur": 0})),
        bad("version is no semver", &json!({"version": "1.0"}), &["version"]),
        bad("unknown type", &json!({"type": "theme"}), &["type"]),
        bad("marketplace id without vendor", &json!({"marketplace_id": "seo-essentials"}), &["marketplace_id"]),
        bad("price with three decimals", &json!({"price_eur": 1.999}), &["price_eur"]),
        bad("negative price", &json!({"price_eur": -1}), &["price_eur"]),
        bad("entry outside", &json!({"entry": "../index.js"}), &["entry"]),
        bad("script instead of URL", &json!({"icon_url": "javascript:alert(1)"}), &["icon_url"]),
        bad("all problems at once", &json!({"id": "SEO", "name": "", "keywords": "seo"}), &["id", "name", "keywords"]),
        good("hosted", &hosted(&json!({}))),
        good("hosted, all optional", &hosted(&json!({"code_url": "https://cdn.app.example/app.js", "api": {"min_version": 1, "max_version": 3}}))),
        good("hosted, unknown keys are kept", &hosted(&json!({"region": "eu", "api": {"min_version": 1, "max_version": 1, "x": null}}))),
        bad("a hosted app's entry is a URL", &json!({"hosted": {"installation_url": "https://app.example/install"}}), &["entry"]),
        bad("hosted without an endpoint", &json!({"entry": "https://app.example/", "hosted": {}}), &["hosted.installation_url"]),
        bad("an endpoint with a password", &hosted(&json!({"installation_url": "https://u:p@app.example/"})), &["hosted.installation_url"]),
        bad("an empty API range", &hosted(&json!({"api": {"min_version": 2, "max_version": 1}})), &["hosted.api.max_version"]),
        json!({"name": "empty", "manifest": {}, "expect": "invalid", "problems": ["id", "marketplace_id", "name", "version", "type",
            "carphacom_min_version", "description", "author", "price_eur", "entry"]}),
    ], "canonical": canonical_forms()})
}

fn hosted(changes: &Value) -> Value {
    let mut hosted = json!({"installation_url": "https://app.example/install"});
    for (key, value) in changes.as_object().into_iter().flatten() {
        hosted[key] = value.clone();
    }
    json!({"entry": "https://app.example/", "hosted": hosted})
}

/// RFC 8785, with the numbers and the keys of its examples.
fn canonical_forms() -> Value {
    let case = |name: &str, changes: &Value| {
        let manifest = Manifest::try_from(manifest_with(changes)).expect("a good case");
        let canonical = String::from_utf8(manifest.canonical()).expect("JSON is UTF-8");
        let sha256 = ArtifactDigest::of(canonical.as_bytes());
        json!({"name": name, "manifest": manifest_with(changes), "canonical": canonical, "sha256": sha256})
    };
    let mut odd = hosted(&json!({"api": {"max_version": 3, "min_version": 1}}));
    odd["numbers"] =
        json!([333_333_333.333_333_3, 1e30, 4.50, 2e-3, 1e-27, 0, -0.0, 1e21, 9_007_199_254_740_991_u64]);
    odd["keys"] =
        json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
    odd["text"] = json!("\u{20ac}$\u{f}\nA'B\"\\\\\"/\u{7f}\u{2028}");
    json!([
        case("hosted", &hosted(&json!({}))),
        case("hosted, with price and permissions", &{
            let mut paid = hosted(&json!({"code_url": "https://cdn.app.example/app.js"}));
            paid["price_eur"] = json!(20.50);
            paid["permissions"] = json!(["api:products.read", "api:orders.read"]);
            paid
        }),
        case("numbers, keys and texts", &odd),
    ])
}

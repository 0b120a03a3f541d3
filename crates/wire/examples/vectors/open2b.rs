//! The vectors of the callbacks to hosted apps.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use wire::open2b::{AppSecret, Callback, ShopApi};

use super::NOW;

const EXPIRES: i64 = NOW + 600;
/// When the rotation of these vectors ends.
const OVERLAP_END: i64 = NOW + 86_400;
const OLD: [u8; 32] = [1; 32];
/// Its base64url holds `-` and `_`, and other characters in plain base64.
const NEW: [u8; 32] = [
    0xfb, 0xef, 0xff, 0xfe, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
    26, 27, 28, 29, 30, 31, 32,
];

pub(super) fn all() -> Value {
    let mut cases = good();
    cases.extend(bad_form());
    cases.extend(bad_signature());
    cases.extend(bad_request());
    cases.extend(bad_data());
    cases.extend(missing_field());
    json!({"about": "callbacks to a hosted app (auth), contracts section 4", "cases": cases})
}

/// A case whose app takes the new secret only.
fn case(name: &str, auth: &str, expect: &str) -> Value {
    with_secrets(name, &json!([{"secret": new().expose(), "until": null}]), auth, NOW, expect)
}

/// `request` is the JSON object that a verifier hands on.
fn with_secrets(name: &str, secrets: &Value, auth: &str, now: i64, expect: &str) -> Value {
    let request = (expect == "ok").then(|| json_of(auth));
    json!({"name": name, "secrets": secrets, "auth": auth, "now": now, "expect": expect, "request": request})
}

fn at(name: &str, auth: &str, now: i64, expect: &str) -> Value {
    with_secrets(name, &json!([{"secret": new().expose(), "until": null}]), auth, now, expect)
}

/// A case of an app that is in the middle of a rotation.
fn rotating(name: &str, auth: &str, now: i64, expect: &str) -> Value {
    let old = AppSecret::from_bytes(OLD);
    let secrets =
        json!([{"secret": old.expose(), "until": OVERLAP_END}, {"secret": new().expose(), "until": null}]);
    with_secrets(name, &secrets, auth, now, expect)
}

fn json_of(auth: &str) -> Value {
    let data = auth.split_once('.').map_or("", |(_, data)| data).trim_end_matches('=');
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(data).expect("a good case")).expect("a good case")
}

fn new() -> AppSecret {
    AppSecret::from_bytes(NEW)
}

fn api() -> ShopApi {
    ShopApi { base_url: "https://myshop.example/api/".to_owned(), max_version: 3, min_version: 1 }
}

fn install(site_url: &str) -> Callback {
    Callback::Install {
        shop: "TN81S9AUB1".to_owned(),
        site_url: site_url.to_owned(),
        api: api(),
        key: "EZMRp7tfDT7JisRlGREU3R00do4nq0BSLHRKToTppOZRiTc75a".to_owned(),
        version: "1.0.0".to_owned(),
    }
}

fn update() -> Callback {
    Callback::Update {
        shop: "TN81S9AUB1".to_owned(),
        site_url: "https://www.store.example/".to_owned(),
        api: api(),
        version: "1.1.0".to_owned(),
    }
}

fn remove() -> Callback {
    Callback::Remove { shop: "TN81S9AUB1".to_owned() }
}

fn mac(key: &[u8], data: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    mac.update(data.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Any data text, rightly signed.
fn signed(data: &str) -> String {
    format!("{}.{data}", URL_SAFE_NO_PAD.encode(mac(&NEW, data)))
}

fn signed_json(value: &Value) -> String {
    signed(&URL_SAFE_NO_PAD.encode(value.to_string()))
}

/// One whose data needs two `=`.
fn padded() -> String {
    let auth = Callback::Remove { shop: "TN81S9AU".to_owned() }.sign(&new(), EXPIRES);
    let (_, data) = auth.split_once('.').expect("two parts");
    let json = URL_SAFE_NO_PAD.decode(data).expect("base64url");
    let data = URL_SAFE.encode(json);
    assert!(data.ends_with("=="), "the shop makes it 3n + 1 bytes");
    format!("{}.{data}", URL_SAFE.encode(mac(&NEW, &data)))
}

fn good() -> Vec<Value> {
    let site = "https://www.store.example/";
    let installed = install(site).sign(&new(), EXPIRES);
    let padded_secret = json!([{"secret": URL_SAFE.encode(NEW), "until": null}]);
    let old = remove().sign(&AppSecret::from_bytes(OLD), OVERLAP_END + 600);
    vec![
        case("install", &installed, "ok"),
        case("update", &update().sign(&new(), EXPIRES), "ok"),
        case("remove", &remove().sign(&new(), EXPIRES), "ok"),
        case("data and signature with padding", &padded(), "ok"),
        with_secrets("secret with padding", &padded_secret, &installed, NOW, "ok"),
        case("beyond ASCII", &install("https://www.store.example/é€😀/").sign(&new(), EXPIRES), "ok"),
        case(
            "a key that is not known yet",
            &signed_json(
                &json!({"operation": "Remove", "shop": "S", "expires": EXPIRES, "reason": [1, null]}),
            ),
            "ok",
        ),
        at("last second", &installed, EXPIRES, "ok"),
        rotating("rotation, signed with the old secret", &old, OVERLAP_END - 1, "ok"),
        rotating("rotation, signed with the new secret", &installed, NOW, "ok"),
    ]
}

fn bad_form() -> Vec<Value> {
    let auth = remove().sign(&new(), EXPIRES);
    let (signature, data) = auth.split_once('.').expect("two parts");
    let plain = STANDARD.encode(r#"{"operation":"Remove","shop":"?>?>","expires":1760000600}"#);
    assert!(plain.contains('/') || plain.contains('+'));
    vec![
        case("empty", "", "Form"),
        case("no dot", signature, "Form"),
        case("two dots", &format!("{auth}.{data}"), "Form"),
        case("a dot at the end", &format!("{auth}."), "Form"),
        case("signature is no base64url", &format!("*{}.{data}", &signature[1..]), "Form"),
        case("a space in the signature", &format!("{signature} .{data}"), "Form"),
        case("data is no base64url", &signed(&format!("{data}*")), "Form"),
        case("data in plain base64", &signed(&plain), "Form"),
        case("a length that no base64url has", &signed("AAAAA"), "Form"),
    ]
}

fn bad_signature() -> Vec<Value> {
    let auth = remove().sign(&new(), EXPIRES);
    let (signature, data) = auth.split_once('.').expect("two parts");
    let other = update().sign(&new(), EXPIRES);
    let (_, other_data) = other.split_once('.').expect("two parts");
    let json = String::from_utf8(URL_SAFE_NO_PAD.decode(data).expect("base64url")).expect("UTF-8");
    let by = |mac: Vec<u8>| format!("{}.{data}", URL_SAFE_NO_PAD.encode(mac));
    let old = remove().sign(&AppSecret::from_bytes(OLD), OVERLAP_END + 600);
    vec![
        case("a good signature over other data", &format!("{signature}.{other_data}"), "Signature"),
        case("another app's secret", &remove().sign(&AppSecret::from_bytes([9; 32]), EXPIRES), "Signature"),
        case("signed over the JSON instead of its base64url", &by(mac(&NEW, &json)), "Signature"),
        case("keyed with the secret's text", &by(mac(new().expose().as_bytes(), data)), "Signature"),
        case("no signature", &format!(".{data}"), "Signature"),
        case("half a signature", &format!("{}.{data}", &signature[..20]), "Signature"),
        case("all zeros", &by(vec![0; 32]), "Signature"),
        case("padding taken off after signing", padded().trim_end_matches('='), "Signature"),
        case("old and forged", &remove().sign(&AppSecret::from_bytes([9; 32]), NOW - 1), "Signature"),
        rotating("signed with the old secret after the overlap", &old, OVERLAP_END, "Signature"),
        with_secrets("an app without a secret", &json!([]), &auth, NOW, "Signature"),
    ]
}

/// Whole, but not in time or not known.
fn bad_request() -> Vec<Value> {
    let expired = install("https://www.store.example/").sign(&new(), NOW);
    vec![
        at("expired", &expired, NOW + 1, "Expired"),
        case(
            "unknown operation",
            &signed_json(&json!({"operation": "Suspend", "shop": "S", "expires": EXPIRES})),
            "UnknownOperation",
        ),
        case(
            "operation in lower case",
            &signed_json(&json!({"operation": "remove", "shop": "S", "expires": EXPIRES})),
            "UnknownOperation",
        ),
    ]
}

fn bad_data() -> Vec<Value> {
    vec![
        case("no JSON", &signed(&URL_SAFE_NO_PAD.encode("Remove")), "Data"),
        case("no data", &signed(""), "Data"),
        case("a list", &signed_json(&json!(["Remove"])), "Data"),
        case("no operation", &signed_json(&json!({"shop": "S", "expires": EXPIRES})), "Data"),
        case("no expires", &signed_json(&json!({"operation": "Remove", "shop": "S"})), "Data"),
        case(
            "expires as text",
            &signed_json(&json!({"operation": "Remove", "shop": "S", "expires": EXPIRES.to_string()})),
            "Data",
        ),
    ]
}

fn missing_field() -> Vec<Value> {
    let site = "https://www.store.example/";
    vec![
        case(
            "remove without shop",
            &signed_json(&json!({"operation": "Remove", "expires": EXPIRES})),
            "Data",
        ),
        case(
            "update without version",
            &signed_json(
                &json!({"operation": "Update", "shop": "S", "siteURL": site, "api": api(), "expires": EXPIRES}),
            ),
            "Data",
        ),
        case(
            "install without key",
            &signed_json(
                &json!({"operation": "Install", "shop": "S", "siteURL": site, "api": api(), "version": "1", "expires": EXPIRES}),
            ),
            "Data",
        ),
    ]
}

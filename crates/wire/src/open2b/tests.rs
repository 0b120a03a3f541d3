#![allow(clippy::unwrap_used, clippy::expect_used)]
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: i64 = 1_760_000_000;
const KEY: &str = "EZMRp7tfDT7JisRlGREU3R00do4nq0BSLHRKToTppOZRiTc75a";

fn secret() -> AppSecret {
    AppSecret::from_bytes([7; 32])
}

fn api() -> ShopApi {
    ShopApi { base_url: "https://myshop.example/api/".to_owned(), max_version: 3, min_version: 1 }
}

fn install() -> Callback {
    Callback::Install {
        shop: "TN81S9AUB1".to_owned(),
        site_url: "https://www.store.example/".to_owned(),
        api: api(),
        key: KEY.to_owned(),
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

fn check(auth: &str) -> Result<Request, Refusal> {
    parse(auth, &[Accepted::always(secret())], NOW)
}

/// `auth` over any data text, rightly signed.
fn signed(data: &str) -> String {
    let signature = hmac_sha256(secret().key(), &[data.as_bytes()]);
    format!("{}.{data}", URL_SAFE_NO_PAD.encode(signature))
}

fn signed_json(value: &Value) -> String {
    signed(&URL_SAFE_NO_PAD.encode(value.to_string()))
}

#[test]
fn the_keys_stand_in_the_contracted_order() {
    let json_of = |callback: &Callback| {
        let auth = callback.sign(&secret(), NOW);
        String::from_utf8(decode(auth.split_once('.').unwrap().1).unwrap()).unwrap()
    };
    let api = r#""api":{"baseURL":"https://myshop.example/api/","maxVersion":3,"minVersion":1}"#;
    let shop = r#""shop":"TN81S9AUB1","siteURL":"https://www.store.example/""#;
    assert_eq!(
        json_of(&install()),
        format!(r#"{{"operation":"Install",{shop},{api},"key":"{KEY}","version":"1.0.0","expires":{NOW}}}"#)
    );
    assert_eq!(
        json_of(&update()),
        format!(r#"{{"operation":"Update",{shop},{api},"version":"1.1.0","expires":{NOW}}}"#)
    );
    assert_eq!(
        json_of(&remove()),
        format!(r#"{{"operation":"Remove","shop":"TN81S9AUB1","expires":{NOW}}}"#)
    );
}

#[test]
fn the_signature_is_over_the_encoded_text_with_the_decoded_secret() {
    let auth = remove().sign(&secret(), NOW);
    let (signature, data) = auth.split_once('.').unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(signature).unwrap(), hmac_sha256(&[7; 32], &[data.as_bytes()]));
    assert!(!auth.contains('='));
}

#[test]
fn each_operation_comes_back_as_it_was_sent() {
    for callback in [install(), update(), remove()] {
        let auth = callback.sign(&secret(), NOW + 600);
        assert_eq!(check(&auth), Ok(Request { callback: callback.clone(), expires: NOW + 600 }));
        let body = form(&auth);
        let parsed = parse_form(body.as_bytes(), &[Accepted::always(secret())], NOW).unwrap();
        assert_eq!(parsed.callback, callback);
        let stored = serde_json::to_string(&callback).unwrap();
        assert_eq!(serde_json::from_str::<Callback>(&stored).unwrap(), callback);
    }
}

#[test]
fn padding_is_taken_and_signed_over() {
    let json = json!({"operation": "Remove", "shop": "TN81S9AUB12", "expires": NOW}).to_string();
    let data = URL_SAFE.encode(json);
    assert!(data.ends_with('='));
    let signature = URL_SAFE.encode(hmac_sha256(secret().key(), &[data.as_bytes()]));
    let auth = format!("{signature}.{data}");
    assert!(check(&auth).is_ok());
    assert!(parse_form(form(&auth).as_bytes(), &[Accepted::always(secret())], NOW).is_ok());
    let stripped = auth.trim_end_matches('=');
    assert_eq!(check(stripped), Err(Refusal::Signature), "the text without padding is another text");
}

#[test]
fn each_bad_form_is_refused_as_such() {
    let good = remove().sign(&secret(), NOW);
    let (signature, data) = good.split_once('.').unwrap();
    let long = "A".repeat(MAX_AUTH_LEN);
    for auth in [
        "",
        signature,
        &format!("{good}.{data}"),
        &format!("{good}."),
        &format!("!{good}"),
        &format!("{signature}.{data}+/"),
        &format!("{signature} .{data}"),
        &format!("{good}{long}"),
    ] {
        assert_eq!(check(auth), Err(Refusal::Form), "{}", &auth[..auth.len().min(80)]);
    }
    let secrets = [Accepted::always(secret())];
    for body in ["", "auth", &good, &format!("sign={good}"), &format!("auth={good}&auth={good}")] {
        assert_eq!(parse_form(body.as_bytes(), &secrets, NOW), Err(Refusal::Form), "{body}");
    }
    let padded = format!("auth={good}&x={}", "y".repeat(4 * MAX_AUTH_LEN));
    assert_eq!(parse_form(padded.as_bytes(), &secrets, NOW), Err(Refusal::Form));
    assert!(parse_form(format!("a=b&auth={good}").as_bytes(), &secrets, NOW).is_ok());
}

#[test]
fn what_the_secret_did_not_sign_is_refused() {
    let good = remove().sign(&secret(), NOW);
    let (signature, data) = good.split_once('.').unwrap();
    let other = update().sign(&secret(), NOW);
    let (_, other_data) = other.split_once('.').unwrap();
    for auth in [
        remove().sign(&AppSecret::from_bytes([8; 32]), NOW),
        format!("{signature}.{other_data}"),
        format!("{}.{data}", URL_SAFE_NO_PAD.encode([0; 32])),
        format!("{}.{data}", &signature[..20]),
        format!(".{data}"),
        ".".to_owned(),
    ] {
        assert_eq!(check(&auth), Err(Refusal::Signature), "{auth}");
    }
    assert_eq!(parse(&good, &[], NOW), Err(Refusal::Signature));
}

#[test]
fn during_a_rotation_both_secrets_are_taken_and_after_it_one() {
    let old = AppSecret::from_bytes([1; 32]);
    let secrets = [Accepted::until(old.clone(), NOW + 60), Accepted::always(secret())];
    let auths = [remove().sign(&old, NOW + 600), remove().sign(&secret(), NOW + 600)];
    for auth in &auths {
        assert!(parse(auth, &secrets, NOW + 59).is_ok());
    }
    assert_eq!(parse(&auths[0], &secrets, NOW + 60), Err(Refusal::Signature));
    assert!(parse(&auths[1], &secrets, NOW + 60).is_ok());
}

#[test]
fn a_request_is_good_up_to_and_with_the_second_it_names() {
    assert!(check(&remove().sign(&secret(), NOW)).is_ok());
    assert_eq!(check(&remove().sign(&secret(), NOW - 1)), Err(Refusal::Expired));
    let forged = remove().sign(&AppSecret::from_bytes([8; 32]), NOW - 1);
    assert_eq!(check(&forged), Err(Refusal::Signature), "a stranger is not told the time");
}

#[test]
fn signed_data_must_be_a_whole_callback() {
    for value in [
        json!([]),
        json!("Remove"),
        json!({"operation": "Remove", "shop": "s"}),
        json!({"operation": "Remove", "shop": "s", "expires": NOW.to_string()}),
        json!({"operation": "Remove", "shop": "s", "expires": 1.5}),
        json!({"operation": "Remove", "expires": NOW}),
        json!({"operation": "Remove", "shop": 5, "expires": NOW}),
        json!({"operation": 1, "shop": "s", "expires": NOW}),
        json!({"shop": "s", "expires": NOW}),
        json!({"operation": "Update", "shop": "s", "expires": NOW}),
        json!({"operation": "Install", "shop": "s", "siteURL": "https://s", "version": "1", "expires": NOW,
               "api": {"baseURL": "https://s", "maxVersion": 1, "minVersion": 1}}),
    ] {
        assert_eq!(check(&signed_json(&value)), Err(Refusal::Data), "{value}");
    }
    assert_eq!(check(&signed("")), Err(Refusal::Data));
    assert_eq!(check(&signed(&URL_SAFE_NO_PAD.encode([0xff, 0xfe]))), Err(Refusal::Data));
}

#[test]
fn an_unknown_operation_is_told_from_a_bad_one_and_unknown_keys_are_no_harm() {
    let unknown = json!({"operation": "Suspend", "shop": "s", "expires": NOW});
    assert_eq!(check(&signed_json(&unknown)), Err(Refusal::UnknownOperation));
    let more = json!({"operation": "Remove", "shop": "s", "expires": NOW, "reason": "none"});
    assert!(check(&signed_json(&more)).is_ok());
}

#[test]
fn a_secret_is_checked_and_nothing_secret_is_printed() {
    let padded = URL_SAFE.encode([7; 32]).parse::<AppSecret>().unwrap();
    assert_eq!(padded.key(), secret().key());
    assert_eq!(secret().expose().parse::<AppSecret>().unwrap(), secret());
    assert_eq!(secret().expose().len(), 43);
    assert_eq!("not/base64url".parse::<AppSecret>(), Err(AppSecretError::NotBase64));
    assert_eq!(URL_SAFE_NO_PAD.encode([7; 23]).parse::<AppSecret>(), Err(AppSecretError::Length));
    assert_eq!(URL_SAFE_NO_PAD.encode([7; 65]).parse::<AppSecret>(), Err(AppSecretError::Length));
    let request = Request { callback: install(), expires: NOW };
    let printed = format!("{request:?} {:?}", Accepted::always(secret()));
    assert!(!printed.contains(KEY) && !printed.contains("TN81") && !printed.contains(secret().expose()));
    assert!(printed.contains("Install") && printed.contains("1.0.0"));
}

#[test]
fn an_operation_has_one_text() {
    for operation in Operation::ALL {
        assert_eq!(operation.to_string().parse(), Ok(operation));
        assert_eq!(serde_json::to_value(operation).unwrap(), json!(operation.as_str()));
    }
    assert_eq!("install".parse::<Operation>(), Err(UnknownOperation));
    assert_eq!([install(), update(), remove()].map(|c| c.operation()), Operation::ALL);
}

prop_compose! {
    fn any_api()(base_url: String, max_version: u32, min_version: u32) -> ShopApi {
        ShopApi { base_url, max_version, min_version }
    }
}

fn any_callback() -> impl Strategy<Value = Callback> {
    let texts = || (any::<String>(), any::<String>(), any::<String>());
    prop_oneof![
        (texts(), any::<String>(), any_api()).prop_map(|((shop, site_url, version), key, api)| {
            Callback::Install { shop, site_url, api, key, version }
        }),
        (texts(), any_api()).prop_map(|((shop, site_url, version), api)| Callback::Update {
            shop,
            site_url,
            api,
            version
        }),
        any::<String>().prop_map(|shop| Callback::Remove { shop }),
    ]
}

proptest! {
    #[test]
    fn what_is_signed_is_read(callback in any_callback(), key: [u8; 32], expires in NOW..i64::MAX) {
        let secret = AppSecret::from_bytes(key);
        let body = form(&callback.sign(&secret, expires));
        let request = parse_form(body.as_bytes(), &[Accepted::always(secret)], NOW);
        prop_assert_eq!(request, Ok(Request { callback, expires }));
    }

    #[test]
    fn one_changed_character_is_noticed(callback in any_callback(), at: prop::sample::Index, to in "[A-Za-z0-9_.=-]") {
        let good = callback.sign(&secret(), NOW);
        let at = at.index(good.len());
        let mut auth = good.clone();
        auth.replace_range(at..=at, &to);
        prop_assume!(auth != good);
        prop_assert!(matches!(check(&auth), Err(Refusal::Form | Refusal::Signature)));
    }

    #[test]
    fn no_body_panics(body: Vec<u8>, auth in "[A-Za-z0-9_.=-]{0,100}") {
        prop_assert!(parse_form(&body, &[Accepted::always(secret())], NOW).is_err());
        prop_assert!(check(&auth).is_err());
    }
}

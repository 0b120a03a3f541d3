//! The `auth` of a hosted app's callbacks.

use wire::open2b::{self, Accepted, AppSecret, Callback, MAX_AUTH_LEN, Refusal, Request, ShopApi};

use crate::{
    NOW,
    bytes::{changed_text, first_line},
};

/// The secret of the public vectors.
const SECRET: &str = "--___gUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";

/// A form, an `auth` by itself, or the fields of a callback, a line each.
///
/// What is signed is read again as it was, until it expires, and no changed byte of it is; what is read can be written.
pub fn open2b_auth(input: &[u8]) {
    let secret: AppSecret = SECRET.parse().expect("the secret of the vectors");
    let secrets = [Accepted::always(secret.clone())];
    let read = open2b::parse_form(input, &secrets, NOW);
    is_written_as_it_is_read(read, &secret);
    if let Ok(auth) = std::str::from_utf8(input) {
        is_written_as_it_is_read(open2b::parse(auth, &secrets, NOW), &secret);
    }
    let Some(callback) = callback(input) else { return };
    let auth = callback.sign(&secret, NOW + 600);
    if auth.len() > MAX_AUTH_LEN {
        assert_eq!(open2b::parse(&auth, &secrets, NOW), Err(Refusal::Form));
        return;
    }
    let request = Request { callback, expires: NOW + 600 };
    assert_eq!(open2b::parse_form(open2b::form(&auth).as_bytes(), &secrets, NOW + 600), Ok(request));
    assert_eq!(open2b::parse(&auth, &secrets, NOW + 601), Err(Refusal::Expired));
    let others = [Accepted::always(AppSecret::from_bytes([7; 32]))];
    assert_eq!(open2b::parse(&auth, &others, NOW), Err(Refusal::Signature));
    if let Some(changed) = changed_text(&auth, input) {
        let refusal = open2b::parse(&changed, &secrets, NOW).expect_err("a changed byte is taken");
        assert!(matches!(refusal, Refusal::Form | Refusal::Signature), "{refusal:?}");
    }
}

fn is_written_as_it_is_read(read: Result<Request, Refusal>, secret: &AppSecret) {
    let Ok(request) = read else { return };
    assert!(request.expires >= NOW, "expired");
    let again = open2b::form(&request.callback.sign(secret, request.expires));
    assert_eq!(open2b::parse_form(again.as_bytes(), &[Accepted::always(secret.clone())], NOW), Ok(request));
}

fn callback(input: &[u8]) -> Option<Callback> {
    let (shop, rest) = first_line(input)?;
    let (site_url, rest) = first_line(rest)?;
    let (version, rest) = first_line(rest)?;
    let (key, rest) = first_line(rest)?;
    let (shop, site_url, version, key) = (shop.into(), site_url.into(), version.into(), key.into());
    let number = |at: usize| rest.get(at).copied().map_or(0, u32::from);
    let api = ShopApi { base_url: site_url, max_version: number(0), min_version: number(1) };
    let site_url = api.base_url.clone();
    Some(match input.len() % 3 {
        0 => Callback::Install { shop, site_url, api, key, version },
        1 => Callback::Update { shop, site_url, api, version },
        _ => Callback::Remove { shop },
    })
}

//! Licence keys and licence tokens.

use wire::{
    keys::{Jwks, SigningKey},
    license_key::{LicenseKey, LicenseKeyError},
    license_token::{self, LicenseClaims, TOKEN_LIFETIME_SECS, TokenError},
};

use crate::{
    NOW,
    bytes::{array, changed_text, first_line},
};

/// As in the public vectors.
const ISSUER: &str = "https://marketplace.example";
/// The longest token that is read.
const LONGEST_TOKEN: usize = 4096;

/// A licence key as someone types it.
///
/// What is read is written in one form, which is read again; of that form, one changed symbol is a typing error.
pub fn license_key(input: &[u8]) {
    let made = LicenseKey::from_entropy(array(input));
    assert_eq!(made.to_string().parse(), Ok(made.clone()));
    one_wrong_symbol_is_noticed(&made, input);
    let Some(key) = std::str::from_utf8(input).ok().and_then(|text| text.parse::<LicenseKey>().ok()) else {
        return;
    };
    let written = key.to_string();
    assert_eq!(written.len(), 27);
    assert_eq!(written.to_lowercase().replace('-', " ").parse(), Ok(key.clone()));
    one_wrong_symbol_is_noticed(&key, input);
}

fn one_wrong_symbol_is_noticed(key: &LicenseKey, input: &[u8]) {
    let Some(changed) = changed_text(&key.to_string(), input) else { return };
    match changed.parse::<LicenseKey>() {
        Ok(read) => assert_eq!(read, *key, "another key"),
        Err(LicenseKeyError::Malformed | LicenseKeyError::Checksum) => {}
    }
}

/// A token, or the claims of one, a line each.
///
/// What is issued verifies until it ends; no changed byte of it does; what verifies is in time and of this issuer.
pub fn license_token(input: &[u8]) {
    let key = SigningKey::from_seed(&[3; 32]);
    let jwks = Jwks::new([&SigningKey::from_seed(&[9; 32]).verifying_key(), &key.verifying_key()]);
    let verify = |token: &str, now| license_token::verify(&jwks, token, ISSUER, now);
    if let Some(claims) = std::str::from_utf8(input).ok().and_then(|token| verify(token, NOW).ok()) {
        assert!(claims.exp > NOW && claims.iss == ISSUER && input.len() <= LONGEST_TOKEN);
    }
    let Some(claims) = claims(input) else { return };
    let token = license_token::issue(&key, &key.key_id(), &claims);
    if token.len() > LONGEST_TOKEN {
        assert_eq!(verify(&token, NOW), Err(TokenError::Malformed));
        return;
    }
    assert_eq!(verify(&token, NOW + TOKEN_LIFETIME_SECS), Err(TokenError::Expired));
    assert_eq!(verify(&token, NOW), Ok(claims));
    if let Some(changed) = changed_text(&token, input) {
        assert!(verify(&changed, NOW).is_err(), "a changed byte is taken");
    }
}

fn claims(input: &[u8]) -> Option<LicenseClaims> {
    let (sub, rest) = first_line(input)?;
    let (app, rest) = first_line(rest)?;
    let (instance, rest) = first_line(rest)?;
    let nonce = std::str::from_utf8(rest).ok()?;
    Some(LicenseClaims {
        iss: ISSUER.to_owned(),
        sub: sub.to_owned(),
        app: app.to_owned(),
        ins: license_token::instance_hash(instance),
        st: "VALID".to_owned(),
        iat: NOW,
        exp: NOW + TOKEN_LIFETIME_SECS,
        nonce: (!nonce.is_empty()).then(|| nonce.to_owned()),
    })
}

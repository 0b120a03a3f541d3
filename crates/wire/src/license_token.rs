//! The licence token: a JWT (`EdDSA`) that proves an answer of `license/verify` offline (contracts.md section 5).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::keys::{Jwk, Jwks, SigningKey, VerifyingKey};

/// `exp - iat`: the grace in which a shop may keep an app running while the marketplace can't be reached.
pub const TOKEN_LIFETIME_SECS: i64 = 7 * 24 * 60 * 60;

/// How far the issuer's clock may be ahead of the verifier's.
pub const CLOCK_SKEW_SECS: i64 = 300;

/// Our tokens have some 600 characters.
const MAX_TOKEN_LEN: usize = 4096;

/// What a licence token says (contracts.md section 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseClaims {
    /// The marketplace's issuer, as in `/.well-known/mercato.json`.
    pub iss: String,
    /// The licence's id, `lic_…`.
    pub sub: String,
    /// The app's `marketplace_id`.
    pub app: String,
    /// The instance that asked: [`instance_hash`].
    pub ins: String,
    /// The answer's `code`, such as `VALID`.
    pub st: String,
    /// When it was issued, Unix seconds.
    pub iat: i64,
    /// When it ends, Unix seconds: `iat` + [`TOKEN_LIFETIME_SECS`].
    pub exp: i64,
    /// The question's nonce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

/// Why a token proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It is no JWT with our claims.
    #[error("this is no licence token; pass on the `token` of the marketplace's answer unchanged")]
    Malformed,
    /// It is signed by another algorithm than `EdDSA`.
    #[error("a licence token is signed with EdDSA and has no critical extensions")]
    Algorithm,
    /// Its `kid` is not in the key set.
    #[error(
        "the token's key is unknown here; load the marketplace's keys again from /.well-known/mercato.json"
    )]
    UnknownKey,
    /// The signature is not that of the named key.
    #[error("the token's signature is wrong; ask the marketplace for a new one")]
    Signature,
    /// It was issued by someone else.
    #[error("the token is of another issuer than the configured marketplace")]
    Issuer,
    /// It has ended.
    #[error("the token has expired; ask the marketplace for a new one")]
    Expired,
    /// It begins later than now.
    #[error("the token was issued in the future; check this machine's clock")]
    IssuedInFuture,
}

/// Signs the claims (contracts.md section 5).
///
/// The JWS is put together here rather than by the JWT library, which would take a second, unwiped copy of the key.
#[must_use]
pub fn issue(key: &SigningKey, kid: &str, claims: &LicenseClaims) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
    let message = format!("{}.{}", encode_part(&header), encode_part(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

#[expect(clippy::expect_used, reason = "strings and integers in named fields always serialise")]
fn encode_part(part: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).expect("plain data"))
}

/// Checks signature, issuer and time, and gives back the claims (contracts.md section 5).
///
/// The caller still compares `app`, `ins` and, if it sent one, `nonce` with its own question.
pub fn verify(jwks: &Jwks, token: &str, issuer: &str, now: i64) -> Result<LicenseClaims, TokenError> {
    if token.len() > MAX_TOKEN_LEN {
        return Err(TokenError::Malformed);
    }
    let key = decoding_key(jwks, token)?;
    let claims = jsonwebtoken::decode::<LicenseClaims>(token, &key, &validation())
        .map_err(|e| token_error(&e))?
        .claims;
    check_claims(&claims, issuer, now)?;
    Ok(claims)
}

/// `ins` of a token: base64url SHA-256 of `mercato-instance-v1\n{instance_id}` (contracts.md section 5).
#[must_use]
pub fn instance_hash(instance_id: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("mercato-instance-v1\n{instance_id}")))
}

fn decoding_key(jwks: &Jwks, token: &str) -> Result<DecodingKey, TokenError> {
    let header = jsonwebtoken::decode_header(token).map_err(|e| token_error(&e))?;
    // RFC 7515 section 4.1.11: an extension that is critical and unknown makes the token invalid.
    if header.alg != Algorithm::EdDSA || header.crit.is_some() {
        return Err(TokenError::Algorithm);
    }
    let kid = header.kid.ok_or(TokenError::UnknownKey)?;
    let jwk = jwks.find(&kid).ok_or(TokenError::UnknownKey)?;
    // Read by our own type first: the library would take a short `x` on trust.
    let key = VerifyingKey::try_from(jwk).map_err(|_| TokenError::UnknownKey)?;
    DecodingKey::from_ed_components(&Jwk::from(&key).x).map_err(|_| TokenError::UnknownKey)
}

/// Signature only: time and issuer are compared in [`check_claims`], since the library would ask the machine's clock.
fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation
}

fn check_claims(claims: &LicenseClaims, issuer: &str, now: i64) -> Result<(), TokenError> {
    if claims.iss != issuer {
        Err(TokenError::Issuer)
    } else if now >= claims.exp {
        Err(TokenError::Expired)
    } else if claims.iat > now.saturating_add(CLOCK_SKEW_SECS) {
        Err(TokenError::IssuedInFuture)
    } else {
        Ok(())
    }
}

fn token_error(error: &jsonwebtoken::errors::Error) -> TokenError {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => {
            TokenError::Algorithm
        }
        _ => TokenError::Malformed,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    const ISSUER: &str = "https://marketplace.example";
    const NOW: i64 = 1_760_000_000;

    fn key() -> SigningKey {
        SigningKey::from_seed(&[3; 32])
    }

    fn jwks() -> Jwks {
        Jwks::new([&SigningKey::from_seed(&[9; 32]).verifying_key(), &key().verifying_key()])
    }

    fn claims() -> LicenseClaims {
        LicenseClaims {
            iss: ISSUER.to_owned(),
            sub: "lic_01".to_owned(),
            app: "@vendor/app".to_owned(),
            ins: instance_hash("inst_01"),
            st: "VALID".to_owned(),
            iat: NOW,
            exp: NOW + TOKEN_LIFETIME_SECS,
            nonce: Some("n".to_owned()),
        }
    }

    fn issued(claims: &LicenseClaims) -> String {
        issue(&key(), &key().key_id(), claims)
    }

    fn token_with_header(header: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), encode_part(&claims()));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(key().sign(message.as_bytes())))
    }

    #[test]
    fn it_lives_seven_days_and_not_a_second_more() {
        let token = issued(&claims());
        assert_eq!(verify(&jwks(), &token, ISSUER, NOW), Ok(claims()));
        assert_eq!(verify(&jwks(), &token, ISSUER, NOW + TOKEN_LIFETIME_SECS - 1), Ok(claims()));
        assert_eq!(verify(&jwks(), &token, ISSUER, NOW + TOKEN_LIFETIME_SECS), Err(TokenError::Expired));
        assert_eq!(verify(&jwks(), &token, ISSUER, NOW - CLOCK_SKEW_SECS), Ok(claims()));
        assert_eq!(
            verify(&jwks(), &token, ISSUER, NOW - CLOCK_SKEW_SECS - 1),
            Err(TokenError::IssuedInFuture)
        );
    }

    #[test]
    fn another_issuer_or_key_proves_nothing() {
        let token = issued(&claims());
        assert_eq!(verify(&jwks(), &token, "https://other.example", NOW), Err(TokenError::Issuer));
        assert_eq!(verify(&Jwks::default(), &token, ISSUER, NOW), Err(TokenError::UnknownKey));
        let forged = issue(&SigningKey::from_seed(&[4; 32]), &key().key_id(), &claims());
        assert_eq!(verify(&jwks(), &forged, ISSUER, NOW), Err(TokenError::Signature));
    }

    #[test]
    fn no_header_talks_the_verifier_into_another_algorithm() {
        let kid = key().key_id();
        for alg in ["HS256", "RS256", "none"] {
            let token = token_with_header(&format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#));
            let refused = verify(&jwks(), &token, ISSUER, NOW).unwrap_err();
            assert!(matches!(refused, TokenError::Algorithm | TokenError::Malformed), "{alg}: {refused:?}");
        }
        let critical = token_with_header(&format!(r#"{{"alg":"EdDSA","kid":"{kid}","crit":["exp"]}}"#));
        assert_eq!(verify(&jwks(), &critical, ISSUER, NOW), Err(TokenError::Algorithm));
        let without_kid = token_with_header(r#"{"alg":"EdDSA"}"#);
        assert_eq!(verify(&jwks(), &without_kid, ISSUER, NOW), Err(TokenError::UnknownKey));
    }

    #[test]
    fn what_is_no_token_is_malformed() {
        for text in ["", "a.b.c", "..", "e30.e30.e30"] {
            assert_eq!(verify(&jwks(), text, ISSUER, NOW), Err(TokenError::Malformed));
        }
        let long = "a".repeat(MAX_TOKEN_LEN + 1);
        assert_eq!(verify(&jwks(), &long, ISSUER, NOW), Err(TokenError::Malformed));
    }

    #[test]
    fn a_short_key_in_the_set_is_unknown_and_does_not_panic() {
        let mut jwks = jwks();
        for jwk in &mut jwks.keys {
            jwk.x = "AAAA".to_owned();
        }
        assert_eq!(verify(&jwks, &issued(&claims()), ISSUER, NOW), Err(TokenError::UnknownKey));
    }

    proptest! {
        #[test]
        fn one_changed_character_is_never_accepted(at: prop::sample::Index, to in "[A-Za-z0-9_.-]") {
            let token = issued(&claims());
            let at = at.index(token.len());
            let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
            prop_assume!(changed != token);
            prop_assert!(verify(&jwks(), &changed, ISSUER, NOW).is_err());
        }

        #[test]
        fn any_claims_come_back(sub in ".{0,40}", app in ".{0,40}", nonce in prop::option::of(".{0,40}")) {
            let claims = LicenseClaims { sub, app, nonce, ..claims() };
            prop_assert_eq!(verify(&jwks(), &issued(&claims), ISSUER, NOW), Ok(claims));
        }
    }
}

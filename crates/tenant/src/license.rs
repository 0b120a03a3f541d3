//! Whether a licensed app may run, with the marketplace's answer or without it (contracts.md section 5).

use semver::Version;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use wire::{
    keys::Jwks,
    license_token::{self, LicenseClaims, TokenError},
    manifest::MarketplaceId,
};

/// What a token must be about.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The marketplace's issuer name.
    pub issuer: &'a str,
    /// The app.
    pub marketplace_id: &'a MarketplaceId,
    /// This shop, in plain.
    pub instance_id: &'a str,
    /// The nonce of the question that the token answered, where it is known.
    pub nonce: Option<&'a str>,
}

/// Why a token proves nothing for this shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProofError {
    /// It is no good token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It is about another app.
    #[error("the token is for another app; ask the marketplace about this one")]
    OtherApp,
    /// It is about another shop.
    #[error("the token is for another shop; ask the marketplace with this shop's instance id")]
    OtherInstance,
    /// It answers another question.
    #[error("the token answers another question; ask the marketplace again")]
    OtherNonce,
}

/// Verifies a licence token offline, from the marketplace's key set as it was last seen.
pub fn verify_token(
    jwks: &Jwks,
    token: &str,
    expected: &Expected<'_>,
    now: i64,
) -> Result<LicenseClaims, ProofError> {
    let claims = license_token::verify(jwks, token, expected.issuer, now)?;
    if claims.app != expected.marketplace_id.as_str() {
        return Err(ProofError::OtherApp);
    }
    if claims.ins != license_token::instance_hash(expected.instance_id) {
        return Err(ProofError::OtherInstance);
    }
    if expected.nonce.is_some() && claims.nonce.as_deref() != expected.nonce {
        return Err(ProofError::OtherNonce);
    }
    Ok(claims)
}

/// How an app's licence stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// The marketplace says that it may run.
    Valid,
    /// The marketplace can't be reached; its last answer proves the right to run until then (Unix seconds).
    Grace {
        /// The end of the seven days.
        until: i64,
    },
    /// The marketplace says that it may not run.
    Refused {
        /// The reason, such as `REVOKED`.
        code: String,
    },
    /// The marketplace can't be reached, and nothing proves the right to run any more.
    Unproven,
}

impl Standing {
    /// Whether the app may run.
    #[must_use]
    pub fn may_run(&self) -> bool {
        matches!(self, Self::Valid | Self::Grace { .. })
    }
}

/// What came of asking the marketplace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// It answered with this code.
    Answered {
        /// Whether the app may run.
        valid: bool,
        /// `VALID` or the reason why not.
        code: &'a str,
    },
    /// It could not be reached.
    Unreachable,
}

/// The rule of the seven days' grace: an answer counts; without one, the last token does, until it ends.
///
/// `proof` are the claims of the last token, verified at `now`. A token that says anything but `VALID` proves nothing.
#[must_use]
pub fn standing(asked: Asked<'_>, proof: Option<&LicenseClaims>, now: i64) -> Standing {
    match (asked, proof) {
        (Asked::Answered { valid: true, .. }, _) => Standing::Valid,
        (Asked::Answered { code, .. }, _) => Standing::Refused { code: code.to_owned() },
        (Asked::Unreachable, Some(claims)) if claims.st == "VALID" && now < claims.exp => {
            Standing::Grace { until: claims.exp }
        }
        (Asked::Unreachable, _) => Standing::Unproven,
    }
}

/// What a shop remembers of a licence; holds its key, so `Debug` is left out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownLicense {
    /// `CC-…`
    pub key: String,
    /// The version that was bought.
    pub version: Version,
    /// The last token with a good answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// How it stood when last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use wire::{keys::SigningKey, license_token::TOKEN_LIFETIME_SECS};

    use super::*;

    const NOW: i64 = 1_790_000_000;
    const DAY: i64 = 24 * 60 * 60;

    fn key() -> SigningKey {
        SigningKey::from_seed(&[1; 32])
    }

    fn claims(st: &str) -> LicenseClaims {
        LicenseClaims {
            iss: "https://m.example".to_owned(),
            sub: "lic_1".to_owned(),
            app: "@vendor/app".to_owned(),
            ins: license_token::instance_hash("inst_1"),
            st: st.to_owned(),
            iat: NOW,
            exp: NOW + TOKEN_LIFETIME_SECS,
            nonce: Some("n1".to_owned()),
        }
    }

    fn check(
        app: &str,
        instance_id: &str,
        nonce: Option<&str>,
        now: i64,
    ) -> Result<LicenseClaims, ProofError> {
        let token = license_token::issue(&key(), &key().key_id(), &claims("VALID"));
        let marketplace_id = app.parse().unwrap();
        let expected =
            Expected { issuer: "https://m.example", marketplace_id: &marketplace_id, instance_id, nonce };
        verify_token(&Jwks::new([&key().verifying_key()]), &token, &expected, now)
    }

    #[test]
    fn a_token_is_for_one_app_one_shop_and_one_question() {
        assert!(check("@vendor/app", "inst_1", Some("n1"), NOW).is_ok());
        assert!(check("@vendor/app", "inst_1", None, NOW).is_ok());
        assert_eq!(check("@vendor/b", "inst_1", None, NOW), Err(ProofError::OtherApp));
        assert_eq!(check("@vendor/app", "inst_2", None, NOW), Err(ProofError::OtherInstance));
        assert_eq!(check("@vendor/app", "inst_1", Some("n2"), NOW), Err(ProofError::OtherNonce));
        let expired = check("@vendor/app", "inst_1", None, NOW + TOKEN_LIFETIME_SECS);
        assert_eq!(expired, Err(TokenError::Expired.into()));
    }

    #[test]
    fn while_the_marketplace_is_away_an_app_runs_for_seven_days() {
        let proof = claims("VALID");
        let at = |now| standing(Asked::Unreachable, Some(&proof), now);
        assert_eq!(at(NOW + DAY), Standing::Grace { until: NOW + 7 * DAY });
        assert_eq!(at(NOW + 7 * DAY - 1), Standing::Grace { until: NOW + 7 * DAY });
        assert_eq!(at(NOW + 7 * DAY), Standing::Unproven);
        assert_eq!(standing(Asked::Unreachable, None, NOW), Standing::Unproven);
    }

    #[test]
    fn an_answer_beats_every_token() {
        let proof = claims("VALID");
        let no = standing(Asked::Answered { valid: false, code: "REVOKED" }, Some(&proof), NOW);
        assert_eq!(no, Standing::Refused { code: "REVOKED".to_owned() });
        assert!(!no.may_run());
        assert_eq!(standing(Asked::Answered { valid: true, code: "VALID" }, None, NOW), Standing::Valid);
    }

    #[test]
    fn a_token_of_a_refusal_gives_no_grace() {
        assert_eq!(standing(Asked::Unreachable, Some(&claims("REVOKED")), NOW), Standing::Unproven);
    }
}

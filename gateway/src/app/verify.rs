use std::sync::Arc;

use bytes::Bytes;
use metrics::Counter;
use platform::{AppResult, Principal, secret::Secret};
use proto::license::{
    DeactivateRequest, DeactivateResponse, GetPublicKeysRequest, ListInstanceLicensesRequest,
    ListLicensesResponse, PublicKeys, VerifyRequest, VerifyResponse,
};
use sha2::{Digest as _, Sha256};

use super::{App, services::answer};
use crate::domain::page::Page;

/// The question of `license/verify` (contracts.md section 5).
pub(crate) struct VerifyQuestion {
    pub(crate) license_key: Secret,
    pub(crate) marketplace_id: String,
    pub(crate) instance_id: String,
    pub(crate) version: Option<String>,
    pub(crate) nonce: Option<String>,
}

/// An answer as the edge wrote it and license-svc signed it.
pub(crate) struct Answer {
    /// The JSON body.
    pub(crate) body: Bytes,
    /// The instance it was given for.
    instance_id: String,
}

/// The codes of contracts.md section 5 that license-svc answers with. One that is not among them is counted as `OTHER`.
const CODES: [&str; 9] = [
    VALID,
    "NOT_FOUND",
    "PRODUCT_MISMATCH",
    "REVOKED",
    "SUSPENDED",
    "EXPIRED",
    "VERSION_NOT_COVERED",
    "SEATS_EXHAUSTED",
    OTHER,
];
const VALID: &str = "VALID";
const OTHER: &str = "OTHER";

/// What was answered, by its code and by where the answer came from.
pub(super) struct Verifications {
    from_service: [Counter; CODES.len()],
    /// Nothing else is kept.
    valid_from_cache: Counter,
}

impl Verifications {
    pub(super) fn new() -> Self {
        let answered = |code: &'static str, source: &'static str| metrics::counter!("gateway_verifications_total", "code" => code, "source" => source);
        Self {
            from_service: CODES.map(|code| answered(code, "service")),
            valid_from_cache: answered(VALID, "cache"),
        }
    }

    fn count(&self, code: &str) {
        let place = CODES.iter().position(|known| *known == code).unwrap_or(CODES.len() - 1);
        self.from_service[place].increment(1);
    }
}

impl App {
    /// Whether the licence covers the app, version and instance. `render` writes the body.
    pub(crate) async fn verify(
        &self,
        principal: &Principal,
        question: VerifyQuestion,
        render: impl FnOnce(&VerifyResponse) -> AppResult<Bytes>,
    ) -> AppResult<Arc<Answer>> {
        let key = fingerprint(&question);
        if question.nonce.is_none()
            && let Some(known) = self.verified.find(&key)
        {
            // The cache was filled by whoever asked first: the caller must still be one who may ask this.
            principal.require_may_name(&known.instance_id)?;
            self.verifications.valid_from_cache.increment(1);
            return Ok(known);
        }
        let seen = self.verified.seen();
        let has_nonce = question.nonce.is_some();
        let response = self.ask(principal, question, true).await?;
        self.verifications.count(&response.code);
        let answer = Arc::new(Answer { body: render(&response)?, instance_id: response.instance_id.clone() });
        if response.valid
            && response.holds_seat
            && !has_nonce
            && let Some(license) = response.license
        {
            self.verified.keep(key, [license.license_id], seen, answer.clone());
        }
        Ok(answer)
    }

    /// Asks license-svc. Only a question with the instance's own key takes a seat.
    pub(super) async fn ask(
        &self,
        principal: &Principal,
        question: VerifyQuestion,
        seat: bool,
    ) -> AppResult<VerifyResponse> {
        let request = VerifyRequest {
            license_key: question.license_key.expose().to_owned(),
            marketplace_id: question.marketplace_id,
            instance_id: question.instance_id,
            version: question.version,
            nonce: question.nonce,
            may_take_seat: seat && principal.instance_id().is_some(),
        };
        let request = self.services.request(principal, request)?;
        answer(self.services.licenses().verify(request).await)
    }

    /// Frees the asking instance's seat.
    pub(crate) async fn deactivate(
        &self,
        principal: &Principal,
        license_key: &Secret,
        marketplace_id: String,
        instance_id: String,
    ) -> AppResult<DeactivateResponse> {
        principal.require_instance_admin()?;
        let request =
            DeactivateRequest { license_key: license_key.expose().to_owned(), marketplace_id, instance_id };
        let request = self.services.request(principal, request)?;
        let done = answer(self.services.licenses().deactivate(request).await)?;
        self.forget_answers_about(done.license_id.clone());
        Ok(done)
    }

    /// A shop's own licences with their keys.
    pub(crate) async fn list_own_licenses(
        &self,
        principal: &Principal,
        page: Page,
    ) -> AppResult<ListLicensesResponse> {
        principal.require_instance_admin()?;
        let request = ListInstanceLicensesRequest { limit: page.limit, offset: page.offset };
        let request = self.services.request(principal, request)?;
        answer(self.services.licenses().list_instance_licenses(request).await)
    }

    /// The public halves of the marketplace's keys.
    pub(crate) async fn public_keys(&self) -> AppResult<PublicKeys> {
        let request = self.services.request(&Principal::Anonymous, GetPublicKeysRequest {})?;
        answer(self.services.licenses().get_public_keys(request).await)
    }

    pub(crate) fn forget_answers_about(&self, license_id: String) {
        self.verified.changed(license_id);
    }

    pub(super) fn forget_all_answers(&self) {
        self.verified.all_changed();
    }
}

/// The whole question without its nonce, hashed: neither licence keys nor instance ids are kept to look it up.
fn fingerprint(question: &VerifyQuestion) -> [u8; 32] {
    let version = question.version.as_deref().unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [question.license_key.expose(), &question.marketplace_id, &question.instance_id, version] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(license_key: &str, marketplace_id: &str) -> VerifyQuestion {
        VerifyQuestion {
            license_key: Secret::new(license_key),
            marketplace_id: marketplace_id.to_owned(),
            instance_id: "inst_1".to_owned(),
            version: None,
            nonce: None,
        }
    }

    #[test]
    fn questions_that_only_share_their_letters_are_different_questions() {
        assert_ne!(fingerprint(&question("ab", "c")), fingerprint(&question("a", "bc")));
        assert_eq!(fingerprint(&question("a", "b")), fingerprint(&question("a", "b")));
    }
}

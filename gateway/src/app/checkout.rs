use platform::{AppError, AppResult, Principal};
use proto::{
    license::{FindLiveLicenseRequest, FindLiveLicenseResponse},
    payments::{CreateSessionRequest, Session},
};
use semver::Version;
use wire::manifest::MarketplaceId;

use super::{App, services::answer};

/// The question of `checkout/session` (contracts.md section 2).
pub(crate) struct CheckoutQuestion {
    pub(crate) marketplace_id: MarketplaceId,
    pub(crate) version: Version,
    pub(crate) customer_email: String,
    pub(crate) instance_id: String,
    pub(crate) idempotency_key: Option<String>,
}

impl App {
    /// Opens a checkout at the catalogue's price, unless the instance already has what it would pay for.
    pub(crate) async fn checkout(
        &self,
        principal: &Principal,
        question: CheckoutQuestion,
    ) -> AppResult<Session> {
        let release = self.get_release(&question.marketplace_id, &question.version).await?;
        if release.yanked_reason.is_some() {
            return Err(AppError::conflict(
                "this version has been withdrawn; buy the latest version of the app",
            ));
        }
        if release.price_cents == 0 {
            return Err(AppError::not_allowed(
                "this app is free: download and install it, there is nothing to buy",
            ));
        }
        // Asked before payments-svc is: a licence that is issued in between makes a refusal, never a second sale.
        let buyer = self.buyer_without_license(principal, &question).await?;
        let request = CreateSessionRequest {
            instance_id: buyer.instance_id,
            marketplace_id: question.marketplace_id.to_string(),
            version: question.version.to_string(),
            name: release.name,
            price_cents: release.price_cents,
            customer_email: question.customer_email,
            idempotency_key: question.idempotency_key,
            licensed_order_ids: buyer.order_ids,
        };
        let request = self.services.request(principal, request)?;
        answer(self.services.checkout().create_session(request).await)
    }

    /// The instance, which must not hold a live licence of the app: its opened id, and the orders of its former ones.
    async fn buyer_without_license(
        &self,
        principal: &Principal,
        question: &CheckoutQuestion,
    ) -> AppResult<FindLiveLicenseResponse> {
        let question = FindLiveLicenseRequest {
            marketplace_id: question.marketplace_id.to_string(),
            instance_id: question.instance_id.clone(),
        };
        let question = self.services.request(principal, question)?;
        let live = answer(self.services.licenses().find_live_license(question).await)?;
        match live.license_id {
            Some(_) => Err(AppError::conflict(
                "this instance already has a live licence of this app; GET /store/marketplace/licenses shows its key",
            )),
            None => Ok(live),
        }
    }
}

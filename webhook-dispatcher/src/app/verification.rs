//! Verification: an endpoint that is new, or somewhere else, is told nothing before it has taken one signed request. That
//! is a delivery as any other: recorded, retried by the schedule, replayed.

use platform::{AppResult, db::Tx};

use super::App;
use crate::{
    domain::{
        endpoint::Owner,
        event::{ENDPOINT_VERIFICATION, EndpointVerification},
        verification::{Intake, Verification},
    },
    store::{backlog, endpoint},
};

impl App {
    /// How an endpoint begins where nothing was told yet. A hosted app has three operations to answer and no form for a
    /// fourth (contracts.md section 4), and its first Install shows the same.
    pub(super) fn verification_of(&self, owner: &Owner, now_ms: i64) -> Verification {
        match owner {
            Owner::Instance(_) | Owner::Operator if self.rules.verifies => Verification::AwaitedSince(now_ms),
            _ => Verification::NotAwaited,
        }
    }

    /// The endpoint begins afresh at another URL.
    pub(super) fn at_new_url(&self, endpoint: endpoint::Model, now_ms: i64) -> endpoint::Model {
        let verification = self.verification_of(&endpoint.owner(), now_ms);
        endpoint.renewed().verified_as(verification)
    }

    /// Asks the endpoint anew, if that is what it waits for, and takes back what it was asked before. One that is disabled
    /// is asked when it is enabled.
    pub(super) async fn ask_to_verify(
        &self,
        tx: &Tx,
        before: Option<&endpoint::Model>,
        endpoint: &endpoint::Model,
        now_ms: i64,
    ) -> AppResult<()> {
        if before.is_some_and(|before| before.health().verification.is_awaited()) {
            backlog::take_back(&**tx, &endpoint.id, ENDPOINT_VERIFICATION, now_ms).await?;
        }
        if endpoint.health().intake() != Intake::VerificationAlone {
            return Ok(());
        }
        let body = EndpointVerification { endpoint_id: &endpoint.id };
        self.keep_event(tx, endpoint, ENDPOINT_VERIFICATION, &body, now_ms).await?;
        metrics::counter!("webhook_messages_total", "event" => ENDPOINT_VERIFICATION).increment(1);
        Ok(())
    }

    /// Where endpoints are not verified, none waits for it any longer: what is held for it goes on.
    pub async fn waive_verifications(&self) -> AppResult<()> {
        if self.rules.verifies {
            return Ok(());
        }
        for id in endpoint::list_unverified(self.db.read()).await? {
            let (tx, now_ms) = (self.db.begin().await?, self.clock.now_ms());
            let Some(before) = endpoint::find(&*tx, &id).await? else { continue };
            let after = self.save(&tx, &before, waived(before.clone()), now_ms).await?;
            self.ask_to_verify(&tx, Some(&before), &after, now_ms).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// The endpoint that nobody waits for any longer.
pub(super) fn waived(endpoint: endpoint::Model) -> endpoint::Model {
    let verification = endpoint.health().verification.waived();
    endpoint.verified_as(verification)
}

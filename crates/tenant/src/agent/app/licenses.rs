//! Whether the licensed apps may run: asked at the start, each day and when the marketplace has changed a licence,
//! remembered for when nobody answers.

use std::{sync::Arc, time::Duration};

use platform::Shutdown;
use wire::{license_key::LicenseKey, license_token::LicenseClaims, manifest::MarketplaceId};

use super::App;
use crate::{
    agent::domain::Marketplace,
    client::{Client, ClientError, LicenseQuestion, Verified},
    license::{self, Asked, Expected, Standing},
};

const EACH: Duration = Duration::from_hours(24);
const AFTER_FAILURE: Duration = Duration::from_mins(1);

impl App {
    /// Asks about each licence now and then, until `shutdown`.
    pub(crate) async fn verify_licenses_until(self: Arc<Self>, shutdown: Shutdown) {
        let Some(client) = &self.client else { return shutdown.cancelled().await };
        loop {
            let wait = if self.verify_licenses(client).await { EACH } else { AFTER_FAILURE };
            tokio::select! {
                () = self.clock.sleep(wait) => {}
                () = self.licenses_in_doubt.notified() => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Whether the marketplace could be reached.
    async fn verify_licenses(&self, client: &Client) -> bool {
        let mut reached = true;
        let apps: Vec<MarketplaceId> = self.state().licenses.keys().cloned().collect();
        for app in apps {
            reached &= self.prove_license(client, &app).await;
        }
        reached
    }

    /// Asks about one licence and notes how it stands, with the token that proves it later.
    pub(super) async fn prove_license(&self, client: &Client, app: &MarketplaceId) -> bool {
        let Some(key) = self.license_key_of(app) else { return true };
        let nonce = self.random_text();
        let question =
            LicenseQuestion { license_key: &key, marketplace_id: app, version: None, nonce: Some(&nonce) };
        let answer = client.verify(&question).await;
        if answer.is_ok() {
            self.refresh_marketplace(client).await;
        }
        let reached = !matches!(&answer, Err(error) if error.is_transient());
        let token = self.proven_token(client, app, &nonce, answer.as_ref().ok());
        let standing = self.standing(client, app, &answer);
        let noted = self.state.change(|state| {
            let Some(known) = state.licenses.get_mut(app) else { return };
            known.token = token.or_else(|| known.token.take().filter(|_| standing.may_run()));
            known.standing = Some(standing);
        });
        if let Err(error) = noted.await {
            tracing::error!(%error, "the standing of a licence could not be kept");
        }
        reached
    }

    fn license_key_of(&self, app: &MarketplaceId) -> Option<LicenseKey> {
        self.state().licenses.get(app)?.key.parse().ok()
    }

    /// The answer's token, if it proves what the answer says.
    fn proven_token(
        &self,
        client: &Client,
        app: &MarketplaceId,
        nonce: &str,
        answer: Option<&Verified>,
    ) -> Option<String> {
        let token = answer.filter(|answer| answer.valid)?.token.as_deref()?;
        self.claims(client, app, token, Some(nonce)).map(|_| token.to_owned())
    }

    fn claims(
        &self,
        client: &Client,
        app: &MarketplaceId,
        token: &str,
        nonce: Option<&str>,
    ) -> Option<LicenseClaims> {
        let state = self.state();
        let Marketplace { issuer, jwks } = state.marketplace.as_ref()?;
        let expected = Expected { issuer, marketplace_id: app, instance_id: client.instance_id()?, nonce };
        let proof = license::verify_token(jwks, token, &expected, self.clock.now_secs());
        proof.inspect_err(|error| tracing::warn!(%app, %error, "a licence token was not taken")).ok()
    }

    fn standing(
        &self,
        client: &Client,
        app: &MarketplaceId,
        answer: &Result<Verified, ClientError>,
    ) -> Standing {
        let asked = match answer {
            Ok(answer) => Asked::Answered { valid: answer.valid, code: &answer.code },
            Err(_) => Asked::Unreachable,
        };
        let state = self.state();
        let token = state.licenses.get(app).and_then(|known| known.token.as_deref());
        let proof = token.and_then(|token| self.claims(client, app, token, None));
        license::standing(asked, proof.as_ref(), self.clock.now_secs())
    }

    /// Keeps the keys that verify tokens, for the days when the marketplace is away.
    async fn refresh_marketplace(&self, client: &Client) {
        let kept = match client.well_known().await {
            Ok(known) => {
                let marketplace = Marketplace { issuer: known.issuer, jwks: known.jwks };
                self.state.change(|state| state.marketplace = Some(marketplace)).await
            }
            // The keys of last time still verify what they signed.
            Err(_) => Ok(()),
        };
        if let Err(error) = kept {
            tracing::error!(%error, "the marketplace's keys could not be kept");
        }
    }
}

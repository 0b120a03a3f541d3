use platform::{AppError, AppResult, Principal, grpc::Caller};
use proto::license::{self as wire, licenses_server::Licenses};
use semver::Version;
use tonic::{Request, Response, Status};

use super::{map, parse::marketplace_id};
use crate::{
    app::{App, Asked, license_key},
    domain::{
        Page,
        license::{Act, Reason, Status as LicenseStatus},
    },
    store::licenses::Filter,
};

const MAX_NONCE: usize = 128;

/// `mercato.license.v1.Licenses`.
pub(super) struct LicensesEdge(pub(super) App);

#[tonic::async_trait]
impl Licenses for LicensesEdge {
    async fn verify(
        &self,
        request: Request<wire::VerifyRequest>,
    ) -> Result<Response<wire::VerifyResponse>, Status> {
        let principal = Caller::principal(&request)?.clone();
        let asked = self.asked(&principal, request.into_inner())?;
        Ok(Response::new(map::answer(self.0.verify(asked).await?)))
    }

    async fn deactivate(
        &self,
        request: Request<wire::DeactivateRequest>,
    ) -> Result<Response<wire::DeactivateResponse>, Status> {
        let principal = Caller::principal(&request)?.clone();
        principal.require_instance_admin()?;
        let request = request.into_inner();
        let instance_id = self.named_instance(&principal, &request.instance_id)?;
        let key = license_key(&request.license_key)?;
        let app = marketplace_id(&request.marketplace_id)?;
        let seats = self.0.deactivate(&key, app, &instance_id).await?;
        Ok(Response::new(wire::DeactivateResponse {
            freed: seats.freed,
            seats: seats.seats.cast_unsigned(),
            seats_used: map::count(seats.seats_used),
            license_id: seats.license_id,
        }))
    }

    async fn list_instance_licenses(
        &self,
        request: Request<wire::ListInstanceLicensesRequest>,
    ) -> Result<Response<wire::ListLicensesResponse>, Status> {
        let instance_id = Caller::principal(&request)?.require_instance_admin()?.to_owned();
        let wire::ListInstanceLicensesRequest { limit, offset } = request.into_inner();
        let page = Page::new(limit, offset).map_err(AppError::from)?;
        let (own, count) = self.0.list_own_licenses(&instance_id, page).await?;
        let licenses = own.into_iter().map(map::own_license).collect();
        Ok(Response::new(wire::ListLicensesResponse { licenses, count: map::count(count) }))
    }

    async fn find_live_license(
        &self,
        request: Request<wire::FindLiveLicenseRequest>,
    ) -> Result<Response<wire::FindLiveLicenseResponse>, Status> {
        let principal = Caller::principal(&request)?.clone();
        require_buyer(&principal)?;
        let request = request.into_inner();
        let instance_id = self.named_instance(&principal, &request.instance_id)?;
        let app = marketplace_id(&request.marketplace_id)?;
        let bought = self.0.get_bought(&instance_id, app).await?;
        Ok(Response::new(wire::FindLiveLicenseResponse {
            license_id: bought.live_license_id,
            instance_id,
            order_ids: bought.order_ids,
        }))
    }

    async fn get_public_keys(
        &self,
        _: Request<wire::GetPublicKeysRequest>,
    ) -> Result<Response<wire::PublicKeys>, Status> {
        let keyring = self.0.keyring();
        Ok(Response::new(wire::PublicKeys {
            issuer: keyring.issuer().to_owned(),
            jwks_json: serde_json::to_string(keyring.jwks()).map_err(AppError::unexpected)?,
            sealing_key: keyring.sealing_key(),
        }))
    }

    async fn list_licenses(
        &self,
        request: Request<wire::ListLicensesRequest>,
    ) -> Result<Response<wire::ListLicensesResponse>, Status> {
        Caller::principal(&request)?.require_operator()?;
        let request = request.into_inner();
        let page = Page::new(request.limit, request.offset).map_err(AppError::from)?;
        let (listed, count) = self.0.list_licenses(&self.filter(request)?, page).await?;
        let licenses = listed.into_iter().map(map::listed).collect();
        Ok(Response::new(wire::ListLicensesResponse { licenses, count: map::count(count) }))
    }

    async fn get_license(
        &self,
        request: Request<wire::GetLicenseRequest>,
    ) -> Result<Response<wire::License>, Status> {
        Caller::principal(&request)?.require_operator()?;
        let listed = self.0.get_license(&request.into_inner().license_id).await?;
        Ok(Response::new(map::listed(listed)))
    }

    async fn suspend_license(
        &self,
        request: Request<wire::ChangeLicenseRequest>,
    ) -> Result<Response<wire::License>, Status> {
        self.change(request, Act::Suspend).await
    }

    async fn reinstate_license(
        &self,
        request: Request<wire::ChangeLicenseRequest>,
    ) -> Result<Response<wire::License>, Status> {
        self.change(request, Act::Reinstate).await
    }

    async fn revoke_license(
        &self,
        request: Request<wire::ChangeLicenseRequest>,
    ) -> Result<Response<wire::License>, Status> {
        self.change(request, Act::Revoke).await
    }
}

impl LicensesEdge {
    fn asked(&self, principal: &Principal, request: wire::VerifyRequest) -> AppResult<Asked> {
        let key = license_key(&request.license_key)?;
        let instance_id = self.named_instance(principal, &request.instance_id)?;
        marketplace_id(&request.marketplace_id)?;
        if request.nonce.as_ref().is_some_and(|nonce| nonce.chars().count() > MAX_NONCE) {
            return Err(AppError::invalid("nonce must be at most 128 characters"));
        }
        Ok(Asked {
            key,
            marketplace_id: request.marketplace_id,
            // The gateway's word alone seats nobody: the instance must be the one that speaks.
            may_take_seat: request.may_take_seat && principal.instance_id() == Some(&instance_id),
            instance_id,
            version: request.version.as_deref().map(version).transpose()?,
            nonce: request.nonce,
        })
    }

    /// The instance that the question is about, opened; a shop may name only itself.
    fn named_instance(&self, principal: &Principal, instance: &str) -> AppResult<String> {
        let instance_id = self.0.keyring().reveal(instance)?;
        principal.require_may_name(&instance_id)?;
        Ok(instance_id)
    }

    fn filter(&self, request: wire::ListLicensesRequest) -> AppResult<Filter> {
        Ok(Filter {
            instance_id: request.instance_id.map(|id| self.0.keyring().reveal(&id)).transpose()?,
            marketplace_id: request.marketplace_id,
            status: request.status.as_deref().map(LicenseStatus::parse).transpose()?,
            order_id: request.order_id,
        })
    }

    async fn change(
        &self,
        request: Request<wire::ChangeLicenseRequest>,
        act: Act,
    ) -> Result<Response<wire::License>, Status> {
        Caller::principal(&request)?.require_operator()?;
        let wire::ChangeLicenseRequest { license_id, reason } = request.into_inner();
        let reason = Reason::new(&reason).map_err(AppError::from)?;
        let listed = self.0.change_license(&license_id, act, reason).await?;
        Ok(Response::new(map::listed(listed)))
    }
}

/// What an instance has bought is its own business.
fn require_buyer(principal: &Principal) -> AppResult<()> {
    match principal {
        Principal::Anonymous | Principal::Vendor(_) => Err(AppError::not_allowed(
            "only a shop may ask what it has bought; use its publishable key (pk_…)",
        )),
        _ => Ok(()),
    }
}

/// In its one canonical form, as the catalogue tells it.
fn version(text: &str) -> AppResult<String> {
    let version = Version::parse(text);
    version.map(|version| version.to_string()).map_err(|_| {
        AppError::invalid("version must be a semantic version such as 1.4.0, without a leading v")
    })
}

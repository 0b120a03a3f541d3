use platform::{AppError, AppResult, Principal, grpc::Caller};
use proto::license::{self as wire, installations_server::Installations};
use tonic::{Request, Response, Status};

use super::{map, parse};
use crate::{
    app::{App, Wanted},
    domain::{
        Page,
        installation::{Facts, Permissions, State, Told},
        instance::ShopApi,
    },
    store::installations::Filter,
};

const MAX_PERMISSIONS: usize = 200;

/// `mercato.license.v1.Installations`.
pub(super) struct InstallationsEdge(pub(super) App);

#[tonic::async_trait]
impl Installations for InstallationsEdge {
    async fn request_installation(
        &self,
        request: Request<wire::RequestInstallationRequest>,
    ) -> Result<Response<wire::Installation>, Status> {
        let instance_id = Caller::principal(&request)?.require_instance_admin()?.to_owned();
        let request = request.into_inner();
        let told = Told {
            shop: request.shop,
            site_url: request.site_url,
            api: request.api.as_ref().map(shop_api).transpose()?,
        };
        let wanted = wanted(request.release, request.granted_permissions)?;
        let shown = self.0.request_installation(&instance_id, wanted, &told).await?;
        Ok(Response::new(map::installation(shown)))
    }

    async fn request_update(
        &self,
        request: Request<wire::RequestUpdateRequest>,
    ) -> Result<Response<wire::Installation>, Status> {
        let instance_id = Caller::principal(&request)?.require_instance_admin()?.to_owned();
        let request = request.into_inner();
        let wanted = wanted(request.release, request.granted_permissions)?;
        let shown = self.0.request_update(&instance_id, &request.installation_id, wanted).await?;
        Ok(Response::new(map::installation(shown)))
    }

    async fn request_removal(
        &self,
        request: Request<wire::RequestRemovalRequest>,
    ) -> Result<Response<wire::Installation>, Status> {
        let instance_id = Caller::principal(&request)?.require_instance_admin()?.to_owned();
        let shown = self.0.request_removal(&instance_id, &request.into_inner().installation_id).await?;
        Ok(Response::new(map::installation(shown)))
    }

    async fn introspect(
        &self,
        request: Request<wire::IntrospectRequest>,
    ) -> Result<Response<wire::Introspection>, Status> {
        let instance_id = Caller::principal(&request)?.require_instance_admin()?.to_owned();
        let key_hash = parse::key_hash(request.into_inner().key_hash)?;
        let found = self.0.introspect(&instance_id, &key_hash).await?;
        Ok(Response::new(found.map(map::introspection).unwrap_or_default()))
    }

    async fn get_installation(
        &self,
        request: Request<wire::GetInstallationRequest>,
    ) -> Result<Response<wire::Installation>, Status> {
        let own = match Caller::principal(&request)? {
            Principal::Operator => None,
            principal => Some(principal.require_instance_admin()?.to_owned()),
        };
        let id = request.into_inner().installation_id;
        Ok(Response::new(map::installation(self.0.get_installation(&id, own.as_deref()).await?)))
    }

    async fn list_installations(
        &self,
        request: Request<wire::ListInstallationsRequest>,
    ) -> Result<Response<wire::ListInstallationsResponse>, Status> {
        let principal = Caller::principal(&request)?.clone();
        let request = request.into_inner();
        let page = Page::new(request.limit, request.offset).map_err(AppError::from)?;
        let filter = filter(&principal, request)?;
        let (shown, count) = self.0.list_installations(&filter, page).await?;
        let installations = shown.into_iter().map(|shown| for_whom(&principal, map::installation(shown)));
        let installations = installations.collect();
        Ok(Response::new(wire::ListInstallationsResponse { installations, count: map::count(count) }))
    }

    async fn count_versions(
        &self,
        request: Request<wire::CountVersionsRequest>,
    ) -> Result<Response<wire::CountVersionsResponse>, Status> {
        let principal = Caller::principal(&request)?.clone();
        let marketplace_id = request.into_inner().marketplace_id;
        require_may_look_across(&principal, Some(&marketplace_id))?;
        let app = parse::marketplace_id(&marketplace_id)?;
        let counts = self.0.count_versions(app).await?;
        let versions = counts.into_iter().map(map::version_count).collect();
        Ok(Response::new(wire::CountVersionsResponse { versions }))
    }
}

/// Who may look at more than one shop. This service cannot know whose an app is: a vendor comes here with its id, an
/// app with its vendor's name, and which belongs to which the catalogue alone knows. So the gateway, which asks the
/// catalogue, lets a vendor look at its own apps only; what is held here is that a vendor always names one.
fn require_may_look_across(principal: &Principal, marketplace_id: Option<&str>) -> AppResult<()> {
    match principal {
        Principal::Operator => Ok(()),
        Principal::Vendor(_) if marketplace_id.is_some() => Ok(()),
        Principal::Vendor(_) => Err(AppError::invalid("name the app: a vendor is shown one app at a time")),
        _ => Err(AppError::not_allowed(
            "only the operator and the app's vendor may look across shops; use an admin key (ak_…) or a vendor's \
             key (vk_…)",
        )),
    }
}

/// A shop is shown its own, whatever it asks for; that it names another is a mistake it is told of.
fn whose(principal: &Principal, request: &wire::ListInstallationsRequest) -> AppResult<Option<String>> {
    if let Principal::InstanceAdmin(own) = principal {
        principal.require_may_name(request.instance_id.as_deref().unwrap_or(own))?;
        return Ok(Some(own.clone()));
    }
    require_may_look_across(principal, request.marketplace_id.as_deref())?;
    Ok(request.instance_id.clone())
}

fn filter(principal: &Principal, request: wire::ListInstallationsRequest) -> AppResult<Filter> {
    let instance_id = whose(principal, &request)?;
    let marketplace_id = request.marketplace_id.as_deref().map(parse::marketplace_id).transpose()?;
    Ok(Filter {
        instance_id,
        marketplace_id: marketplace_id.map(str::to_owned),
        state: request.state.as_deref().map(State::name).transpose()?,
        versions: request.versions,
        present: request.present,
    })
}

/// A vendor is told of a shop by the shop's own identifier, as its callbacks tell it.
fn for_whom(principal: &Principal, installation: wire::Installation) -> wire::Installation {
    match principal {
        Principal::Vendor(_) => wire::Installation { instance_id: String::new(), ..installation },
        _ => installation,
    }
}

fn shop_api(api: &wire::ShopApi) -> AppResult<ShopApi> {
    Ok(ShopApi::new(&api.base_url, api.min_version, api.max_version)?)
}

fn wanted(release: Option<wire::AppRelease>, granted: Vec<String>) -> AppResult<Wanted> {
    let release =
        release.ok_or_else(|| AppError::invalid("release is missing: what the catalogue says of it"))?;
    if granted.len() > MAX_PERMISSIONS {
        return Err(AppError::invalid("granted_permissions must be at most 200 permissions"));
    }
    Ok(Wanted { release: Facts::from(release).check()?, granted: Permissions::new(granted) })
}

use platform::{AppError, AppResult, Principal, grpc::Caller};
use proto::license::{self as wire, instances_server::Instances};
use tonic::{Request, Response, Status};

use super::{map, parse};
use crate::{
    app::{App, Registration},
    domain::{
        Page,
        instance::{self, Changes, ShopApi},
        key::{self, KeyKind, Overlap, Rotation},
    },
};

/// `mercato.license.v1.Instances`.
pub(super) struct InstancesEdge(pub(super) App);

#[tonic::async_trait]
impl Instances for InstancesEdge {
    async fn register_instance(
        &self,
        request: Request<wire::RegisterInstanceRequest>,
    ) -> Result<Response<wire::InstanceCredentials>, Status> {
        Caller::principal(&request)?.require_operator()?;
        let registration = registration(request.into_inner())?;
        Ok(Response::new(map::credentials(self.0.register_instance(registration).await?)))
    }

    async fn get_instance(
        &self,
        request: Request<wire::GetInstanceRequest>,
    ) -> Result<Response<wire::Instance>, Status> {
        let principal = Caller::principal(&request)?.clone();
        let id = request.into_inner().instance_id;
        require_operator_or_own(&principal, &id)?;
        Ok(Response::new(map::instance(self.0.get_instance(&id).await?)))
    }

    async fn list_instances(
        &self,
        request: Request<wire::ListInstancesRequest>,
    ) -> Result<Response<wire::ListInstancesResponse>, Status> {
        Caller::principal(&request)?.require_operator()?;
        let wire::ListInstancesRequest { limit, offset } = request.into_inner();
        let page = Page::new(limit, offset).map_err(AppError::from)?;
        let (instances, count) = self.0.list_instances(page).await?;
        let instances = instances.into_iter().map(map::instance).collect();
        Ok(Response::new(wire::ListInstancesResponse { instances, count: map::count(count) }))
    }

    async fn update_instance(
        &self,
        request: Request<wire::UpdateInstanceRequest>,
    ) -> Result<Response<wire::Instance>, Status> {
        Caller::principal(&request)?.require_operator()?;
        let request = request.into_inner();
        let changes = changes(&request)?;
        Ok(Response::new(map::instance(self.0.update_instance(&request.instance_id, changes).await?)))
    }

    async fn rotate_instance(
        &self,
        request: Request<wire::RotateInstanceRequest>,
    ) -> Result<Response<wire::InstanceCredentials>, Status> {
        Caller::principal(&request)?.require_operator()?;
        let request = request.into_inner();
        let rotation = rotation(&request)?;
        let credentials = self.0.rotate_instance(&request.instance_id, rotation).await?;
        Ok(Response::new(map::credentials(credentials)))
    }

    async fn set_instance_disabled(
        &self,
        request: Request<wire::SetInstanceDisabledRequest>,
    ) -> Result<Response<wire::Instance>, Status> {
        Caller::principal(&request)?.require_operator()?;
        let wire::SetInstanceDisabledRequest { instance_id, disabled } = request.into_inner();
        let changes = Changes { disabled: Some(disabled), ..Changes::default() };
        Ok(Response::new(map::instance(self.0.update_instance(&instance_id, changes).await?)))
    }

    async fn create_shared_key(
        &self,
        request: Request<wire::CreateSharedKeyRequest>,
    ) -> Result<Response<wire::SharedKey>, Status> {
        Caller::principal(&request)?.require_operator()?;
        let label = key::label(&request.into_inner().label).map_err(AppError::from)?;
        let publishable_key = self.0.create_shared_key(&label).await?.expose().to_owned();
        Ok(Response::new(wire::SharedKey { publishable_key, label }))
    }

    /// Asked before there is a principal: it is how the gateway finds one.
    async fn resolve_key(
        &self,
        request: Request<wire::ResolveKeyRequest>,
    ) -> Result<Response<wire::ResolvedKey>, Status> {
        let key_hash = parse::key_hash(request.into_inner().key_hash)?;
        let holder = self.0.resolve_key(&key_hash).await?;
        let kind = match holder.kind {
            KeyKind::Publishable => wire::KeyKind::Publishable,
            KeyKind::Shared => wire::KeyKind::Shared,
            KeyKind::Secret => wire::KeyKind::Secret,
        };
        let instance_id = holder.instance_id.unwrap_or_default();
        let expires_at_ms = holder.expires_at_ms;
        Ok(Response::new(wire::ResolvedKey { kind: kind.into(), instance_id, expires_at_ms }))
    }
}

fn require_operator_or_own(principal: &Principal, instance_id: &str) -> AppResult<()> {
    match principal {
        Principal::Operator => Ok(()),
        other => {
            other.require_instance_admin()?;
            other.require_may_name(instance_id)
        }
    }
}

fn api(api: &wire::ShopApi) -> AppResult<ShopApi> {
    Ok(ShopApi::new(&api.base_url, api.min_version, api.max_version)?)
}

fn registration(request: wire::RegisterInstanceRequest) -> AppResult<Registration> {
    let shop_api = request.api.ok_or_else(|| {
        AppError::invalid("api is missing: the shop API's base_url, min_version and max_version")
    })?;
    let secret = request.webhook_secret.map(|text| text.parse()).transpose();
    Ok(Registration {
        base_url: instance::base_url(&request.base_url)?,
        shop: instance::shop(&request.shop)?,
        site_url: instance::site_url(&request.site_url)?,
        api: api(&shop_api)?,
        webhook_secret: secret.map_err(invalid_secret)?,
    })
}

/// wire's messages about a secret hold none of it.
fn invalid_secret(error: ::wire::standard_webhooks::WebhookSecretError) -> AppError {
    AppError::invalid(error.to_string())
}

fn changes(request: &wire::UpdateInstanceRequest) -> AppResult<Changes> {
    let changes = Changes {
        base_url: request.base_url.as_deref().map(instance::base_url).transpose()?,
        site_url: request.site_url.as_deref().map(instance::site_url).transpose()?,
        api: request.api.as_ref().map(api).transpose()?,
        ..Changes::default()
    };
    if changes == Changes::default() {
        return Err(AppError::invalid("name what to change: base_url, site_url or api"));
    }
    Ok(changes)
}

fn rotation(request: &wire::RotateInstanceRequest) -> AppResult<Rotation> {
    let rotation = Rotation {
        publishable_key: request.publishable_key,
        secret_key: request.secret_key,
        webhook_secret: request.webhook_secret,
        overlap: Overlap::from_seconds(request.overlap_seconds)?,
    };
    Ok(rotation.check()?)
}

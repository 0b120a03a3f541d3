//! Who calls: each kind of key as an extractor.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{header, request::Parts},
};
use platform::{AppError, AppResult, Principal};

use super::Edge;
use crate::{
    app::VendorCaller,
    domain::credential::{self, KeyForm},
};

/// The header of a publishable key.
pub(super) const PUBLISHABLE_KEY: &str = "x-publishable-api-key";

/// A shop that reads, by its own or a shared publishable key.
pub(super) struct Reader(pub(super) Principal);

/// A shop's administrator, by the shop's secret key.
pub(super) struct ShopAdmin(pub(super) Principal);

/// A vendor, by its secret key.
pub(super) struct Vendor(pub(super) Arc<VendorCaller>);

/// The operator, by an admin key.
pub(super) struct Operator(pub(super) Principal);

impl FromRequestParts<Edge> for Reader {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> AppResult<Self> {
        match find_reader(parts, edge).await? {
            Some(principal) => Ok(Self(principal)),
            None => Err(AppError::unauthorized(
                "send this shop's publishable key (pk_…) as x-publishable-api-key",
            )),
        }
    }
}

impl OptionalFromRequestParts<Edge> for Reader {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> AppResult<Option<Self>> {
        Ok(find_reader(parts, edge).await?.map(Self))
    }
}

impl FromRequestParts<Edge> for ShopAdmin {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> AppResult<Self> {
        let wanted = "send this shop's secret key as Authorization: Bearer sk_…";
        let key = bearer(parts, KeyForm::Secret, wanted)?;
        let principal = edge.app.principal_of(&key).await?;
        if let Some(reader) = find_reader(parts, edge).await?
            && let Some(id) = reader.instance_id()
        {
            principal.require_may_name(id)?;
        }
        Ok(Self(principal))
    }
}

impl FromRequestParts<Edge> for Vendor {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> AppResult<Self> {
        let wanted = "send this vendor's secret key as Authorization: Bearer vk_…";
        edge.app.vendor_of(&bearer(parts, KeyForm::Vendor, wanted)?).await.map(Self)
    }
}

impl FromRequestParts<Edge> for Operator {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> AppResult<Self> {
        let wanted = "send an admin key as Authorization: Bearer ak_…";
        edge.app.operator(&bearer(parts, KeyForm::Admin, wanted)?).map(Self)
    }
}

async fn find_reader(parts: &Parts, edge: &Edge) -> AppResult<Option<Principal>> {
    let Some(key) = parts.headers.get(PUBLISHABLE_KEY) else { return Ok(None) };
    match key.to_str() {
        Ok(key) if credential::form_of(key) == Some(KeyForm::Publishable) => {
            edge.app.principal_of(key).await.map(Some)
        }
        _ => {
            Err(AppError::unauthorized("x-publishable-api-key must hold a publishable key of the form pk_…"))
        }
    }
}

fn bearer(parts: &Parts, form: KeyForm, wanted: &'static str) -> AppResult<String> {
    let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match header.and_then(credential::bearer) {
        Some(key) if credential::form_of(key) == Some(form) => Ok(key.to_owned()),
        _ => Err(AppError::unauthorized(wanted)),
    }
}

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Query, State},
};
use platform::{AppError, AppResult};
use serde::Deserialize;
use wire::manifest::MarketplaceId;

use crate::agent::app::{App, ShopStatus};

const MAX_PATIENCE: Duration = Duration::from_secs(30);

/// `?wait_for=@vendor/name&seconds=20` holds the answer until that app is installed or waits for the administrator.
#[derive(Deserialize)]
pub(in super::super) struct Params {
    wait_for: Option<MarketplaceId>,
    #[serde(default)]
    seconds: u64,
}

pub(in super::super) async fn show(
    State(app): State<Arc<App>>,
    Query(params): Query<Params>,
) -> AppResult<Json<ShopStatus>> {
    let patience = Duration::from_secs(params.seconds).min(MAX_PATIENCE);
    let status = match &params.wait_for {
        Some(wanted) => app.status_once_settled(wanted, patience).await,
        None => app.status().await,
    };
    status.map(Json).map_err(|error| {
        AppError::unavailable("the shop can't read its own state right now").caused_by(error)
    })
}

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse as _, Redirect, Response},
};

use super::{Refusal, app_of, detail_path, page};
use crate::{
    agent::{
        app::{App, ListingState},
        http::{
            form::FormSession,
            view::{Here, Shell},
        },
    },
    client::AppKind,
};

/// Asks before a hosted or static app is removed.
#[derive(Template)]
#[template(path = "removal.html")]
struct RemovalPage {
    shell: Shell,
    id: String,
    path: String,
    name: String,
    version: String,
    hosted: bool,
}

pub(in super::super) async fn show(
    State(app): State<Arc<App>>,
    Path(names): Path<(String, String)>,
    session: FormSession,
) -> Result<Response, Refusal> {
    let (detail, state) = app.look_at(&app_of(names)?).await?;
    let id = detail.product.marketplace_id;
    let (ListingState::Registered(registered) | ListingState::Pending { beside: Some(registered), .. }) =
        state
    else {
        return Ok(Redirect::to(&detail_path(&id)).into_response());
    };
    let name = registered.name.unwrap_or(detail.product.name);
    let view = RemovalPage {
        shell: Shell::new(&app, name.clone(), Here::Plugins, session.token()),
        id: id.to_string(),
        path: detail_path(&id),
        name,
        version: registered.installation.version.to_string(),
        hosted: detail.product.kind == AppKind::Hosted,
    };
    Ok(page(session, &view))
}

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse as _, Redirect, Response},
};

use super::{Refusal, app_of, detail_path, page};
use crate::{
    agent::{
        app::{App, Doubt},
        http::{
            form::FormSession,
            view::{self, ConsentView, Here, Shell},
        },
    },
    artifact::TrustError,
};

/// Asks before a hosted or static app is installed or updated.
#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage {
    shell: Shell,
    id: String,
    path: String,
    name: String,
    vendor: String,
    asked: ConsentView,
    /// The id of the app's newest installation, sent back with the form.
    newest: String,
    doubt: Option<DoubtView>,
}

/// Why nothing is asked.
struct DoubtView {
    message: String,
    /// Whether the administrator may look at a key and trust it.
    is_new_key: bool,
}

pub(in super::super) async fn show(
    State(app): State<Arc<App>>,
    Path(names): Path<(String, String)>,
    session: FormSession,
) -> Result<Response, Refusal> {
    let id = app_of(names)?;
    let Some(consent) = app.consent(&id).await? else {
        return Ok(Redirect::to(&detail_path(&id)).into_response());
    };
    let product = &consent.detail.product;
    let view = ConsentPage {
        shell: Shell::new(&app, product.name.clone(), Here::Marketplace, session.token()),
        id: product.marketplace_id.to_string(),
        path: detail_path(&product.marketplace_id),
        name: product.name.clone(),
        vendor: view::vendor(&product.marketplace_id),
        asked: ConsentView::of(&consent, app.now_ms()),
        newest: consent.newest.clone(),
        doubt: consent.doubt.as_ref().map(DoubtView::of),
    };
    Ok(page(session, &view))
}

impl DoubtView {
    fn of(doubt: &Doubt) -> Self {
        Self {
            message: view::sentence(&doubt.to_string()),
            is_new_key: matches!(doubt, Doubt::Trust(TrustError::NewKey(..))),
        }
    }
}

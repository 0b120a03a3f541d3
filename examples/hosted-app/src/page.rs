//! `GET /`: the shops that have this app. A real app puts its own login before it.

use askama::Template;
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use crate::{App, shops::Shop};

/// The page loads nothing and runs nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "shops.html")]
struct Page {
    shops: Vec<Shop>,
}

pub(crate) async fn show(State(app): State<App>) -> Response {
    let page =
        tokio::task::spawn_blocking(move || app.shops().list().map(|shops| Page { shops }.render())).await;
    match page {
        Ok(Ok(Ok(page))) => ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(page)).into_response(),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "the shops can't be read now\n").into_response(),
    }
}

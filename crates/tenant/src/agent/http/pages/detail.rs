use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};

use super::{Refusal, app_of, page};
use crate::{
    agent::{
        app::App,
        http::{
            form::FormSession,
            view::{self, Here, Shell, Stands},
        },
    },
    client::{AppKind, ProductDetail, Release},
};

#[derive(Template)]
#[template(path = "detail.html")]
struct DetailPage {
    shell: Shell,
    id: String,
    name: String,
    initial: String,
    hue: u8,
    author: String,
    vendor: String,
    type_label: String,
    price: String,
    version: String,
    paragraphs: Vec<String>,
    permissions: Vec<String>,
    versions: Vec<VersionRow>,
    standing: Stands,
    kind_label: &'static str,
    kind_words: &'static str,
    min_version: Option<String>,
}

struct VersionRow {
    version: String,
    published: String,
    yanked: Option<String>,
    changelog: Option<String>,
}

pub(in super::super) async fn show(
    State(app): State<Arc<App>>,
    Path(names): Path<(String, String)>,
    session: FormSession,
) -> Result<Response, Refusal> {
    let id = app_of(names)?;
    let (detail, state) = app.look_at(&id).await?;
    let now_ms = app.now_ms();
    let standing = Stands::of(&detail.product, &state, now_ms);
    let shell = Shell::new(&app, detail.product.name.clone(), Here::Marketplace, session.token());
    let shell = shell.refreshing(standing.moving_since_ms(), now_ms);
    Ok(page(session, &DetailPage::of(shell, detail, standing)))
}

impl DetailPage {
    fn of(shell: Shell, detail: ProductDetail, standing: Stands) -> Self {
        let product = detail.product;
        let description = if detail.description.is_empty() { product.summary() } else { &detail.description };
        let min_version = product.manifest.get("carphacom_min_version").and_then(|version| version.as_str());
        Self {
            shell,
            id: product.marketplace_id.to_string(),
            initial: view::initial(&product.name),
            hue: view::hue(product.marketplace_id.as_str()),
            author: product.author().to_owned(),
            vendor: view::vendor(&product.marketplace_id),
            type_label: view::type_label(&product.app_type),
            price: view::price(product.price_eur),
            version: product.version.to_string(),
            paragraphs: description.split("\n\n").map(str::to_owned).collect(),
            permissions: view::in_words(&product.permissions),
            versions: detail.versions.into_iter().map(VersionRow::of).collect(),
            standing,
            kind_label: view::kind_label(product.kind),
            kind_words: kind_words(product.kind),
            min_version: min_version.map(str::to_owned),
            name: product.name,
        }
    }
}

impl VersionRow {
    fn of(release: Release) -> Self {
        let reason = release.yanked_reason.unwrap_or_else(|| "no reason given".to_owned());
        Self {
            version: release.version.to_string(),
            published: release.published_at.as_deref().map(view::day).unwrap_or_default(),
            yanked: release.yanked.then_some(reason),
            changelog: view::link(release.changelog_url.as_deref()),
        }
    }
}

/// What the kind of an app means to a shopkeeper.
fn kind_words(kind: AppKind) -> &'static str {
    match kind {
        AppKind::Plugin => "Runs in this shop’s own backend.",
        AppKind::Static => "Pages and scripts only; nothing of it runs in this shop’s backend.",
        AppKind::Hosted => {
            "Runs on its vendor’s servers, and calls this shop with a key that may do only what you allow."
        }
        AppKind::Other => "This shop doesn’t know this kind of app, and can’t install it.",
    }
}

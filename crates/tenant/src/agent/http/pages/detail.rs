use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use wire::manifest::MarketplaceId;

use super::{Refusal, page};
use crate::{
    agent::{
        app::{App, UseCaseError},
        domain::in_plain_words,
        http::{
            form::FormSession,
            view::{self, Here, Shell, Stands},
        },
    },
    client::{ProductDetail, Release},
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
    hosted: bool,
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
    Path((vendor, name)): Path<(String, String)>,
    session: FormSession,
) -> Result<Response, Refusal> {
    let id: MarketplaceId = format!("{vendor}/{name}").parse().map_err(|_| UseCaseError::NoSuchApp)?;
    let (detail, state) = app.look_at(&id).await?;
    let standing = Stands::of(&detail.product, &state);
    let shell = Shell::new(&app, detail.product.name.clone(), Here::Marketplace, session.token());
    let shell = shell.refreshing(standing.is_moving());
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
            permissions: product.permissions.iter().map(|permission| in_plain_words(permission)).collect(),
            versions: detail.versions.into_iter().map(VersionRow::of).collect(),
            standing,
            hosted: !product.is_installable(),
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

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};
use serde::Deserialize;
use url::form_urlencoded;
use wire::manifest::AppType;

use super::{MARKETPLACE, Refusal, page, plugins::LocalPlugin};
use crate::agent::{
    app::{App, Catalogue, Question, UseCaseError},
    http::{
        form::FormSession,
        view::{Card, Here, OfferCard, Shell, sentence, type_label},
    },
};

#[derive(Deserialize, Default)]
pub(in super::super) struct Params {
    #[serde(default)]
    search: String,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    page: String,
}

#[derive(Template)]
#[template(path = "marketplace.html")]
struct MarketplacePage {
    shell: Shell,
    search: String,
    types: Vec<TypeChoice>,
    result: Result<Shelf, String>,
    offers: Vec<OfferCard>,
}

/// Without a marketplace: what is there anyway, and how to connect.
#[derive(Template)]
#[template(path = "local.html")]
struct LocalPage {
    shell: Shell,
    plugins: Vec<LocalPlugin>,
}

struct TypeChoice {
    value: &'static str,
    label: String,
    chosen: bool,
}

struct Shelf {
    cards: Vec<Card>,
    count: u64,
    page: u64,
    pages: u64,
    previous: Option<String>,
    next: Option<String>,
}

pub(in super::super) async fn show(
    State(app): State<Arc<App>>,
    Query(params): Query<Params>,
    session: FormSession,
) -> Result<Response, Refusal> {
    let shell = Shell::new(&app, "Marketplace", Here::Marketplace, session.token());
    let question = params.question();
    let result = match app.browse(&question).await {
        Ok(catalogue) => Ok(Shelf::of(catalogue, &question, app.now_ms())),
        Err(UseCaseError::NotConnected) => {
            let plugins = app.installed().await.map_err(UseCaseError::from)?;
            let plugins = plugins.into_iter().map(LocalPlugin::of).collect();
            return Ok(page(session, &LocalPage { shell, plugins }));
        }
        Err(UseCaseError::Marketplace(error)) => Err(sentence(&error.to_string())),
        Err(error) => return Err(error.into()),
    };
    Ok(page(
        session,
        &MarketplacePage {
            shell,
            types: types(question.app_type.as_deref()),
            search: question.search.unwrap_or_default(),
            result,
            offers: app.state().offers.iter().map(OfferCard::of).collect(),
        },
    ))
}

impl Params {
    fn question(self) -> Question {
        let search = self.search.trim().chars().take(100).collect::<String>();
        Question {
            search: Some(search).filter(|search| !search.is_empty()),
            app_type: self.r#type.parse::<AppType>().ok().map(|known| known.as_str().to_owned()),
            page: self.page.parse().unwrap_or(1).clamp(1, 10_000),
        }
    }
}

fn types(chosen: Option<&str>) -> Vec<TypeChoice> {
    let choice = |one: AppType| TypeChoice {
        value: one.as_str(),
        label: type_label(one.as_str()),
        chosen: chosen == Some(one.as_str()),
    };
    AppType::ALL.into_iter().map(choice).collect()
}

impl Shelf {
    fn of(catalogue: Catalogue, question: &Question, now_ms: i64) -> Self {
        let page = u64::from(question.page);
        Self {
            count: catalogue.count,
            pages: catalogue.pages,
            previous: (page > 1).then(|| path(question, page - 1)),
            next: (page < catalogue.pages).then(|| path(question, page + 1)),
            page,
            cards: catalogue.listings.into_iter().map(|listing| Card::of(listing, now_ms)).collect(),
        }
    }
}

fn path(question: &Question, page: u64) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(search) = &question.search {
        query.append_pair("search", search);
    }
    if let Some(app_type) = &question.app_type {
        query.append_pair("type", app_type);
    }
    query.append_pair("page", &page.to_string());
    format!("{MARKETPLACE}?{}", query.finish())
}

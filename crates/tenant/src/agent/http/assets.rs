use axum::http::header;

const STYLE: &str = include_str!("../../../assets/style.css");

pub(super) async fn style() -> impl axum::response::IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], STYLE)
}

use super::installation;

/// A release as the catalogue told of it.
pub(crate) struct Release {
    pub(crate) marketplace_id: String,
    pub(crate) version: String,
    pub(crate) published_at_ms: i64,
    /// Of a hosted app: what can be installed.
    pub(crate) hosted: Option<installation::Release>,
}

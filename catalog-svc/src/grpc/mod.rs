//! The gRPC edges: parse → use case → map the answer.

mod admin;
mod catalog;
mod map;
mod upload;

pub(crate) use admin::AdminEdge;
pub(crate) use catalog::CatalogEdge;

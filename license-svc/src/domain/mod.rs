//! Types, state machines and rules; pure.

mod error;
pub(crate) mod installation;
pub(crate) mod instance;
pub(crate) mod key;
pub(crate) mod license;
pub(crate) mod order;
mod page;
mod release;
pub(crate) mod verify;
mod web_url;

pub(crate) use error::{Illegal, Invalid};
pub(crate) use page::Page;
pub(crate) use release::Release;
pub(crate) use web_url::web_url;

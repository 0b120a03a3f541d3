//! Events on their way to the endpoints.

mod dispatcher;
mod sender;
mod signature;

pub(crate) use dispatcher::{deliver_until, send_at_once};
pub(crate) use sender::Sender;

//! The gateway's pure rules: what a request may say.

pub(crate) mod credential;
pub(crate) mod email;
pub(crate) mod forwarded;
pub(crate) mod fresh;
pub(crate) mod installed;
pub(crate) mod page;
pub(crate) mod range;

//! The gateway's pure rules: what a request may say.

pub(crate) mod adoption;
pub(crate) mod credential;
pub(crate) mod email;
pub(crate) mod forwarded;
pub(crate) mod fresh;
pub(crate) mod installation;
pub(crate) mod installed;
pub(crate) mod page;
pub(crate) mod prefer;
pub(crate) mod range;

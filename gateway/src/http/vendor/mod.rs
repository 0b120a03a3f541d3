//! What vendors call, under `/vendor`.

pub(super) mod apps;

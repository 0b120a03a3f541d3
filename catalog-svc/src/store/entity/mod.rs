#![allow(unreachable_pub, reason = "sea-orm's macros make public what stands beside the public model")]

pub(super) mod app_secret;
pub(super) mod product;
pub(super) mod release;
pub(super) mod vendor;
pub(super) mod vendor_key;

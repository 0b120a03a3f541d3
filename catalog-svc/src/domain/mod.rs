//! The rules of the catalogue: pure types and functions.

mod import;
mod offer;
mod page;
mod product;
mod release;
mod updates;
mod vendor;

pub use import::{Candidate, Decision, ImportError, check_vendor, decide};
pub use offer::{Audience, find_offered};
pub use page::{Page, PageError};
pub use product::Product;
pub use release::{
    Artifact, Kind, ParseKindError, Release, ReleaseState, Yank, YankReason, YankReasonError, Yanking,
};
pub use updates::{MAX_QUESTIONS, Update, find_update};
pub use vendor::{DisplayName, PublicKey, Vendor, VendorError, VendorName, parse_key, parse_keys};

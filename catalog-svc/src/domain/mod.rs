//! The rules of the catalogue: pure types and functions.

mod deadline;
mod import;
mod offer;
mod page;
mod product;
mod release;
mod secrets;
mod surface;
mod updates;
mod vendor;

pub use deadline::{NoticeError, check_notice, find_deadline};
pub use import::{Candidate, Decision, ImportError, Known, check_content, check_vendor, decide};
pub use offer::{Audience, find_offered};
pub use page::{Page, PageError};
pub use product::{Product, find_installation_url};
pub use release::{
    Artifact, Content, Kind, ParseKindError, Release, ReleaseState, Yank, YankReason, YankReasonError,
    Yanking,
};
pub use secrets::{AppSecrets, RotationError, SealedSecret};
pub use surface::{Change, Surface, changes};
pub use updates::{MAX_QUESTIONS, Update, find_update};
pub use vendor::{DisplayName, PublicKey, Vendor, VendorError, VendorName, parse_key, parse_keys};

//! What an operator sends, as a candidate for a release.

use platform::AppResult;
use wire::{
    keys::VerifyingKey,
    manifest::Manifest,
    package::{self, Limits},
    release::{ArtifactDigest, ReleaseSignature, verify_vendor_signature},
};

use super::{
    Import,
    errors::{refused_manifest, refused_package, unsigned},
};
use crate::domain::{Artifact, Candidate, Content, Kind, check_content};

/// Reads and checks the bytes of an import with its vendor's keys.
pub(super) fn read(
    import: &Import,
    keys: &[VerifyingKey],
    bytes: &[u8],
    limits: &Limits,
) -> AppResult<Candidate> {
    let (manifest, content, key_id) = match import.kind {
        Kind::Hosted => read_manifest(import, keys, bytes)?,
        Kind::Plugin | Kind::Static => read_zip(import, keys, bytes, limits)?,
    };
    check_content(&manifest, import.kind)?;
    Ok(Candidate {
        manifest,
        content,
        vendor_signature: ReleaseSignature { key_id, value: import.signature.trim().to_owned() },
        security: import.security,
        required_after_ms: import.required_after_ms,
    })
}

/// The signature is checked before anything is made of the bytes: a ZIP of a stranger isn't even opened.
fn read_zip(
    import: &Import,
    keys: &[VerifyingKey],
    zip: &[u8],
    limits: &Limits,
) -> AppResult<(Manifest, Content, String)> {
    let key_id = verify_vendor_signature(keys, zip, &import.signature).map_err(unsigned)?;
    let package = package::inspect(zip, limits).map_err(refused_package)?;
    let artifact = Artifact { sha256: ArtifactDigest::of(zip), size: zip.len() as u64 };
    let is_static = import.kind == Kind::Static;
    let content = if is_static { Content::Static(artifact) } else { Content::Plugin(artifact) };
    Ok((package.manifest().clone(), content, key_id))
}

/// A manifest is signed in its canonical form, which it has only once it is read.
fn read_manifest(
    import: &Import,
    keys: &[VerifyingKey],
    json: &[u8],
) -> AppResult<(Manifest, Content, String)> {
    let manifest = Manifest::from_json(json).map_err(refused_manifest)?;
    let canonical = manifest.canonical();
    let key_id = verify_vendor_signature(keys, &canonical, &import.signature).map_err(unsigned)?;
    Ok((manifest, Content::Hosted(ArtifactDigest::of(&canonical)), key_id))
}

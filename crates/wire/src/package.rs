//! A plugin's ZIP, read from bytes without trusting any of them (contracts.md section 8).
//!
//! [`inspect`] is the only way to a [`Package`], and every check is behind it: paths that leave the folder or clash,
//! links, encryption, headers that contradict each other, and bombs, which are counted while inflating.

mod names;

use std::io::{self, Cursor, Read};

use thiserror::Error;
use zip::ZipArchive;

use crate::manifest::{self, Manifest, ManifestError};
use names::Names;
pub use names::is_clean_path;

const MANIFEST: &str = "manifest.json";

/// Small files compress extremely well without harm; the ratio counts beyond this size.
const RATIO_FREE_BYTES: u64 = 64 * 1024;

/// What a ZIP may cost its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the ZIP itself.
    pub archive_bytes: u64,
    /// Files and folders.
    pub entries: usize,
    /// Bytes of all files, inflated.
    pub total_bytes: u64,
    /// Inflated bytes for each compressed one, per file.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { archive_bytes: 50 * 1024 * 1024, entries: 5_000, total_bytes: 250 * 1024 * 1024, ratio: 200 }
    }
}

/// Why a ZIP is refused. Entries are named by their place in the ZIP, from 1, as `unzip -l` lists them.
#[derive(Debug, Error)]
pub enum PackageError {
    /// It is no ZIP, or a damaged one.
    #[error("this is no readable ZIP; build it again with an ordinary ZIP tool")]
    NotAZip,
    /// Parts of the ZIP contradict each other, so that two readers would see two different packages.
    #[error(
        "the ZIP contradicts itself (headers, overlaps or bytes outside it); build it again with an ordinary ZIP tool"
    )]
    Inconsistent,
    /// The ZIP is larger than the limit.
    #[error("the ZIP is too large; at most {0} bytes are taken")]
    ArchiveTooLarge(u64),
    /// There are more entries than the limit.
    #[error("the ZIP has too many entries; at most {0} are taken")]
    TooManyEntries(usize),
    /// The files are larger than the limit, once inflated.
    #[error("the files of the ZIP are too large; together they may inflate to {0} bytes")]
    TooLarge(u64),
    /// A file inflates far more than real content does.
    #[error(
        "entry {entry} of the ZIP inflates too much; at most {limit} bytes for each compressed one are taken"
    )]
    RatioTooHigh {
        /// The entry's place.
        entry: usize,
        /// The limit.
        limit: u64,
    },
    /// A path leaves the folder, or no two systems agree on what it means.
    #[error(
        "entry {0} of the ZIP has an unsafe path; use relative paths with `/`, without `..`, `\\`, `:`, control characters or trailing dots and spaces"
    )]
    UnsafePath(usize),
    /// Two entries have one path, at least on a file system that ignores case.
    #[error(
        "entries {0} and {1} of the ZIP have the same path, or one differing only in case; keep one of them"
    )]
    DuplicatePath(usize, usize),
    /// A path is a file in one entry and a folder in another.
    #[error("entry {0} of the ZIP is a file where another entry needs a folder; rename one of them")]
    FileAndFolder(usize),
    /// A link, device, pipe or the like.
    #[error("entry {0} of the ZIP is a link or special file; only files and folders are taken")]
    SpecialFile(usize),
    /// An entry needs a password.
    #[error("entry {0} of the ZIP is encrypted; packages are not encrypted")]
    Encrypted(usize),
    /// An entry is compressed in a way that is not read here, or is damaged.
    #[error("entry {0} of the ZIP can't be inflated; build the ZIP again with DEFLATE or no compression")]
    Damaged(usize),
    /// There is no manifest.
    #[error("the ZIP has no manifest.json at its root; put it beside the code, not in a folder")]
    NoManifest,
    /// The manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The manifest is that of a hosted app.
    #[error(
        "the manifest has `hosted`: a hosted app has no ZIP; send its manifest.json alone, or take `hosted` out"
    )]
    Hosted,
    /// The manifest's `entry` is not in the ZIP.
    #[error(
        "the manifest's `entry` names no file in the ZIP; write its path as it stands in the ZIP, such as `./index.js`"
    )]
    NoEntryFile,
    /// There is no file of this path.
    #[error("the package has no such file")]
    NotFound,
    /// The caller's own reading or writing of a file failed.
    #[error("a file of the package could not be written")]
    Io(#[source] io::Error),
}

/// One file of a package; folders are only implied by their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// A relative path with `/`, safe to join to a folder.
    pub path: String,
    /// Its true size.
    pub size: u64,
    index: usize,
}

/// A checked ZIP with a valid manifest.
#[derive(Debug)]
pub struct Package<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    manifest: Manifest,
    entries: Vec<Entry>,
}

/// Checks a ZIP from end to end and reads its manifest (contracts.md section 8).
pub fn inspect<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Package<'a>, PackageError> {
    if bytes.len() as u64 > limits.archive_bytes {
        return Err(PackageError::ArchiveTooLarge(limits.archive_bytes));
    }
    let mut archive = open(bytes, limits)?;
    let mut entries = list_files(&archive)?;
    measure(&mut archive, &mut entries, limits)?;
    let manifest = read_manifest(&mut archive, &entries)?;
    if manifest.hosted.is_some() {
        return Err(PackageError::Hosted);
    }
    if !entries.iter().any(|entry| entry.path == manifest.entry_path()) {
        return Err(PackageError::NoEntryFile);
    }
    Ok(Package { archive, manifest, entries })
}

fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<ZipArchive<Cursor<&'a [u8]>>, PackageError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| PackageError::NotAZip)?;
    if archive.len() > limits.entries {
        return Err(PackageError::TooManyEntries(limits.entries));
    }
    // Before the consistency check, which would call these inconsistent and not say what is wrong.
    refuse_encryption(&archive)?;
    // Bytes before the ZIP make it two files at once; overlapping entries make a bomb of a small file.
    if archive.offset() != 0 || archive.validate_header_consistency().is_err() {
        return Err(PackageError::Inconsistent);
    }
    Ok(archive)
}

fn refuse_encryption(archive: &ZipArchive<Cursor<&[u8]>>) -> Result<(), PackageError> {
    for index in 0..archive.len() {
        let data = archive.by_index_data(index).map_err(|_| PackageError::NotAZip)?;
        if data.encrypted() {
            return Err(PackageError::Encrypted(index + 1));
        }
    }
    Ok(())
}

/// The files by their headers alone, with sizes still unknown.
fn list_files(archive: &ZipArchive<Cursor<&[u8]>>) -> Result<Vec<Entry>, PackageError> {
    let mut names = Names::default();
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let place = index + 1;
        let data = archive.by_index_data(index).map_err(|_| PackageError::NotAZip)?;
        let name = std::str::from_utf8(data.name_raw()).map_err(|_| PackageError::UnsafePath(place))?;
        let is_folder = name.ends_with('/');
        refuse_special(place, data.external_attributes(), is_folder, data.size())?;
        let path = name.strip_suffix('/').unwrap_or(name);
        names.add(path, is_folder, place)?;
        if !is_folder {
            files.push(Entry { path: path.to_owned(), size: 0, index });
        }
    }
    Ok(files)
}

/// The upper half of the attributes is the Unix mode, whatever system the entry claims to come from: an extractor
/// that obeyed it would make the link or device.
fn refuse_special(place: usize, attributes: u32, is_folder: bool, size: u64) -> Result<(), PackageError> {
    const FILE_TYPE: u32 = 0o170_000;
    let expected = if is_folder { 0o040_000 } else { 0o100_000 };
    let file_type = attributes >> 16 & FILE_TYPE;
    if (file_type != 0 && file_type != expected) || (is_folder && size != 0) {
        return Err(PackageError::SpecialFile(place));
    }
    Ok(())
}

/// Inflates every file once to learn its true size, and stops at the first one beyond the limits.
fn measure(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    entries: &mut [Entry],
    limits: &Limits,
) -> Result<(), PackageError> {
    let mut left = limits.total_bytes;
    for entry in entries {
        let place = entry.index + 1;
        let mut file = archive.by_index(entry.index).map_err(|_| PackageError::Damaged(place))?;
        let by_ratio = file.compressed_size().saturating_mul(limits.ratio).max(RATIO_FREE_BYTES);
        let allowed = left.min(by_ratio);
        let size = io::copy(&mut file.by_ref().take(allowed.saturating_add(1)), &mut io::sink())
            .map_err(|_| PackageError::Damaged(place))?;
        if size > left {
            return Err(PackageError::TooLarge(limits.total_bytes));
        }
        if size > by_ratio {
            return Err(PackageError::RatioTooHigh { entry: place, limit: limits.ratio });
        }
        left -= size;
        entry.size = size;
    }
    Ok(())
}

fn read_manifest(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    entries: &[Entry],
) -> Result<Manifest, PackageError> {
    let entry = entries.iter().find(|entry| entry.path == MANIFEST).ok_or(PackageError::NoManifest)?;
    if entry.size > manifest::MAX_BYTES as u64 {
        return Err(ManifestError::TooLarge.into());
    }
    Ok(Manifest::from_json(&read(archive, entry)?)?)
}

fn read(archive: &mut ZipArchive<Cursor<&[u8]>>, entry: &Entry) -> Result<Vec<u8>, PackageError> {
    let place = entry.index + 1;
    let file = archive.by_index(entry.index).map_err(|_| PackageError::Damaged(place))?;
    let mut content = Vec::new();
    file.take(entry.size).read_to_end(&mut content).map_err(|_| PackageError::Damaged(place))?;
    Ok(content)
}

impl Package<'_> {
    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The files, in the order of the ZIP.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Bytes of all files, inflated.
    #[must_use]
    pub fn total_size(&self) -> u64 {
        self.entries.iter().map(|entry| entry.size).sum()
    }

    /// The content of one file.
    pub fn read_entry(&mut self, path: &str) -> Result<Vec<u8>, PackageError> {
        let entry = self.entries.iter().find(|entry| entry.path == path).ok_or(PackageError::NotFound)?;
        read(&mut self.archive, entry)
    }

    /// Hands every file to `write`, as a relative path that is safe to join to a folder, and its content.
    ///
    /// The first error of `write` ends it and comes back as [`PackageError::Io`].
    pub fn for_each_file(
        &mut self,
        mut write: impl FnMut(&str, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), PackageError> {
        for entry in &self.entries {
            let file =
                self.archive.by_index(entry.index).map_err(|_| PackageError::Damaged(entry.index + 1))?;
            write(&entry.path, &mut file.take(entry.size)).map_err(PackageError::Io)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

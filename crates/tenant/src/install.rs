//! The plugin folder: each app whole or not at all.
//!
//! An app is unpacked beside the others, under [`WORK`], brought to the disk, and only then renamed into place. The old
//! version is renamed aside first and deleted last. Wherever a crash falls, [`Plugins::open`] finds either the new app
//! or the old one, and puts back the old one if the crash fell between the two renames.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use semver::Version;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use wire::{
    manifest::{Manifest, MarketplaceId},
    package::{self, Limits, Package, PackageError},
    release::ArtifactDigest,
};

use crate::disk;

/// Where apps are unpacked and old ones kept; a dot begins no app's id.
pub const WORK: &str = ".mercato";
/// What the installer writes into each app's folder.
pub const RECEIPT: &str = ".mercato.json";
const MANIFEST: &str = "manifest.json";

/// Why an app was not installed. The folder is as it was.
#[derive(Debug, Error)]
pub enum InstallError {
    /// The package is not fit to be installed.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The manifest in the package names another app or version.
    #[error("the package holds another app or version than was asked for; nothing was installed")]
    OtherApp,
    /// The package brings a file that only the installer may write.
    #[error("the package holds a file named {RECEIPT}, which is the installer's own; nothing was installed")]
    Reserved,
    /// Another app is there under the same id.
    #[error("the plugin folder already holds another app under the id of this one; remove that one first")]
    IdTaken,
    /// It is there in another folder: a release has another id than the one before it.
    #[error(
        "this shop already holds the app in a folder of another name than the id in this version's manifest; remove the installed one first, then install this one"
    )]
    IdChanged,
    /// The disk said no.
    #[error("the plugin folder can't be written; check its space and its permissions")]
    Disk(#[from] io::Error),
}

/// What an installer leaves behind in an app's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The app.
    pub marketplace_id: MarketplaceId,
    /// Its version.
    pub version: Version,
    /// The digest of the ZIP it came from.
    pub sha256: ArtifactDigest,
    /// When, Unix milliseconds.
    pub installed_at_ms: i64,
}

/// An app in the plugin folder.
#[derive(Debug, Clone)]
pub struct InstalledApp {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Where it came from; none for a plugin that was not installed by this shop's agent.
    pub receipt: Option<Receipt>,
}

impl InstalledApp {
    /// Whether it was installed from the marketplace under this name.
    #[must_use]
    pub fn is_of(&self, app: &MarketplaceId) -> bool {
        self.receipt.is_some() && self.manifest.marketplace_id == *app
    }
}

/// A folder of apps: the plugins of a shop, or its static apps.
#[derive(Debug, Clone)]
pub struct Plugins {
    folder: PathBuf,
    limits: Limits,
}

/// An app that lies unpacked beside the others and is not yet one of them. Dropping it removes it.
#[derive(Debug)]
pub struct Staged {
    plugins: Plugins,
    unpacked: tempfile::TempDir,
    manifest: Manifest,
}

impl Plugins {
    /// Opens the folder, makes it where it is missing, and mends what a crash has left.
    pub fn open(folder: impl Into<PathBuf>, limits: Limits) -> io::Result<Self> {
        let plugins = Self { folder: folder.into(), limits };
        fs::create_dir_all(plugins.new_apps())?;
        fs::create_dir_all(plugins.old_apps())?;
        plugins.recover()?;
        Ok(plugins)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The bounds on a package.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Everything in the folder that is an app, by name.
    pub fn list(&self) -> io::Result<Vec<InstalledApp>> {
        let mut apps: Vec<InstalledApp> = self.read_all()?.into_iter().map(|(_, app)| app).collect();
        apps.sort_by(|a, b| a.manifest.name.cmp(&b.manifest.name));
        Ok(apps)
    }

    fn read_all(&self) -> io::Result<Vec<(PathBuf, InstalledApp)>> {
        let mut apps = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if !hidden && entry.file_type()?.is_dir() {
                apps.extend(read_app(&entry.path()).map(|app| (entry.path(), app)));
            }
        }
        Ok(apps)
    }

    /// The folders of one app from the marketplace: one, unless somebody has copied it.
    fn list_places(&self, app: &MarketplaceId) -> io::Result<Vec<(PathBuf, InstalledApp)>> {
        let mut places = self.read_all()?;
        places.retain(|(_, present)| present.is_of(app));
        Ok(places)
    }

    /// Checks a package whose signatures have been verified, and unpacks it beside the others.
    pub fn stage(&self, zip: &[u8], receipt: &Receipt) -> Result<Staged, InstallError> {
        let mut package = package::inspect(zip, &self.limits)?;
        let manifest = package.manifest();
        if manifest.marketplace_id != receipt.marketplace_id || manifest.version != receipt.version {
            return Err(InstallError::OtherApp);
        }
        if package.entries().iter().any(|entry| entry.path.eq_ignore_ascii_case(RECEIPT)) {
            return Err(InstallError::Reserved);
        }
        let manifest = manifest.clone();
        self.find_predecessor(&manifest)?;
        let unpacked = self.new_folder(&manifest.id)?;
        unpack(&mut package, unpacked.path())?;
        let receipt_json = serde_json::to_vec_pretty(receipt).map_err(io::Error::other)?;
        disk::write_new_file(&unpacked.path().join(RECEIPT), &mut receipt_json.as_slice())?;
        disk::sync_tree(unpacked.path())?;
        Ok(Staged { plugins: self.clone(), unpacked, manifest })
    }

    /// Removes an app that was installed from the marketplace; what is not there, or is another's, is left alone.
    ///
    /// One rename takes a folder of it out of sight; a crash after it leaves what [`Plugins::open`] removes.
    pub fn remove(&self, app: &MarketplaceId) -> io::Result<()> {
        for (place, present) in self.list_places(app)? {
            let doomed = self.new_folder(&present.manifest.id)?;
            fs::rename(place, doomed.path().join("removed"))?;
            disk::sync_folder(&self.folder)?;
            doomed.close()?;
        }
        Ok(())
    }

    /// What a crash can have left: half-unpacked apps, an old version whose successor is in place, or one whose
    /// successor is not.
    fn recover(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.new_apps())? {
            disk::remove(&entry?.path())?;
        }
        for entry in fs::read_dir(self.old_apps())? {
            let old = entry?;
            let place = self.folder.join(old.file_name());
            if place.exists() {
                disk::remove(&old.path())?;
            } else {
                fs::rename(old.path(), place)?;
            }
        }
        disk::sync_folder(&self.folder)
    }

    /// A shop's backend may run as another user: unlike other temporary folders this one may be read by all.
    fn new_folder(&self, id: &str) -> io::Result<tempfile::TempDir> {
        let readable = fs::Permissions::from_mode(0o755);
        tempfile::Builder::new().prefix(&format!("{id}.")).permissions(readable).tempdir_in(self.new_apps())
    }

    /// The installed version of the same app. It must lie where this one will: elsewhere it would stay beside it, with
    /// permissions of its own.
    fn find_predecessor(&self, manifest: &Manifest) -> Result<Option<InstalledApp>, InstallError> {
        let place = self.folder.join(&manifest.id);
        let mut places = self.list_places(&manifest.marketplace_id)?;
        if places.iter().any(|(other, _)| *other != place) {
            return Err(InstallError::IdChanged);
        }
        match places.pop() {
            None if place.exists() => Err(InstallError::IdTaken),
            present => Ok(present.map(|(_, app)| app)),
        }
    }

    fn new_apps(&self) -> PathBuf {
        self.folder.join(WORK).join("new")
    }

    fn old_apps(&self) -> PathBuf {
        self.folder.join(WORK).join("old")
    }
}

impl Staged {
    /// What the app says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What this version may do and the one that it replaces may not; nothing for a first installation.
    pub fn added_permissions(&self) -> Result<Vec<String>, InstallError> {
        let Some(present) = self.plugins.find_predecessor(&self.manifest)? else { return Ok(Vec::new()) };
        let has = |permission: &&String| !present.manifest.permissions().contains(permission);
        Ok(self.manifest.permissions().iter().filter(has).cloned().collect())
    }

    /// Puts the app in its place; from the last rename on, it is installed.
    pub fn commit(self) -> Result<(), InstallError> {
        self.plugins.find_predecessor(&self.manifest)?;
        let set_aside = self.set_old_aside()?;
        let folder = self.plugins.folder.clone();
        fs::rename(self.unpacked.keep(), folder.join(&self.manifest.id))?;
        disk::sync_folder(&folder)?;
        if let Some(old) = set_aside {
            disk::remove(&old)?;
        }
        Ok(())
    }

    fn set_old_aside(&self) -> io::Result<Option<PathBuf>> {
        let place = self.plugins.folder.join(&self.manifest.id);
        if !place.exists() {
            return Ok(None);
        }
        let old = self.plugins.old_apps().join(&self.manifest.id);
        disk::remove(&old)?;
        fs::rename(&place, &old)?;
        Ok(Some(old))
    }
}

/// `wire::package` hands out only paths that stay in the folder.
fn unpack(package: &mut Package<'_>, folder: &Path) -> Result<(), InstallError> {
    package.for_each_file(|path, content| {
        let file = folder.join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        disk::write_new_file(&file, content)
    })?;
    Ok(())
}

fn read_app(folder: &Path) -> Option<InstalledApp> {
    let manifest = Manifest::from_json(&fs::read(folder.join(MANIFEST)).ok()?).ok()?;
    let receipt = fs::read(folder.join(RECEIPT)).ok().and_then(|json| serde_json::from_slice(&json).ok());
    Some(InstalledApp { manifest, receipt })
}

#[cfg(test)]
mod tests;

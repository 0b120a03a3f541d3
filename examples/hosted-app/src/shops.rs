//! The shops that have this app: a JSON file for each, for its owner's eyes only, because the API key is in it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use wire::open2b::ShopApi;

/// What this app knows of a shop.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shop {
    pub(crate) shop: String,
    pub(crate) site_url: String,
    pub(crate) api: ShopApi,
    /// The key to call `api` with. It comes once, and is shown to nobody.
    pub(crate) key: String,
    /// The version of this app that the shop has; shops of several versions live side by side.
    pub(crate) version: String,
}

pub(crate) struct Shops {
    folder: PathBuf,
    /// To sync the names in it.
    handle: File,
}

/// How a change came to nothing, or perhaps not to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// All is as it was.
    #[error("the shop could not be saved")]
    Unchanged(#[from] io::Error),
    /// It is done, but a power cut may yet undo it. Taking it back could fail in the same way.
    #[error("the shop is saved, but it may be lost with the power")]
    Unsure(#[source] io::Error),
}

impl Shops {
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let handle = File::open(&folder)?;
        Ok(Self { folder, handle })
    }

    pub(crate) fn find(&self, shop: &str) -> io::Result<Option<Shop>> {
        match fs::read(self.file_of(shop)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All of them, by name.
    pub(crate) fn list(&self) -> io::Result<Vec<Shop>> {
        let mut shops = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                shops.push(serde_json::from_slice::<Shop>(&fs::read(path)?)?);
            }
        }
        shops.sort_unstable_by(|a, b| a.shop.cmp(&b.shop));
        Ok(shops)
    }

    /// Wholly or not at all, whenever the machine stops: a file beside it, which then takes its name.
    pub(crate) fn save(&self, shop: &Shop) -> Result<(), ChangeError> {
        // Nobody but its owner may read what tempfile makes (mode 0600).
        let mut file = NamedTempFile::with_prefix_in(".saving-", &self.folder)?;
        file.write_all(&serde_json::to_vec_pretty(shop).map_err(io::Error::from)?)?;
        file.as_file().sync_all()?;
        file.persist(self.file_of(&shop.shop)).map_err(io::Error::from)?;
        self.sync_names()
    }

    /// One that is gone already is no error: the callback may come again.
    pub(crate) fn remove(&self, shop: &str) -> Result<(), ChangeError> {
        match fs::remove_file(self.file_of(shop)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => self.sync_names(),
        }
    }

    /// Only then does a new name survive a power cut.
    fn sync_names(&self) -> Result<(), ChangeError> {
        self.handle.sync_all().map_err(ChangeError::Unsure)
    }

    /// In hex, because a shop's name may hold anything, and some file systems ignore case.
    fn file_of(&self, shop: &str) -> PathBuf {
        self.folder.join(format!("{}.json", hex::encode(shop)))
    }
}

#[cfg(test)]
impl Shops {
    /// Its names can't be synced: `/dev/null` stands in the folder's place.
    pub(crate) fn on_a_failing_disk(folder: PathBuf) -> io::Result<Self> {
        Ok(Self { handle: File::open("/dev/null")?, ..Self::open(folder)? })
    }
}

//! The shops that have this app: a JSON file for each, for its owner's eyes only, because the API key is in it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
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
}

impl Shops {
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
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
    pub(crate) fn save(&self, shop: &Shop) -> io::Result<()> {
        // Nobody but its owner may read what tempfile makes (mode 0600).
        let mut file = NamedTempFile::with_prefix_in(".saving-", &self.folder)?;
        file.write_all(&serde_json::to_vec_pretty(shop)?)?;
        file.as_file().sync_all()?;
        file.persist(self.file_of(&shop.shop))?;
        sync_folder(&self.folder)
    }

    /// One that is gone already is no error: the callback may come again.
    pub(crate) fn remove(&self, shop: &str) -> io::Result<()> {
        match fs::remove_file(self.file_of(shop)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_folder(&self.folder),
        }
    }

    /// In hex, because a shop's name may hold anything, and some file systems ignore case.
    fn file_of(&self, shop: &str) -> PathBuf {
        self.folder.join(format!("{}.json", hex::encode(shop)))
    }
}

/// Only then does a new name survive a power cut.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

//! `mercato keys`: the keys of a marketplace whose services run apart, a folder for each of them.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use platform::{Random, secret::Secret};
use serde::{Deserialize, Serialize};

use crate::{
    private::{self, expose},
    secrets::{Secrets, ring, token},
};

const FILE: &str = "keys.json";
const STORES: [&str; 4] = ["catalog-svc", "license-svc", "payments-svc", "webhook-dispatcher"];
const EVERYONE: [&str; 5] = ["gateway", "catalog-svc", "license-svc", "payments-svc", "webhook-dispatcher"];

/// Make the keys of a marketplace whose services run apart.
///
/// Writes a folder for each service, and in it a file for each key: mounted at /run/secrets/mercato, they are what the
/// variables …_FILE of deploy/ name. All of them are also in `keys.json`, from which the files are written again: keys
/// that are there are kept, so this may run before each start. Back that file up: lost with every copy of it, licence
/// keys that were sold are lost too.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct KeysArgs {
    /// Where the folders are made.
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// Where PostgreSQL is; the password of its user `mercato` is made.
    #[arg(long, value_name = "HOST:PORT/DATABASE", default_value = "postgres:5432/mercato")]
    postgres: String,
    /// The user that the services run as, and that may read the files. Needs root.
    #[arg(long, value_name = "UID")]
    owner: Option<u32>,
}

const EXAMPLES: &str = "\
Examples:
  mercato keys --folder keys
  kubectl create secret generic license-svc --from-file keys/license-svc";

/// Every key of the deployment.
#[derive(Serialize, Deserialize)]
struct Keys {
    secrets: Secrets,
    #[serde(serialize_with = "expose")]
    database_password: Secret,
    #[serde(serialize_with = "expose")]
    nats_password: Secret,
    #[serde(serialize_with = "expose")]
    artifacts_access_key: Secret,
    #[serde(serialize_with = "expose")]
    artifacts_secret_key: Secret,
}

/// One file, and the folders that it is in.
struct KeyFile {
    folders: Vec<&'static str>,
    name: &'static str,
    value: String,
}

/// Writes the files; makes the keys where there are none yet.
pub(crate) fn run(args: &KeysArgs) -> anyhow::Result<()> {
    let folder = private::create_folder(&args.folder)?;
    let (keys, are_new) = Keys::load_or_create(&folder, &Random::system())?;
    for file in keys.files(&args.postgres) {
        file.write(&folder, args.owner)?;
    }
    let what = if are_new { "new keys" } else { "the keys that were there" };
    println!("{}: {what}; back up {FILE}", folder.display());
    Ok(())
}

impl Keys {
    fn load_or_create(folder: &Path, random: &Random) -> anyhow::Result<(Self, bool)> {
        let path = folder.join(FILE);
        if let Some(keys) = private::find(&path)? {
            return Ok((keys, false));
        }
        let keys = Self {
            secrets: Secrets::generate(random),
            database_password: token("", random),
            nats_password: token("", random),
            artifacts_access_key: token("", random),
            artifacts_secret_key: token("", random),
        };
        private::write(&path, &keys)?;
        Ok((keys, true))
    }

    fn files(&self, postgres: &str) -> Vec<KeyFile> {
        let secrets = &self.secrets;
        let nats = self.nats_password.expose();
        let mut files = vec![
            file(&["postgres"], "password", self.database_password.expose()),
            file(
                &STORES,
                "database-url",
                format!("postgres://mercato:{}@{postgres}", self.database_password.expose()),
            ),
            file(&["nats"], "auth.conf", format!("authorization {{ user: mercato, password: \"{nats}\" }}")),
            file(&EVERYONE, "nats-user", format!("[\"mercato\", \"{nats}\"]")),
            file(&EVERYONE, "gateway-credential", secrets.gateway_credential.expose()),
            file(&STORES, "bus-sealing-keys", ring(&secrets.bus_sealing).keys.expose()),
            file(&["gateway"], "operator-keys", secrets.admin_key.expose()),
            file(&["gateway"], "download-keys", secrets.download_key.expose()),
            file(&["catalog-svc"], "release-signing-key", secrets.release_key.expose()),
            file(&["catalog-svc", "s3"], "artifacts-access-key", self.artifacts_access_key.expose()),
            file(&["catalog-svc", "s3"], "artifacts-secret-key", self.artifacts_secret_key.expose()),
            file(&["license-svc"], "token-key", secrets.token_key.expose()),
            file(&["license-svc"], "instance-sealing-key", secrets.instance_key.expose()),
            file(&["license-svc"], "lookup-key", secrets.lookup_key.expose()),
        ];
        let sealing = [
            &secrets.catalog_sealing,
            &secrets.license_sealing,
            &secrets.payments_sealing,
            &secrets.webhooks_sealing,
        ];
        let sealing = STORES.iter().zip(sealing);
        files.extend(sealing.map(|(service, key)| file(&[service], "sealing-keys", ring(key).keys.expose())));
        files
    }
}

fn file(folders: &[&'static str], name: &'static str, value: impl Into<String>) -> KeyFile {
    KeyFile { folders: folders.to_vec(), name, value: value.into() }
}

impl KeyFile {
    fn write(&self, folder: &Path, owner: Option<u32>) -> anyhow::Result<()> {
        for of in &self.folders {
            let of = folder.join(of);
            fs::create_dir_all(&of).with_context(|| format!("{} cannot be made", of.display()))?;
            let path = of.join(self.name);
            private::write_text(&path, &self.value)?;
            let hand_over = || -> std::io::Result<()> {
                fs::set_permissions(&path, Permissions::from_mode(0o400))?;
                for path in [&of, &path] {
                    chown(path, owner, owner)?;
                }
                Ok(())
            };
            hand_over().with_context(|| format!("{} cannot be given to its user", path.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn written(folder: &Path) -> BTreeMap<String, String> {
        let args = KeysArgs { folder: folder.to_owned(), postgres: "db:5432/m".to_owned(), owner: None };
        run(&args).unwrap();
        let services = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files = services.filter(|path| path.is_dir()).flat_map(|path| fs::read_dir(path).unwrap());
        let read = |path: PathBuf| {
            (path.strip_prefix(folder).unwrap().display().to_string(), fs::read_to_string(path).unwrap())
        };
        files.map(|file| read(file.unwrap().path())).collect()
    }

    #[test]
    fn keys_are_made_once_and_what_is_shared_is_the_same_everywhere() {
        let folder = tempfile::tempdir().unwrap();
        let made = written(folder.path());
        assert_eq!(made, written(folder.path()));
        assert_eq!(made["gateway/gateway-credential"], made["license-svc/gateway-credential"]);
        assert_eq!(made["license-svc/bus-sealing-keys"], made["webhook-dispatcher/bus-sealing-keys"]);
        assert_ne!(made["license-svc/sealing-keys"], made["catalog-svc/sealing-keys"]);
        assert!(made["payments-svc/database-url"].contains(&made["postgres/password"]));
        assert!(!made.contains_key("gateway/database-url"));
    }

    #[test]
    fn kubernetes_names_the_files_that_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let made = written(folder.path());
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kubernetes/base/config");
        for service in EVERYONE {
            let variables = fs::read_to_string(deploy.join(format!("{service}.env"))).unwrap();
            let names = variables.lines().filter_map(|line| line.split_once("=/run/secrets/mercato/"));
            // What Stripe gave is nothing to make.
            for (variable, name) in names.filter(|(_, name)| !name.starts_with("stripe-")) {
                assert!(made.contains_key(&format!("{service}/{name}")), "{service}: {variable}");
            }
        }
    }

    #[test]
    fn what_was_lost_is_written_again_with_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let made = written(folder.path());
        fs::remove_file(folder.path().join("license-svc/lookup-key")).unwrap();
        assert_eq!(made, written(folder.path()));
    }

    #[test]
    fn only_its_user_reads_a_key() {
        let folder = tempfile::tempdir().unwrap();
        for path in written(folder.path()).into_keys() {
            let mode = fs::metadata(folder.path().join(path)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o400);
        }
    }
}

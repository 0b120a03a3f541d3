//! `mercato keys`: the keys of a marketplace whose services run apart, a folder for each of them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use platform::{Random, secret::Secret};

use crate::secrets::{Secrets, ring, token};

/// Make the keys of a marketplace whose services run apart.
///
/// Writes a folder for each service, and in it a file for each key, named as docs/configuration.md names it: mount it
/// at /run/secrets/mercato and point the variables …_FILE there. Keys that are there are kept, so it may run before
/// each start. Lost together with every backup, licence keys that were sold are lost too.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct KeysArgs {
    /// Where the folders are made.
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// Where PostgreSQL is; its password is made and written into the address.
    #[arg(long, value_name = "HOST:PORT/DATABASE", default_value = "postgres:5432/mercato")]
    postgres: String,
    /// Gives the files to this user id, which the services run as. Needs root.
    #[arg(long, value_name = "UID")]
    owner: Option<u32>,
}

const EXAMPLES: &str = "\
Examples:
  mercato keys --folder keys
  kubectl create secret generic license-svc --from-file keys/license-svc";

/// One key: its file, and the folders that it is in.
struct Key {
    file: &'static str,
    value: Secret,
    folders: Vec<&'static str>,
}

const STORES: [&str; 4] = ["catalog-svc", "license-svc", "payments-svc", "webhook-dispatcher"];

/// Writes what is missing.
pub fn run(args: &KeysArgs) -> anyhow::Result<()> {
    let made = make(args, &Random::system())?;
    println!("{made} key file(s) made in {}", args.folder.display());
    Ok(())
}

fn make(args: &KeysArgs, random: &Random) -> anyhow::Result<usize> {
    let mut made = 0;
    for key in keys(&args.postgres, random) {
        made += key.write(args)?;
    }
    Ok(made)
}

fn keys(postgres: &str, random: &Random) -> Vec<Key> {
    let secrets = Secrets::generate(random);
    let password = |random| token("", random);
    let (database, nats) = (password(random), password(random));
    let (artifacts_access, artifacts_secret) = (token("", random), token("", random));
    let key = |file, value: &Secret, folders: &[&'static str]| Key { file, value: value.clone(), folders: folders.to_vec() };
    let sealing = |of: &'static str, value| key("sealing-keys", &ring(value).keys, &[of]);
    let everyone: Vec<&'static str> = STORES.into_iter().chain(["gateway"]).collect();
    let address = Secret::new(format!("postgres://mercato:{}@{postgres}", database.expose()));
    let user = Secret::new(format!("[\"mercato\", \"{}\"]", nats.expose()));
    vec![
        key("password", &database, &["postgres"]),
        key("database-url", &address, &STORES),
        key("nats-password", &nats, &["nats"]),
        key("nats-user", &user, &everyone),
        key("gateway-credential", &secrets.gateway_credential, &everyone),
        key("bus-sealing-keys", &ring(&secrets.bus_sealing).keys, &STORES),
        key("operator-keys", &secrets.admin_key, &["gateway"]),
        key("download-keys", &secrets.download_key, &["gateway"]),
        sealing("catalog-svc", &secrets.catalog_sealing),
        key("release-signing-key", &secrets.release_key, &["catalog-svc"]),
        key("artifacts-access-key", &artifacts_access, &["catalog-svc", "s3"]),
        key("artifacts-secret-key", &artifacts_secret, &["catalog-svc", "s3"]),
        sealing("license-svc", &secrets.license_sealing),
        key("token-key", &secrets.token_key, &["license-svc"]),
        key("instance-sealing-key", &secrets.instance_key, &["license-svc"]),
        key("lookup-key", &secrets.lookup_key, &["license-svc"]),
        sealing("payments-svc", &secrets.payments_sealing),
        sealing("webhook-dispatcher", &secrets.webhooks_sealing),
    ]
}

//! Checks what is to be published as the marketplace and the shops do:
//!
//! - `cargo run -p mercato-wire --example inspect app-1.0.0.zip`, a package;
//! - `cargo run -p mercato-wire --example inspect manifest.json`, the manifest of a hosted app;
//! - `cargo run -p mercato-wire --example inspect -- --canonical manifest.json > manifest.canonical`, its canonical form,
//!   which its vendor signs.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use wire::manifest::Manifest;
use wire::package::{self, Limits};
use wire::release::sha256_hex;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--canonical", path] => {
            read(path).and_then(|bytes| hosted(&bytes)).map(|manifest| manifest.canonical())
        }
        [path] => read(path).and_then(|bytes| describe(&bytes)).map(String::into_bytes),
        _ => {
            eprintln!(
                "name the ZIP, or the manifest.json of a hosted app; `--canonical` before it writes what is signed"
            );
            return ExitCode::from(2);
        }
    };
    match done.and_then(|output| io::stdout().write_all(&output).map_err(|e| e.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{path}: {e}"))
}

/// A ZIP begins with `PK`, which no JSON does.
fn describe(bytes: &[u8]) -> Result<String, String> {
    if !bytes.starts_with(b"PK") {
        let manifest = hosted(bytes)?;
        let sha256 = sha256_hex(&manifest.canonical());
        return Ok(format!("{} {}: hosted, sha256 {sha256}\n", manifest.marketplace_id, manifest.version));
    }
    let package = package::inspect(bytes, &Limits::default()).map_err(|e| e.to_string())?;
    let manifest = package.manifest();
    Ok(format!(
        "{} {}: {} files, {} bytes, sha256 {}\n",
        manifest.marketplace_id,
        manifest.version,
        package.entries().len(),
        package.total_size(),
        sha256_hex(bytes)
    ))
}

fn hosted(bytes: &[u8]) -> Result<Manifest, String> {
    let manifest = Manifest::from_json(bytes).map_err(|e| e.to_string())?;
    if manifest.hosted.is_none() {
        return Err(
            "the manifest has no `hosted`; every other app is a ZIP with the manifest in it".to_owned()
        );
    }
    Ok(manifest)
}

//! Checks a package as the marketplace and the shops do: `cargo run -p mercato-wire --example inspect app-1.0.0.zip`.

use std::process::ExitCode;

use wire::package::{self, Limits};

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("name the ZIP to check");
        return ExitCode::from(2);
    };
    match std::fs::read(path).map_err(|e| e.to_string()).and_then(|bytes| describe(&bytes)) {
        Ok(description) => {
            println!("{description}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn describe(bytes: &[u8]) -> Result<String, String> {
    let package = package::inspect(bytes, &Limits::default()).map_err(|e| e.to_string())?;
    let manifest = package.manifest();
    Ok(format!(
        "{} {}: {} files, {} bytes, sha256 {}",
        manifest.marketplace_id,
        manifest.version,
        package.entries().len(),
        package.total_size(),
        wire::release::sha256_hex(bytes)
    ))
}

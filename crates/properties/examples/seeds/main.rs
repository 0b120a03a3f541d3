//! Writes `fuzz/seeds` anew: the public test vectors, and a few inputs of our own, one file each.
//!
//! ```sh
//! cargo run -p mercato-properties --example seeds
//! ```
//!
//! Inputs that a fuzzer found to break something are added by hand, named after what broke, and stay.

mod generate;

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    for seed in generate::all() {
        let folder = root.join(seed.property);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(&seed.name), seed.bytes)?;
    }
    Ok(())
}

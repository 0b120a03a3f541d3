//! Writes the public test vectors: `cargo run -p mercato-wire --example vectors`.
//!
//! They come out the same each time; a test fails when the committed files differ. With `open` it reads from its input
//! what another library sealed to the vectors' public key, and prints the instance id.

mod generate;

use std::path::Path;

use wire::instance::SealingKey;

fn main() -> std::io::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("open") {
        return open();
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    for (name, content) in generate::all() {
        std::fs::write(folder.join(name), generate::to_text(&content))?;
        println!("{name}");
    }
    Ok(())
}

fn open() -> std::io::Result<()> {
    let mut sealed = String::new();
    std::io::stdin().read_line(&mut sealed)?;
    let key = SealingKey::from_seed(&generate::SEALING_SEED);
    let id = wire::instance::open(&key, sealed.trim()).map_err(std::io::Error::other)?;
    println!("{id}");
    Ok(())
}

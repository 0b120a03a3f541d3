//! Every property, tried on its seeds: no fuzzer is needed, and neither properties nor seeds rot.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../examples/seeds/generate.rs"]
mod generate;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use properties::{ALL, Property};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// Name and bytes of each seed.
fn seeds(property: &Property) -> Vec<(String, Vec<u8>)> {
    let folder = fuzz().join("seeds").join(property.name);
    let files = fs::read_dir(&folder).unwrap_or_else(|_| panic!("{} has no seeds", property.name));
    let paths = files.map(|file| file.unwrap().path());
    let mut seeds: Vec<_> = paths
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    seeds.sort();
    seeds
}

/// A failure prints which input it was.
fn holds(property: &Property, input: &[u8], what: &str) {
    let held = std::panic::catch_unwind(|| (property.check)(input));
    assert!(
        held.is_ok(),
        "{} does not hold for {what}: {:?}",
        property.name,
        input.escape_ascii().to_string()
    );
}

#[test]
fn every_property_holds_for_its_seeds() {
    for property in &ALL {
        let seeds = seeds(property);
        assert!(seeds.len() > 3, "{} has too few seeds", property.name);
        for (name, seed) in seeds {
            holds(property, &seed, &name);
        }
    }
}

/// A fuzzer's first steps, without a fuzzer: a seed cut short, and with each of its first bytes made another.
#[test]
fn every_property_holds_next_to_its_seeds() {
    for property in &ALL {
        for (name, seed) in seeds(property) {
            for at in 0..seed.len().min(48) {
                holds(property, &seed[..at], &name);
                let mut changed = seed.clone();
                changed[at] = changed[at].wrapping_add(1);
                holds(property, &changed, &name);
            }
        }
    }
}

#[test]
fn every_property_holds_for_nothing_and_for_every_property_of_another() {
    let all: Vec<_> = ALL.iter().flat_map(seeds).collect();
    for property in &ALL {
        holds(property, b"", "nothing");
        for (name, seed) in &all {
            holds(property, seed, name);
        }
    }
}

#[test]
fn every_property_has_its_fuzz_target_and_every_target_its_property() {
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let targets = fs::read_dir(fuzz().join("fuzz_targets")).unwrap();
    let targets: BTreeSet<String> = targets
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let names: BTreeSet<String> = ALL.iter().map(|property| property.name.to_owned()).collect();
    assert_eq!(targets, names);
    for name in names {
        let target = fs::read_to_string(fuzz().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("properties::{name}(")), "{name} checks another property");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
    }
}

#[test]
fn the_generated_seeds_have_not_drifted() {
    for seed in generate::all() {
        let path = fuzz().join("seeds").join(seed.property).join(&seed.name);
        let say = "run `cargo run -p mercato-properties --example seeds`";
        assert_eq!(fs::read(&path).ok(), Some(seed.bytes), "{}: {say}", path.display());
    }
}

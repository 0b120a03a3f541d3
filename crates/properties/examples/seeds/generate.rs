//! The seeds, made from the public test vectors of `crates/wire/vectors`.
#![allow(clippy::expect_used, reason = "the vectors are in the repository and hold what is read here")]

use std::{
    fs,
    io::{Cursor, Write as _},
    path::Path,
};

use serde_json::Value;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// A seed: of which property, its file's name, its bytes.
pub(crate) struct Seed {
    pub(crate) property: &'static str,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// All seeds.
pub(crate) fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    seeds.extend(of_vectors("timed_signature", "timed_signature.json", |case| {
        lines(case, &["header", "body"])
    }));
    seeds.extend(of_vectors("stripe_signature", "timed_signature.json", |case| {
        lines(case, &["header", "body"])
    }));
    seeds.extend(of_vectors("standard_webhooks", "standard_webhooks.json", |case| {
        lines(case, &["id", "timestamp", "signature", "body"])
    }));
    seeds.extend(of_vectors("open2b_auth", "open2b.json", |case| text(case, "auth").into()));
    seeds.extend(of_vectors("license_token", "license_token.json", |case| text(case, "token").into()));
    seeds.extend(of_vectors("license_key", "license_key.json", |case| text(case, "input").into()));
    seeds.extend(of_vectors("manifest", "manifest.json", |case| case["manifest"].to_string().into()));
    seeds.extend(ours("versions", &VERSIONS));
    seeds.extend(ours("range", &RANGES));
    seeds.extend(ours("retry_after", &RETRY_AFTER));
    seeds.extend(ours("target_url", &URLS));
    seeds.extend(ours("package_names", &NAMES));
    seeds.extend(ADDRESSES.iter().map(|(name, bytes)| seed("address", name, bytes.to_vec())));
    seeds.extend(packages());
    seeds
}

const VERSIONS: [(&str, &str); 6] = [
    ("one", r#"{"@carphacom/seo-essentials":"1.0.0"}"#),
    ("two", r#"{"@carphacom/seo-essentials":"1.0.0","@acme/b2b":"2.1.0-rc.1+build.5"}"#),
    ("none", "{}"),
    ("twice", r#"{"@v/p":"1.0.0","@v/p":"2.0.0"}"#),
    ("a list", r#"["@v/p"]"#),
    ("escapes", r#"{"\u0040v/p":"1.0.0"}"#),
];

const RANGES: [(&str, &str); 8] = [
    ("first ten", "bytes=0-9\n100"),
    ("to the end", "bytes=90-\n100"),
    ("the last", "bytes=-10\n100"),
    ("beyond", "bytes=100-\n100"),
    ("of nothing", "bytes=-1\n0"),
    ("several", "bytes=0-1,5-6\n100"),
    ("the largest", "bytes=0-18446744073709551615\n18446744073709551615"),
    ("a sign", "bytes=+1-2\n100"),
];

const RETRY_AFTER: [(&str, &str); 6] = [
    ("seconds", "120\n1760000000"),
    ("too many digits", "99999999999999999999\n0"),
    ("imf-fixdate", "Sun, 06 Nov 1994 08:49:37 GMT\n784111717"),
    ("rfc 850", "Sunday, 06-Nov-94 08:49:37 GMT\n784111717"),
    ("asctime", "Sun Nov  6 08:49:37 1994\n784111717"),
    ("no time", "soon\n0"),
];

const URLS: [(&str, &str); 14] = [
    ("a shop", "https://shop.example/eu/"),
    ("a callback", "https://app.example/hooks/install?v=1"),
    ("credentials", "https://user:secret@shop.example/"),
    ("decimal", "http://2130706433/"),
    ("hexadecimal", "http://0x7f.0x0.0x0.0x1/"),
    ("octal", "http://0177.0.0.01:8080/"),
    ("short", "http://127.1/"),
    ("full width", "http://１２７．０．０．１/"),
    ("a dot at the end", "https://localhost./"),
    ("a zone", "http://[fe80::1%25eth0]/"),
    ("mapped", "https://[::ffff:169.254.169.254]/"),
    ("idna", "https://bücher.example/"),
    ("escaped", "http://%31%32%37.0.0.1/"),
    ("backslashes", "https:\\\\shop.example\\a@b"),
];

const NAMES: [(&str, &str); 6] = [
    ("good", "readme\nassets/logo.png\nassets/"),
    ("twice", "readme\nReadMe"),
    ("outside", "../outside"),
    ("a file and a folder", "a\na/b"),
    ("devices", "aux.js\nconsole.js"),
    ("beyond ASCII", "é/ü.js\nÉ/Ü.js"),
];

const ADDRESSES: [(&str, &[u8]); 6] = [
    ("loopback", &[127, 0, 0, 1]),
    ("metadata", &[169, 254, 169, 254]),
    ("public", &[8, 8, 8, 8]),
    ("carrier", &[100, 64, 0, 1]),
    ("unique local", &[0xfd, 0, 0xec, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x54]),
    ("public v6", &[0x26, 6, 0x47, 0, 0x47, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11, 0x11]),
];

/// Names and contents.
type Files<'a> = &'a [(&'a str, &'a [u8])];

fn packages() -> Vec<Seed> {
    let manifest = vectors("manifest.json")["cases"][0]["manifest"].to_string();
    let (manifest, code) = (manifest.as_bytes(), b"export default {};\n".as_slice());
    let zeros = vec![0; 20_000];
    let all: [(&str, CompressionMethod, Files<'_>); 5] = [
        ("stored", CompressionMethod::Stored, &[("manifest.json", manifest), ("index.js", code)]),
        ("deflated", CompressionMethod::Deflated, &[("manifest.json", manifest), ("index.js", code)]),
        ("no manifest", CompressionMethod::Stored, &[("index.js", code)]),
        ("no entry", CompressionMethod::Stored, &[("manifest.json", manifest)]),
        ("zeros", CompressionMethod::Deflated, &[("manifest.json", manifest), ("index.js", &zeros)]),
    ];
    all.into_iter().map(|(name, method, files)| seed("package", name, zip(method, files))).collect()
}

fn zip(method: CompressionMethod, files: Files<'_>) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, content) in files {
        zip.start_file(*name, options).expect("a name");
        zip.write_all(content).expect("memory");
    }
    zip.finish().expect("memory").into_inner()
}

fn seed(property: &'static str, name: &str, bytes: Vec<u8>) -> Seed {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    Seed { property, name: name.chars().map(plain).collect(), bytes }
}

fn ours(property: &'static str, cases: &[(&str, &str)]) -> Vec<Seed> {
    cases.iter().map(|(name, text)| seed(property, name, (*text).into())).collect()
}

fn of_vectors(property: &'static str, file: &str, bytes: impl Fn(&Value) -> Vec<u8>) -> Vec<Seed> {
    let vectors = vectors(file);
    let cases = vectors["cases"].as_array().expect("cases");
    cases.iter().map(|case| seed(property, text(case, "name"), bytes(case))).collect()
}

fn vectors(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire/vectors").join(file);
    serde_json::from_str(&fs::read_to_string(path).expect("the vectors")).expect("JSON")
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_default()
}

fn lines(case: &Value, keys: &[&str]) -> Vec<u8> {
    keys.iter().map(|key| text(case, key)).collect::<Vec<_>>().join("\n").into()
}

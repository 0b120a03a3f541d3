//! `docs/hosted-apps.md` says what is so: its code is that of the files which the tests run, its JSON is that of `wire`.

use std::{collections::BTreeSet, fs, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize as _;
use serde_json::Value;
use wire::{
    manifest::Manifest,
    open2b::{Callback, Operation},
};

use crate::harness::secret;

struct Block {
    /// The file that it is said to be.
    from: Option<String>,
    language: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn guide() -> String {
    fs::read_to_string(root().join("docs/hosted-apps.md")).unwrap()
}

fn blocks() -> Vec<Block> {
    let guide = guide();
    let (mut blocks, mut lines, mut before) = (Vec::new(), guide.lines(), "");
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text = lines.by_ref().take_while(|line| *line != "```");
            let text = text.flat_map(|line| [line, "\n"]).collect();
            let from = before.strip_prefix("<!-- from: ").and_then(|rest| rest.strip_suffix(" -->"));
            blocks.push(Block { from: from.map(str::to_owned), language: language.to_owned(), text });
        }
        before = line;
    }
    blocks
}

#[test]
fn its_code_is_that_of_the_files_that_the_tests_run() {
    let mut included = BTreeSet::new();
    for Block { from, text, .. } in blocks() {
        let Some(path) = from else { continue };
        let file = fs::read_to_string(root().join(&path)).unwrap();
        assert!(text == file, "docs/hosted-apps.md differs from {path}: copy the file into the guide");
        included.insert(path);
    }
    let sample = "examples/hosted-app";
    let expected =
        ["manifest.json", "src/install.rs", "verify/verify.mjs", "verify/verify.php", "verify/verify.py"];
    assert_eq!(included, expected.map(|name| format!("{sample}/{name}")).into());
}

#[test]
fn its_callbacks_are_those_that_are_sent() {
    let mut shown = Vec::new();
    for Block { language, text, .. } in blocks() {
        let value: Value = if language == "json" { serde_json::from_str(&text).unwrap() } else { continue };
        if value.get("operation").is_none() {
            continue;
        }
        let expires = value["expires"].as_i64().unwrap();
        let callback = Callback::deserialize(value).unwrap();
        let auth = callback.sign(&secret(), expires);
        let sent = URL_SAFE_NO_PAD.decode(auth.split_once('.').unwrap().1).unwrap();
        let written: String = text.split_whitespace().collect();
        assert_eq!(String::from_utf8(sent).unwrap(), written, "keys and their order");
        shown.push(callback.operation());
    }
    assert_eq!(shown, Operation::ALL);
}

#[test]
fn its_manifest_can_be_published() {
    let manifest =
        Manifest::from_json(&fs::read(root().join("examples/hosted-app/manifest.json")).unwrap()).unwrap();
    assert!(manifest.hosted.is_some());
    assert!(guide().contains(manifest.marketplace_id.as_str()));
}

#[test]
fn its_links_lead_somewhere() {
    let guide = guide();
    let targets = guide.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let mut checked = 0;
    for target in targets.filter(|target| !target.starts_with('#') && !target.contains("://")) {
        assert!(root().join("docs").join(target).exists(), "{target}");
        checked += 1;
    }
    assert!(checked >= 3);
}

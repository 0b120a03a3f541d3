//! Python, Node and Chromium, as `cargo xtask interop` names them.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command, sync::OnceCell};

/// The scripts, and what they need of npm; Python's packages are pinned beside the vectors of `wire`.
const SOURCES: [(&str, &str); 8] = [
    ("package.json", include_str!("../../interop/package.json")),
    ("package-lock.json", include_str!("../../interop/package-lock.json")),
    ("browsing.mjs", include_str!("../../interop/browsing.mjs")),
    ("browser.mjs", include_str!("../../interop/browser.mjs")),
    ("hosted.mjs", include_str!("../../interop/hosted.mjs")),
    ("sign_event.mjs", include_str!("../../interop/sign_event.mjs")),
    ("verify_token.mjs", include_str!("../../interop/verify_token.mjs")),
    ("shop.py", include_str!("../../interop/shop.py")),
];

/// A variable that `cargo xtask interop` sets.
pub(crate) fn given(name: &str) -> OsString {
    let name = format!("MERCATO_INTEROP_{name}");
    std::env::var_os(&name).unwrap_or_else(|| panic!("{name} is missing: run `cargo xtask interop`"))
}

/// The folder with the scripts and the packages of npm; made once in a run, and anew only when the pins change.
pub(crate) async fn scripts() -> &'static Path {
    static SCRIPTS: OnceCell<PathBuf> = OnceCell::const_new();
    SCRIPTS.get_or_init(prepare).await
}

async fn prepare() -> PathBuf {
    let folder = PathBuf::from(given("DIR")).join("node");
    fs::create_dir_all(&folder).unwrap();
    let lock = fs::read_to_string(folder.join("package-lock.json")).unwrap_or_default();
    let installed = lock == SOURCES[1].1 && folder.join("node_modules").is_dir();
    for (name, text) in SOURCES {
        fs::write(folder.join(name), text).unwrap();
    }
    if !installed {
        let mut npm = Command::new(given("NPM"));
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder);
        let done = npm.output().await.unwrap();
        if !done.status.success() {
            // Half an installation must not pass for a whole one.
            fs::remove_file(folder.join("package-lock.json")).unwrap();
            panic!("npm ci: {}", said(&done));
        }
    }
    folder
}

/// Runs a script of the folder with JSON as its input; the JSON that it prints.
pub(crate) async fn ask(script: &str, question: &Value) -> Value {
    let folder = scripts().await;
    let is_python = Path::new(script).extension().is_some_and(|of| of == "py");
    let mut command = Command::new(given(if is_python { "PYTHON" } else { "NODE" }));
    command.arg(folder.join(script)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.kill_on_drop(true).spawn().unwrap();
    let mut input = running.stdin.take().unwrap();
    input.write_all(question.to_string().as_bytes()).await.unwrap();
    drop(input);
    let done = running.wait_with_output().await.unwrap();
    assert!(done.status.success(), "{script}: {}", said(&done));
    serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{script}: {error}: {}", said(&done)))
}

fn said(done: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

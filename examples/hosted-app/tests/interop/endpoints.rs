//! The endpoints of the guide, started as it says and told of an installation.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use wire::open2b::{self, AppSecret, Callback, ShopApi};

use crate::{given, http::post_form};

const SHOP: &str = "TN81S9AUB1";
const KEY: &str = "EZMRp7tfDT7JisRlGREU3R00do4nq0BSLHRKToTppOZRiTc75a";

#[derive(Clone, Copy, Debug)]
enum Language {
    Php,
    Node,
    Python,
}

const LANGUAGES: [Language; 3] = [Language::Php, Language::Node, Language::Python];

struct Endpoint {
    child: Child,
    url: String,
    data: TempDir,
}

/// A test that fails leaves no server behind.
impl Drop for Endpoint {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn secret() -> AppSecret {
    AppSecret::from_bytes([7; 32])
}

impl Language {
    fn command(self, port: u16) -> Command {
        let script = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("verify").join(name);
        let (program, name) = match self {
            Self::Php => ("PHP", "endpoint.php"),
            Self::Node => ("NODE", "endpoint.mjs"),
            Self::Python => ("PYTHON", "endpoint.py"),
        };
        let mut command = Command::new(given(program));
        if let Self::Php = self {
            command.args(["-S", &format!("127.0.0.1:{port}")]);
        }
        command.arg(script(name)).env("APP_PORT", port.to_string()).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    fn start(self, secret: &str) -> Endpoint {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = TempDir::new().unwrap();
        let mut command = self.command(port);
        command.env("APP_SECRET", secret).env("APP_DATA", data.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        match self {
            Self::Php => wait_until_ready(stderr, stdout),
            Self::Node | Self::Python => wait_until_ready(stdout, stderr),
        }
        Endpoint { child, url: format!("http://127.0.0.1:{port}/install"), data }
    }
}

/// Each says in a line that it listens. What it says later is read too: who writes and finds no reader, ends.
fn wait_until_ready(told: impl Read + Send + 'static, other: impl Read + Send + 'static) {
    let mut told = BufReader::new(told);
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    assert!(line.contains("started") || line.contains("listening"), "{line}");
    std::thread::spawn(move || io::copy(&mut told, &mut io::sink()));
    std::thread::spawn(move || io::copy(&mut BufReader::new(other), &mut io::sink()));
}

impl Endpoint {
    async fn tell(&self, callback: &Callback) -> u16 {
        self.post(&callback.sign(&secret(), unix_time() + 600)).await
    }

    async fn post(&self, auth: &str) -> u16 {
        post_form(&self.url, open2b::form(auth)).await.status.as_u16()
    }

    fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(self.data.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn saved(&self) -> Value {
        let [file] = &self.files()[..] else { panic!("one file, of one shop") };
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "the endpoints ask the true clock")]
fn unix_time() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

fn api() -> ShopApi {
    ShopApi { base_url: "https://myshop.example/api/".to_owned(), max_version: 3, min_version: 1 }
}

fn install(shop: &str) -> Callback {
    let (shop, site_url) = (shop.to_owned(), "https://www.store.example/é".to_owned());
    Callback::Install { shop, site_url, api: api(), key: KEY.to_owned(), version: "1.0.0".to_owned() }
}

fn update() -> Callback {
    let (shop, site_url) = (SHOP.to_owned(), "https://new.store.example/".to_owned());
    Callback::Update { shop, site_url, api: api(), version: "1.1.0".to_owned() }
}

fn remove() -> Callback {
    Callback::Remove { shop: SHOP.to_owned() }
}

#[tokio::test]
async fn each_endpoint_installs_updates_and_removes_however_often_it_is_told() {
    use std::os::unix::fs::PermissionsExt as _;

    for language in LANGUAGES {
        let endpoint = language.start(secret().expose());
        assert_eq!(endpoint.tell(&update()).await, 404, "{language:?} knew the shop before");
        for _ in 0..2 {
            assert_eq!(endpoint.tell(&install(SHOP)).await, 200, "{language:?}");
            let saved = endpoint.saved();
            assert_eq!((&saved["key"], &saved["version"]), (&KEY.into(), &"1.0.0".into()));
            assert_eq!(saved["siteURL"], "https://www.store.example/é");
        }
        let mode = fs::metadata(&endpoint.files()[0]).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{language:?}: the API key is in it");
        for _ in 0..2 {
            assert_eq!(endpoint.tell(&update()).await, 200, "{language:?}");
            let saved = endpoint.saved();
            assert_eq!((&saved["key"], &saved["version"]), (&KEY.into(), &"1.1.0".into()));
        }
        for _ in 0..2 {
            assert_eq!(endpoint.tell(&remove()).await, 200, "{language:?}");
            assert!(endpoint.files().is_empty());
        }
    }
}

/// In Node two at once took one name for the file beside, and one of them failed: 500 cancels.
#[tokio::test]
async fn the_same_install_many_times_at_once_is_taken_each_time() {
    for language in LANGUAGES {
        let endpoint = language.start(secret().expose());
        let (auth, mut telling) = (install(SHOP).sign(&secret(), unix_time() + 600), JoinSet::new());
        for _ in 0..32 {
            let (url, form) = (endpoint.url.clone(), open2b::form(&auth));
            telling.spawn(async move { post_form(&url, form).await.status.as_u16() });
        }
        assert_eq!(telling.join_all().await, [200; 32], "{language:?}");
        assert_eq!(endpoint.saved()["key"], KEY, "{language:?}");
    }
}

#[tokio::test]
async fn no_endpoint_takes_what_is_not_signed_for_it() {
    for language in LANGUAGES {
        let endpoint = language.start(secret().expose());
        let stranger = install(SHOP).sign(&AppSecret::from_bytes([9; 32]), i64::MAX);
        for auth in [&stranger, "", "a.b", &install(SHOP).sign(&secret(), 1_000_000_000)] {
            assert_eq!(endpoint.post(auth).await, 401, "{language:?} took {auth}");
        }
        assert!(post_form(&endpoint.url, "auth[]=x&x=y").await.status.as_u16() == 401, "{language:?}");
        assert_eq!(endpoint.tell(&install("../../escape")).await, 200, "{language:?}");
        assert_eq!(endpoint.files().len(), 1, "{language:?}: inside its folder");
    }
}

/// 200 installs: it must be said of nothing else.
#[tokio::test]
async fn no_endpoint_says_200_when_it_could_not_save_or_has_no_secret() {
    for language in LANGUAGES {
        let endpoint = language.start(secret().expose());
        let file = endpoint.data.path().join(format!("{}.json", hex::encode(SHOP)));
        fs::create_dir_all(file.join("in the way")).unwrap();
        assert_eq!(endpoint.tell(&install(SHOP)).await, 500, "{language:?}");
        assert_eq!(endpoint.files(), [file], "{language:?} leaves a file with the API key behind");
        let unconfigured = language.start("");
        assert_eq!(unconfigured.tell(&install(SHOP)).await, 500, "{language:?}");
        assert!(unconfigured.files().is_empty());
    }
}

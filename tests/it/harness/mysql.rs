//! Throw-away MySQL and MariaDB servers: a data directory of their own, a free port, killed when dropped.
//!
//! A data directory is made once for each kind on this machine and copied for every server. Users: `root` over the socket
//! without a password, [`USER`] with [`PASSWORD`] and no more rights than the product needs. Uses nothing else of the harness,
//! because the crate's own tests of its sources start their servers with it, too. `deploy/servers.sh` installs the programs.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const USER: &str = "tailwater";
/// Peculiar, so that a test can look for it in logs.
pub const PASSWORD: &str = "s3cret pa'ss/%40";

const START_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// What the product needs of a server.
const SETTINGS: &[&str] = &[
    "--log-bin=binlog",
    "--binlog-format=ROW",
    "--binlog-row-image=FULL",
    "--binlog-row-metadata=FULL",
    "--sync-binlog=1",
    "--innodb-flush-log-at-trx-commit=1",
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--innodb-buffer-pool-size=64M",
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Mysql,
    Mariadb,
    /// 11.8.
    MariadbNewer,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Mysql, Self::Mariadb, Self::MariadbNewer];

    /// Where its programs were unpacked; `None`: the system's own.
    fn home(self) -> Option<PathBuf> {
        match self {
            Self::Mysql => Some(servers().join("mysql")),
            Self::Mariadb => None,
            Self::MariadbNewer => Some(servers().join("mariadb-11.8")),
        }
    }

    fn daemon(self) -> Command {
        let mut command = match (self, self.home()) {
            (Self::Mysql, Some(home)) => {
                let mut command = Command::new(home.join("bin/mysqld"));
                command.args(["--no-defaults", "--secure-file-priv=NULL", "--mysqlx=OFF"]);
                command.arg(format!("--basedir={}", home.join("usr").display()));
                command.arg(format!("--lc-messages-dir={}", home.join("usr/share/mysql").display()));
                command.arg(format!("--plugin-dir={}", home.join("usr/lib/mysql/plugin").display()));
                command.args(["--gtid-mode=ON", "--enforce-gtid-consistency=ON"]);
                command
            }
            (_, home) => {
                let program = home.as_ref().map_or("/usr/sbin/mariadbd".into(), |home| home.join("bin/mariadbd"));
                let mut command = Command::new(program);
                command.arg("--no-defaults");
                if let Some(home) = home {
                    command.arg(format!("--basedir={}", home.join("usr").display()));
                }
                command
            }
        };
        if rustix::process::getuid().is_root() {
            command.arg("--user=root");
        }
        command.args(SETTINGS).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// A data directory without any data.
    fn initialise(self, data: &Path) {
        let mut command = match self {
            Self::Mysql => {
                let mut command = self.daemon();
                command.args(["--initialize-insecure", "--innodb-redo-log-capacity=8M"]);
                command
            }
            _ => {
                let home = self.home();
                let program = home.as_ref().map_or("/usr/bin".into(), |home| home.join("usr/bin"));
                let mut command = Command::new(program.join("mariadb-install-db"));
                command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
                if let Some(home) = home {
                    command.arg(format!("--basedir={}", home.join("usr").display()));
                }
                if rustix::process::getuid().is_root() {
                    command.arg("--user=root");
                }
                command
            }
        };
        let output = command.arg(format!("--datadir={}", data.display())).output();
        let output = output.unwrap_or_else(|error| panic!("{self:?} is not installed, see deploy/servers.sh: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // What makes every server another one.
        let _ = fs::remove_file(data.join("auto.cnf"));
        for file in fs::read_dir(data).expect("it was made").flatten() {
            if file.file_name().to_string_lossy().starts_with("binlog.") {
                let _ = fs::remove_file(file.path());
            }
        }
    }

    /// Made once on this machine, by whichever test is first.
    fn template(self) -> PathBuf {
        let place = servers().join("templates").join(format!("{self:?}"));
        if !place.exists() {
            fs::create_dir_all(place.parent().expect("it has one")).expect("the cache is ours");
            let made = tempfile::tempdir_in(place.parent().expect("it has one")).expect("the cache is ours");
            let data = made.path().join("data");
            if self != Self::Mysql {
                fs::create_dir(&data).expect("the directory is ours");
            }
            self.initialise(&data);
            // Somebody may have been faster.
            let _ = fs::rename(&data, &place);
        }
        place
    }
}

fn servers() -> PathBuf {
    let home = || PathBuf::from(std::env::var("HOME").unwrap_or_default()).join(".cache/tailwater/servers");
    std::env::var("TAILWATER_SERVERS").map_or_else(|_| home(), PathBuf::from)
}

/// Where a kind's client programs are.
#[allow(dead_code, reason = "for the bench")]
pub fn programs(kind: Kind) -> PathBuf {
    kind.home().map_or_else(|| "/usr/bin".into(), |home| home.join("bin"))
}

pub struct Server {
    pub kind: Kind,
    dir: TempDir,
    pub port: u16,
    options: Vec<String>,
    child: Option<Child>,
}

impl Server {
    pub async fn start(kind: Kind) -> Self {
        Self::with_options(kind, &[]).await
    }

    /// With options beside the usual ones.
    pub async fn with_options(kind: Kind, options: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("tailwater-my-").tempdir().expect("a temporary directory");
        let copied = Command::new("cp").arg("-a").arg(kind.template()).arg(dir.path().join("data")).status();
        assert!(copied.expect("cp is there").success(), "the template is readable");
        let mut server = Self { kind, dir, port: free_port(), options: Vec::new(), child: None };
        server.set_options(options);
        server.up().await;
        let rights = match kind {
            Kind::Mysql => "REPLICATION SLAVE, REPLICATION CLIENT, SELECT, LOCK TABLES",
            _ => "REPLICATION SLAVE, REPLICATION CLIENT, SELECT",
        };
        let password = PASSWORD.replace('\'', "''");
        server.execute(&format!("CREATE USER {USER}@'%' IDENTIFIED BY '{password}'")).await;
        server.execute(&format!("GRANT {rights} ON *.* TO {USER}@'%'")).await;
        server.execute("CREATE DATABASE crm CHARACTER SET utf8mb4").await;
        server
    }

    /// From the next start on, in place of those it was made with.
    pub fn set_options(&mut self, options: &[&str]) {
        self.options = options.iter().map(|option| (*option).to_owned()).collect();
    }

    /// Starts the stopped server again, at the same port.
    pub async fn up(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.dir.path().join("log"));
        let mut command = self.kind.daemon();
        command.arg(format!("--datadir={}", self.dir.path().join("data").display()));
        command.arg(format!("--socket={}", self.socket().display())).arg(format!("--port={}", self.port));
        command.arg(format!("--tmpdir={}", self.dir.path().display()));
        command.arg(format!("--pid-file={}", self.dir.path().join("pid").display()));
        command.arg("--server-id=1").args(&self.options).stderr(log.expect("the directory is ours"));
        self.child = Some(command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.kind)));
        let deadline = Instant::now() + START_WITHIN;
        while Conn::new(self.options_of_root()).await.is_err() {
            assert!(Instant::now() < deadline, "{:?} does not start:\n{}", self.kind, self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// `SIGTERM` is an orderly stop, `SIGKILL` a crash.
    pub fn stop(&mut self, signal: Signal) {
        let Some(mut child) = self.child.take() else { return };
        // An error means that it has ended by itself.
        let _ = kill_process(Pid::from_child(&child), signal);
        let deadline = Instant::now() + STOP_WITHIN;
        while child.try_wait().expect("the child is ours").is_none() {
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{:?} did not stop", self.kind);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `SIGSTOP` has it hang, `SIGCONT` go on.
    #[allow(dead_code, reason = "for the crate's own tests")]
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("it is ours");
    }

    /// Holds `data`.
    #[allow(dead_code, reason = "not for the crate's own tests")]
    pub fn directory(&self) -> &Path {
        self.dir.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    fn options_of_root(&self) -> OptsBuilder {
        let socket = self.socket().display().to_string();
        OptsBuilder::default().user(Some("root")).socket(Some(socket)).prefer_socket(Some(false))
    }

    /// A connection as root, in the database `crm` when there is one.
    pub async fn client(&self) -> Conn {
        self.try_client().await.expect("the server accepts root")
    }

    /// # Errors
    /// The server is down.
    pub async fn try_client(&self) -> Result<Conn, mysql_async::Error> {
        let mut conn = Conn::new(self.options_of_root()).await?;
        conn.query_drop("SET NAMES utf8mb4").await?;
        let settings =
            "SET SESSION time_zone = '+00:00', sql_mode = '' /*M!100300 , system_versioning_asof = DEFAULT */";
        conn.query_drop(settings).await?;
        // It does not exist while the server is being set up.
        let _ = conn.query_drop("USE crm").await;
        Ok(conn)
    }

    pub async fn execute(&self, sql: &str) {
        self.client().await.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Rows as text; `None` is null.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let rows: Vec<Row> = self.client().await.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let cell = |value: mysql_async::Value| match value {
            mysql_async::Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => None,
        };
        rows.into_iter().map(|row| row.unwrap().into_iter().map(cell).collect()).collect()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            // A crash tells of itself at length.
            let crash = lines.iter().position(|line| line.contains("got signal"));
            let from = crash.unwrap_or(lines.len()).min(lines.len().saturating_sub(20));
            println!("--- {:?}:\n{}", self.kind, lines[from..].join("\n"));
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}

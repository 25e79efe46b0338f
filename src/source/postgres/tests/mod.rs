//! Behaviour against real, throw-away PostgreSQL servers.

mod attached;
mod copy;
mod copy_order;
mod history;
mod identity;
mod journaled;
mod locked;
mod login;
mod preflight;
mod publication;
mod streaming;
mod unattended;

use super::fault::Fault;
use super::simple_query::{Connection, Purpose, Row};
use crate::config::{Host, PostgresEndpoint, PostgresSystem, Tls};
use crate::model::name::SystemName;
use crate::model::pattern::{Pattern, Selection};
use secrecy::SecretString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// A server of its own; gone when dropped.
pub struct TestServer {
    directory: TempDir,
    data: PathBuf,
    pub port: u16,
}

/// The same system reached in another way.
pub fn change(mut system: PostgresSystem, how: impl FnOnce(&mut PostgresEndpoint)) -> PostgresSystem {
    how(&mut system.endpoint);
    system
}

impl TestServer {
    pub fn start(settings: &str) -> Self {
        Self::start_with(settings, None, |_| {})
    }

    /// `hba` takes the place of the lines after `local all postgres trust`; `prepare` may put files into the data folder.
    pub fn start_with(settings: &str, hba: Option<&str>, prepare: impl FnOnce(&Path)) -> Self {
        let server = Self::empty();
        let data = server.data.display().to_string();
        run("initdb", &["-D", &data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"]);
        if let Some(hba) = hba {
            let hba = format!("local all postgres trust\nlocal replication postgres trust\n{hba}\n");
            std::fs::write(server.data.join("pg_hba.conf"), hba).expect("root may write");
        }
        prepare(&server.data);
        server.configure(&format!("wal_level = logical\n{settings}"));
        server.up();
        server
    }

    fn empty() -> Self {
        let directory = tempfile::Builder::new().prefix("tailwater-pg").tempdir().expect("a folder");
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o711)).expect("our folder");
        let data = directory.path().join("data");
        std::fs::create_dir(&data).expect("a folder");
        std::fs::set_permissions(&data, PermissionsExt::from_mode(0o700)).expect("our folder");
        own(&data);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        Self { directory, data, port }
    }

    /// A physical copy, promoted: the same system identifier on the next timeline.
    pub fn promoted_copy(&self) -> Self {
        let copy = Self::empty();
        let (data, port) = (copy.data.display().to_string(), self.port.to_string());
        let host = self.data.display().to_string();
        run("pg_basebackup", &["-D", &data, "-h", &host, "-p", &port, "-U", "postgres", "-R", "-c", "fast"]);
        copy.configure("");
        copy.up();
        run("pg_ctl", &["-D", &data, "-w", "promote"]);
        copy
    }

    fn configure(&self, settings: &str) {
        use std::io::Write;
        let path = self.data.join("postgresql.conf");
        let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("initdb made it");
        let (port, socket) = (self.port, self.data.display());
        let own = format!("port = {port}\nunix_socket_directories = '{socket}'\nfsync = off\nmax_wal_senders = 10");
        writeln!(file, "listen_addresses = '127.0.0.1'\n{own}\n{settings}").expect("disk");
    }

    pub fn up(&self) {
        let (data, log) = (self.data.display().to_string(), self.data.join("log").display().to_string());
        run("pg_ctl", &["-D", &data, "-w", "-l", &log, "start"]);
    }

    /// `fast`, `immediate`. Gives how long it took; fails after 20 s.
    pub fn down(&self, mode: &str) -> Duration {
        let started = std::time::Instant::now();
        let data = self.data.display().to_string();
        run("pg_ctl", &["-D", &data, "-w", "-t", "20", "-m", mode, "stop"]);
        started.elapsed()
    }

    /// The superuser over the unix socket; all tables of `public`.
    pub fn system(&self) -> PostgresSystem {
        PostgresSystem {
            name: SystemName::new("erp").expect("a name"),
            endpoint: PostgresEndpoint {
                application: "tailwater/erp".to_owned(),
                host: Host::Unix(self.data.clone()),
                port: self.port,
                user: "postgres".to_owned(),
                password: None,
                database: "postgres".to_owned(),
                tls: Tls::Disable,
                silence_max: Duration::from_secs(30),
            },
            tables: Selection { include: vec![Pattern::new("public.*")], exclude: vec![] },
            slot: "tailwater_erp".to_owned(),
            publication: "tailwater_erp".to_owned(),
        }
    }

    pub fn over_tcp(&self, user: &str, password: Option<&str>) -> PostgresSystem {
        change(self.system(), |endpoint| {
            endpoint.host = Host::Tcp("127.0.0.1".to_owned());
            endpoint.user = user.to_owned();
            endpoint.password = password.map(|password| SecretString::from(password.to_owned()));
        })
    }

    pub async fn sql(&self, sql: &str) -> Vec<Row> {
        let mut connection =
            Connection::open(&self.system().endpoint, Purpose::Queries).await.expect("the superuser gets in");
        connection.query("SET search_path = public").await.expect("a setting");
        connection.query(sql).await.expect("good SQL")
    }

    pub async fn text(&self, sql: &str) -> String {
        self.sql(sql).await[0].text(0).expect("a value").to_owned()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let data = self.data.display().to_string();
        let _ = postgres("pg_ctl", &["-D", &data, "-w", "-m", "immediate", "stop"]);
        let _ = self.directory.path();
    }
}

fn own(path: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let status = Command::new("chown").arg("-R").arg("postgres:").arg(path).status().expect("chown");
    assert!(status.success());
}

/// PostgreSQL refuses to run as root.
fn postgres(program: &str, arguments: &[&str]) -> Output {
    let program = format!("{BIN}/{program}");
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", &program]);
        command
    } else {
        Command::new(&program)
    };
    command.args(arguments).current_dir("/");
    command.stdin(std::process::Stdio::null());
    command.output().expect("PostgreSQL 15 is installed")
}

fn run(program: &str, arguments: &[&str]) {
    let output = postgres(program, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
}

/// The code of a halt or a retry.
pub fn code_of<T>(result: Result<T, Fault>) -> &'static str {
    let fault = result.err().expect("a fault");
    match super::policy::judge(&fault) {
        super::policy::Verdict::Halt(problem)
        | super::policy::Verdict::Retry(problem)
        | super::policy::Verdict::RetrySeldom(problem) => problem.code.as_str(),
    }
}

//! Throw-away PostgreSQL servers: a data directory of their own, a free port, stopped when dropped.
//!
//! A cluster is made by `initdb` once and copied for every server after that. A PostgreSQL server refuses to run as root, so
//! when the tests do, the server runs as the user `postgres`. Roles: `postgres` (superuser, unix socket), `erp` (owns the
//! database `erp` and its tables), `tailwater` (replication, a member of `erp`, password required over TCP).

use super::{eventually, process, tls};
use rustix::process::{Signal, kill_process};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

pub const DATABASE: &str = "erp";
pub const OWNER: &str = "erp";
pub const USER: &str = "tailwater";
/// Of [`USER`]. Peculiar, so that a test can look for it in logs; with characters that need care in a connection string.
pub const PASSWORD: &str = "s3cret pa'ss\\wörd/%40";

const START_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(60);

const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
wal_level = logical
max_wal_senders = 16
max_replication_slots = 16
max_connections = 60
shared_buffers = 64MB
max_wal_size = 4GB
deadlock_timeout = 100ms
logging_collector = off
log_min_messages = warning
";

const ACCESS: &str = "
local all all trust
host all tailwater 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 reject
";

const ROLES: [&str; 4] = [
    "SET password_encryption = 'scram-sha-256'",
    "CREATE ROLE erp LOGIN",
    "CREATE ROLE tailwater LOGIN REPLICATION IN ROLE erp",
    "CREATE DATABASE erp OWNER erp",
];

/// The server's major version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    V15,
    V17,
    V18,
}

impl Version {
    /// 15 is the system's own; `deploy/servers.sh` unpacks the others.
    fn programs(self) -> PathBuf {
        let unpacked = |name: &str| unpacked_servers().join(name).join("bin");
        match self {
            Self::V15 => "/usr/lib/postgresql/15/bin".into(),
            Self::V17 => unpacked("postgresql-17"),
            Self::V18 => unpacked("postgresql-18"),
        }
    }
}

/// As `deploy/servers.sh` says.
fn unpacked_servers() -> PathBuf {
    match (std::env::var("TAILWATER_SERVERS"), rustix::process::getuid().is_root()) {
        (Ok(place), _) => place.into(),
        (Err(_), true) => "/var/cache/tailwater/servers".into(),
        (Err(_), false) => Path::new(&std::env::var("HOME").unwrap_or_default()).join(".cache/tailwater/servers"),
    }
}

/// A row as the server prints it; `None` is null.
pub type TextRow = Vec<Option<String>>;

pub struct Postgres {
    dir: TempDir,
    port: u16,
    version: Version,
    server: Option<Child>,
    /// Keeps the copied-from cluster for the next server of this process.
    _template: Arc<Template>,
}

/// How to reach a server's unix socket; keeps working across restarts of the server.
#[derive(Clone)]
pub struct Socket {
    dir: PathBuf,
    port: u16,
}

impl Postgres {
    pub async fn start() -> Self {
        Self::with_settings("").await
    }

    /// A server of another origin: its system identifier is not that of the others.
    pub async fn start_another() -> Self {
        Self::start_another_with("").await
    }

    pub async fn start_another_with(settings: &str) -> Self {
        Self::from_template(Arc::new(Template::make(Version::V15)), settings).await
    }

    /// With lines for `postgresql.conf` beside the usual ones.
    pub async fn with_settings(settings: &str) -> Self {
        Self::from_template(Template::shared(), settings).await
    }

    pub async fn of_version(version: Version) -> Self {
        match version {
            Version::V15 => Self::start().await,
            _ => Self::from_template(Arc::new(Template::make(version)), "").await,
        }
    }

    async fn from_template(template: Arc<Template>, settings: &str) -> Self {
        let version = template.version;
        let dir = scratch();
        copy_tree(&template.data(), &dir.path().join("data"));
        let mut postgres = Self { dir, port: free_port(), version, server: None, _template: template };
        postgres.configure(settings);
        postgres.up().await;
        let maintenance = postgres.socket().connect("postgres", "postgres").await.expect("the server is up");
        for statement in ROLES {
            maintenance.batch_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
        postgres.set_password(PASSWORD).await;
        postgres
    }

    /// Of [`USER`].
    pub async fn set_password(&self, password: &str) {
        // The quoting of an odd password is for the server to say.
        let set = self.text(&format!("SELECT format('ALTER ROLE {USER} PASSWORD %L', $pw${password}$pw$)")).await;
        self.execute(&set.expect("format gives a text")).await;
    }

    /// Accepts TLS with a certificate for `localhost`; refuses plain TCP. Gives the authority's PEM file.
    pub async fn with_tls() -> (Self, PathBuf) {
        let mut postgres = Self::start().await;
        postgres.stop(Signal::INT);
        let certificates = tls::certificates();
        let place = |name: &str, text: &str| {
            let path = postgres.dir.path().join(name);
            fs::write(&path, text).expect("the scratch directory is ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
            give_away(&path);
            path
        };
        let (certificate, key) =
            (place("server.pem", &certificates.server), place("server.key", &certificates.server_key));
        let authority = postgres.dir.path().join("authority.pem");
        fs::write(&authority, &certificates.authority).expect("the scratch directory is ours");
        let (certificate, key) = (certificate.display(), key.display());
        postgres.configure(&format!("ssl = on\nssl_cert_file = '{certificate}'\nssl_key_file = '{key}'\n"));
        let access = ACCESS.replace("host all tailwater", "hostssl all tailwater");
        fs::write(postgres.data().join("pg_hba.conf"), access).expect("the cluster is ours");
        postgres.up().await;
        (postgres, authority)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn socket_dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn socket(&self) -> Socket {
        Socket { dir: self.dir.path().to_owned(), port: self.port }
    }

    /// Takes over another server's port; that one must be stopped.
    pub async fn move_to_port(&mut self, port: u16) {
        self.stop(Signal::INT);
        self.port = port;
        self.up().await;
    }

    /// Starts the stopped server again, at the same port.
    pub async fn up(&mut self) {
        let log =
            fs::File::options().create(true).append(true).open(self.log_path()).expect("the scratch directory is ours");
        let mut command = as_server_user(self.version, "postgres");
        command.arg("-D").arg(self.data()).arg("-p").arg(self.port.to_string()).arg("-k").arg(self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.server = Some(command.spawn().expect("deploy/servers.sh has installed it"));
        let socket = self.socket();
        eventually("PostgreSQL starts", START_WITHIN, async || {
            socket.connect("postgres", "postgres").await.map(drop).map_err(|error| format!("{error:?}\n{}", self.log()))
        })
        .await;
    }

    /// `SIGINT` is a fast stop, `SIGQUIT` an immediate one: no checkpoint, recovery at the next start.
    pub fn stop(&mut self, signal: Signal) {
        if let Some(mut server) = self.server.take() {
            process::end(&mut server, signal, STOP_WITHIN);
        }
    }

    /// `kill -9` of the postmaster and every backend.
    pub fn kill(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        let backends = process::children(server.id());
        process::end(&mut server, Signal::KILL, STOP_WITHIN);
        for backend in &backends {
            // Many have ended already: the postmaster's death is a signal to them.
            let _ = kill_process(*backend, Signal::KILL);
        }
        process::wait_gone(&backends, STOP_WITHIN);
    }

    pub async fn client(&self) -> Client {
        self.socket().connect("postgres", DATABASE).await.expect("the server accepts its superuser")
    }

    /// Statements, as superuser in the database `erp`.
    pub async fn execute(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Statements, as the role that owns the tables.
    pub async fn execute_as_owner(&self, sql: &str) {
        let client = self.socket().connect(OWNER, DATABASE).await.expect("the server accepts the owner");
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The first cell of the first row; `None` for null and for no row.
    pub async fn text(&self, sql: &str) -> Option<String> {
        self.rows(sql).await.into_iter().next()?.into_iter().next()?
    }

    pub async fn rows(&self, sql: &str) -> Vec<TextRow> {
        rows(&self.client().await, sql).await
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    fn configure(&self, settings: &str) {
        let path = self.data().join("postgresql.conf");
        let text = fs::read_to_string(&path).expect("initdb wrote it");
        fs::write(&path, text + SETTINGS + settings).expect("the cluster is ours");
        fs::write(self.data().join("pg_hba.conf"), ACCESS).expect("the cluster is ours");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop(Signal::QUIT);
        if std::thread::panicking() {
            println!("--- PostgreSQL at port {}:\n{}", self.port, tail(&self.log()));
        }
    }
}

impl Socket {
    /// # Errors
    /// What the driver says: the server may be away.
    pub async fn connect(&self, user: &str, database: &str) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config.host_path(&self.dir).port(self.port).user(user).dbname(database);
        config.options("-c timezone=UTC -c datestyle=ISO -c client_min_messages=warning");
        let (client, connection) = config.connect(NoTls).await?;
        // Ends with the client or with the server; the client's calls report the latter.
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    }
}

pub async fn rows(client: &Client, sql: &str) -> Vec<TextRow> {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
        _ => None,
    });
    rows.collect()
}

/// The last lines of a log.
pub fn tail(log: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// A port that was free just now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}

/// An initdb'ed cluster, made once for all servers that live at the same time.
struct Template {
    dir: TempDir,
    version: Version,
}

impl Template {
    fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Template>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let made = Arc::new(Self::make(Version::V15));
            *shared = Arc::downgrade(&made);
            made
        })
    }

    fn make(version: Version) -> Self {
        let template = Self { dir: scratch(), version };
        let mut command = as_server_user(version, "initdb");
        command.arg("-D").arg(template.data());
        command.args(["-U", "postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust", "--no-sync"]);
        let output = command.output().expect("deploy/servers.sh has installed it");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        template
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
}

/// A temporary directory that the server's user owns and others can pass through.
fn scratch() -> TempDir {
    let dir = tempfile::Builder::new().prefix("tailwater-pg-").tempdir().expect("a temporary directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).expect("the directory is ours");
    give_away(dir.path());
    dir
}

fn as_server_user(version: Version, program: &str) -> Command {
    let mut command = Command::new(version.programs().join(program));
    if let Some((user, group)) = server_user() {
        command.uid(user).gid(group);
    }
    command.current_dir("/").env("LC_ALL", "C.UTF-8");
    command
}

fn give_away(path: &Path) {
    if let Some((user, group)) = server_user() {
        chown(path, Some(user), Some(group)).expect("root may give files away");
    }
}

/// Who runs the server when the tests run as root; `None`: whoever runs the tests.
fn server_user() -> Option<(u32, u32)> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("there is a user list");
    let line = users.lines().find(|line| line.starts_with("postgres:")).expect("there is a user named postgres");
    let fields: Vec<_> = line.split(':').collect();
    Some((fields[2].parse().expect("a user id"), fields[3].parse().expect("a group id")))
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).expect("the scratch directory is ours");
    for entry in fs::read_dir(from).expect("the template is there") {
        let (entry, place) =
            entry.map(|entry| (entry.path(), to.join(entry.file_name()))).expect("the template is readable");
        if entry.is_dir() {
            copy_tree(&entry, &place);
        } else {
            fs::copy(&entry, &place).expect("the template is readable");
            give_away(&place);
        }
    }
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).expect("the directory is ours");
    give_away(to);
}

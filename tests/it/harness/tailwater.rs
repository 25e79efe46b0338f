//! The product as an operator has it: the binary, a config file, a data directory, its log.
//!
//! Ready is an event: `data_dir/endpoints.json` names the listeners and `/readyz` answers 200. Surprise: the ports are chosen
//! anew at every start, so whoever connects looks them up each time ([`Door`]).

use super::postgres::{self, Postgres};
use super::{eventually, process};
use rustix::process::Signal;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;
use tailwater::wire::api::v1::admin_service_client::AdminServiceClient;
use tailwater::wire::api::v1::catalog_service_client::CatalogServiceClient;
use tailwater::wire::api::v1::subscribe_request::From;
use tailwater::wire::api::v1::subscription_service_client::SubscriptionServiceClient;
use tailwater::wire::api::v1::{
    Boundary, GetStatusRequest, GetStatusResponse, ListTablesRequest, SourceStatus, SubscribeRequest,
    SubscribeResponse, Table,
};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

pub const BINARY: &str = env!("CARGO_BIN_EXE_tailwater");

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(30);
const CALL_WITHIN: Duration = Duration::from_secs(10);
/// A row may be larger than a frame.
const MESSAGE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What a config says, section by section; [`Setup::yaml`] puts it together.
pub struct Setup {
    /// The lines of `systems.erp`, without indentation.
    pub system: String,
    /// Other systems, whole.
    pub systems: String,
    /// `tables.include` of `systems.erp`.
    pub tables: Vec<String>,
    /// The lines of `server`, without indentation.
    pub server: String,
    /// Whole sections beside `systems` and `server`.
    pub rest: String,
    /// Environment of the process.
    pub env: Vec<(String, String)>,
}

impl Setup {
    /// One system `erp`: this server over TCP, all tables of the schema `public`.
    pub fn new(postgres: &Postgres) -> Self {
        let (port, user, database) = (postgres.port(), postgres::USER, postgres::DATABASE);
        let password = "password: {env: ERP_PASSWORD}";
        Self {
            system: format!(
                "kind: postgres\nhost: 127.0.0.1\nport: {port}\nuser: {user}\n{password}\ndatabase: {database}\n"
            ),
            systems: String::new(),
            tables: vec!["public.*".into()],
            server: "grpc: 127.0.0.1:0\nhttp: 127.0.0.1:0\n".into(),
            rest: String::new(),
            env: vec![("ERP_PASSWORD".into(), postgres::PASSWORD.into())],
        }
    }

    pub fn with(mut self, sections: &str) -> Self {
        self.rest.push_str(sections);
        self
    }

    pub fn yaml(&self, data_dir: &Path) -> String {
        let mut yaml = format!("version: 1\ndata_dir: {}\nsystems:\n  erp:\n", data_dir.display());
        let mut lines = |text: &str, indent: &str| {
            text.lines().for_each(|line| writeln!(yaml, "{indent}{line}").expect("a string takes all"));
        };
        lines(&self.system, "    ");
        lines(&format!("tables: {{include: {:?}}}", self.tables), "    ");
        lines(&self.systems, "  ");
        lines("server:", "");
        lines(&self.server, "  ");
        lines(&self.rest, "");
        yaml
    }
}

pub struct Tailwater {
    dir: TempDir,
    env: Vec<(String, String)>,
    child: Option<Child>,
}

impl Tailwater {
    /// Writes the config; starts nothing.
    pub fn new(setup: &Setup) -> Self {
        let dir = tempfile::Builder::new().prefix("tailwater-").tempdir().expect("a temporary directory");
        let tailwater = Self { dir, env: setup.env.clone(), child: None };
        tailwater.configure(setup);
        tailwater
    }

    pub async fn start(setup: Setup) -> Self {
        let mut tailwater = Self::new(&setup);
        tailwater.up().await;
        tailwater
    }

    pub fn configure(&self, setup: &Setup) {
        fs::write(self.config_path(), setup.yaml(&self.data_dir())).expect("the directory is ours");
    }

    /// Starts it and waits until it is ready.
    pub async fn up(&mut self) {
        self.spawn();
        self.ready().await;
    }

    /// Starts it and does not wait.
    pub fn spawn(&mut self) {
        // What the last process left would look like this one's.
        let _ = fs::remove_file(self.data_dir().join("endpoints.json"));
        let log = fs::File::options().create(true).append(true).open(self.log_path()).expect("the directory is ours");
        let mut command = self.command();
        command.arg("run").arg("--config").arg(self.config_path());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        self.child = Some(command.spawn().expect("the binary is built"));
    }

    pub async fn ready(&mut self) {
        let log = self.log_path();
        let door = self.door();
        let child = self.child.as_mut().expect("it was started");
        eventually("tailwater is ready", READY_WITHIN, async || {
            if let Some(status) = child.try_wait().expect("the child is ours") {
                panic!(
                    "tailwater ended with {status}:\n{}",
                    postgres::tail(&fs::read_to_string(&log).unwrap_or_default())
                );
            }
            door.http_get("/readyz")
                .and_then(|(status, body)| super::holds(status == 200, || format!("{status}: {body}")))
        })
        .await;
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        process::end(&mut child, Signal::KILL, STOP_WITHIN);
    }

    /// A graceful stop.
    pub fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        process::end(&mut child, Signal::TERM, STOP_WITHIN)
    }

    /// Waits for its own end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        process::wait(&mut child, STOP_WITHIN)
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().expect("the child is ours").is_none())
    }

    /// Another command of the binary, with this config.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = self.command();
        command.args(arguments).arg("--config").arg(self.config_path()).stdin(Stdio::null());
        command.output().expect("the binary is built")
    }

    /// What `status --json` prints.
    pub fn status_json(&self) -> serde_json::Value {
        let output = self.cli(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("status --json: {error}: {output:?}"))
    }

    pub fn door(&self) -> Door {
        Door { data_dir: self.data_dir(), token: None }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn config_path(&self) -> PathBuf {
        self.dir.path().join("tailwater.yaml")
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// All that it ever wrote to standard output and standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("tailwater.log")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Drop for Tailwater {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            process::end(&mut child, Signal::KILL, STOP_WITHIN);
        }
        if std::thread::panicking() {
            println!("--- tailwater:\n{}", postgres::tail(&self.log()));
        }
    }
}

/// How to come in: the present listeners and a token.
#[derive(Clone)]
pub struct Door {
    data_dir: PathBuf,
    /// `None`: the operator's, read anew each time.
    token: Option<String>,
}

impl Door {
    /// The same listeners with this token instead of the operator's; empty: with none.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// # Errors
    /// There is no listener now.
    pub async fn channel(&self) -> Result<Channel, String> {
        let endpoint =
            Endpoint::from_shared(format!("http://{}", self.address("grpc")?)).map_err(|error| error.to_string())?;
        endpoint.connect_timeout(CALL_WITHIN).connect().await.map_err(|error| format!("{error:?}"))
    }

    pub async fn subscriptions(&self) -> Result<SubscriptionServiceClient<Channel>, String> {
        Ok(SubscriptionServiceClient::new(self.channel().await?).max_decoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// A subscription to everything from the start. Held and never read, its window fills up.
    pub async fn never_read(&self) -> Response<Streaming<SubscribeResponse>> {
        let from = Some(From::Boundary(Boundary::Earliest.into()));
        let request = SubscribeRequest { tables: vec!["*".into()], from, ..Default::default() };
        let mut client = self.subscriptions().await.expect("tailwater runs");
        client.subscribe(self.request(request)).await.expect("the operator may subscribe")
    }

    pub async fn catalog(&self) -> Result<CatalogServiceClient<Channel>, String> {
        Ok(CatalogServiceClient::new(self.channel().await?))
    }

    pub async fn admin(&self) -> Result<AdminServiceClient<Channel>, String> {
        Ok(AdminServiceClient::new(self.channel().await?))
    }

    /// A request that carries the token.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let token = self.token.clone().unwrap_or_else(|| self.operator_token());
        let mut request = Request::new(message);
        if !token.is_empty() {
            let bearer = format!("Bearer {token}").parse().expect("a token is ASCII");
            request.metadata_mut().insert("authorization", bearer);
        }
        request
    }

    pub async fn status(&self) -> Result<GetStatusResponse, String> {
        let call = async { self.admin().await?.get_status(self.request(GetStatusRequest {})).await.map_err(said) };
        let answer = tokio::time::timeout(CALL_WITHIN, call).await.map_err(|_| "no answer to GetStatus".to_owned())?;
        Ok(answer?.into_inner())
    }

    /// The status of the system `erp`.
    pub async fn source(&self) -> Result<SourceStatus, String> {
        let status = self.status().await?;
        status.sources.into_iter().find(|source| source.system == "erp").ok_or_else(|| "status without erp".to_owned())
    }

    pub async fn tables(&self) -> Vec<Table> {
        let mut catalog = self.catalog().await.expect("tailwater runs");
        let request = self.request(ListTablesRequest::default());
        catalog.list_tables(request).await.expect("the operator may list tables").into_inner().tables
    }

    /// Status and body of an HTTP answer.
    ///
    /// # Errors
    /// There is no listener now.
    pub fn http_get(&self, path: &str) -> Result<(u16, String), String> {
        let mut stream = TcpStream::connect(self.address("http")?).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(CALL_WITHIN)).map_err(|error| error.to_string())?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("not HTTP: {answer}"))?;
        let status =
            head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| format!("not HTTP: {head}"))?;
        Ok((status, body.to_owned()))
    }

    /// The gRPC listener's.
    pub fn port(&self) -> u16 {
        let address = self.address("grpc").expect("it listens");
        address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("an address ends with its port")
    }

    pub fn operator_token(&self) -> String {
        fs::read_to_string(self.data_dir.join("operator.token")).unwrap_or_default().trim().to_owned()
    }

    fn address(&self, listener: &str) -> Result<String, String> {
        let path = self.data_dir.join("endpoints.json");
        let text = fs::read_to_string(path).map_err(|error| format!("endpoints.json: {error}"))?;
        let endpoints: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("endpoints.json: {error}"))?;
        endpoints[listener]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("endpoints.json without {listener}: {text}"))
    }
}

/// A refusal as text.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn said(status: Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

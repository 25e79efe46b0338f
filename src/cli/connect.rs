//! A connection to the running server, with a token in hand.
//!
//! The operator's token can be read only by the owner of the data directory; whoever comes as another subject brings that
//! subject's token, from a file or the environment, never on the command line where other users would see it.

use super::Error;
use crate::app::Endpoints;
use crate::config::{self, Config, Passwords};
use crate::deliver::grpc;
use crate::model::code::{self, Code};
use crate::model::problem::Problem;
use ring::digest;
use std::error::Error as _;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

const TOKEN_VARIABLE: &str = "TAILWATER_TOKEN";
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A dead server is noticed after an interval and a timeout.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// One row may be larger than a frame's usual 1 MiB; PostgreSQL's rows end at 1 GiB.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// Who asks.
#[derive(clap::Args)]
pub(super) struct Identity {
    /// Ask as this subject of the configuration, with its token from --token-file or TAILWATER_TOKEN [default: the operator]
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// A file that holds the subject's token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(super) fn load(config: Option<&Path>) -> Result<Config, Error> {
    Ok(config::load(&config::find(config)?, Passwords::Leave)?)
}

/// The way to the server: a channel, and the token that goes with each request.
pub(super) struct Server {
    pub channel: Channel,
    bearer: MetadataValue<Ascii>,
}

impl Server {
    pub async fn connect(config: &Config, identity: &Identity) -> Result<Self, Error> {
        let address = address(config)?;
        let token = token(config, identity)?;
        let bearer = format!("Bearer {token}").parse();
        let bearer = bearer.map_err(|_| Error::usage(code::CLI_NO_TOKEN, "the token is not plain text"))?;
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| Error::unreachable(code::CLI_NOT_RUNNING, error.to_string()))?
            .connect_timeout(CONNECT_WITHIN)
            .http2_keep_alive_interval(KEEPALIVE_EVERY)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .connect()
            .await
            .map_err(|error| Error::unreachable(code::CLI_NOT_RUNNING, format!("{address}: {}", chain(&error))))?;
        Ok(Self { channel, bearer })
    }

    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }
}

/// Where the server listens, from its own mouth. Whoever may not look into its data directory goes by the configuration.
fn address(config: &Config) -> Result<SocketAddr, Error> {
    match Endpoints::read(&config.data_dir) {
        Ok(endpoints) => Ok(endpoints.grpc),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let message = format!("nothing runs on {}", config.data_dir.display());
            Err(Error::unreachable(code::CLI_NOT_RUNNING, message))
        }
        Err(_) => Ok(config.server.grpc),
    }
}

/// A refusal in the server's own words, or a connection that broke.
#[allow(clippy::needless_pass_by_value, reason = "it is the argument of map_err")]
pub(super) fn refused(status: Status) -> Error {
    // A status that the server sent has no cause; one that stands for a broken connection has, whatever its code says.
    match status.source() {
        Some(cause) => Error::unreachable(code::CLI_NOT_RUNNING, chain(cause)),
        None if status.code() == tonic::Code::Unavailable => {
            Error::unreachable(code::CLI_NOT_RUNNING, status.message())
        }
        None => Error::Failed(told(status.message())),
    }
}

/// The server starts what it says with a code where it has one, whose next step is then the one to show.
fn told(message: &str) -> Problem {
    let coded = message.split_once(": ").and_then(|(code, rest)| Some((Code::find(code)?, rest)));
    let (code, message) = coded.unwrap_or((code::CLI_SERVER_REFUSED, message));
    Problem::new(code, message)
}

fn token(config: &Config, identity: &Identity) -> Result<String, Error> {
    let from_file = |path: &Path| {
        let text = fs::read_to_string(path);
        text.map_err(|error| Error::usage(code::CLI_NO_TOKEN, format!("{}: {error}", path.display())))
    };
    let token = match (&identity.subject, &identity.token_file) {
        (_, Some(file)) => from_file(file)?,
        (None, None) => {
            grpc::read_operator_token(&config.data_dir).map_err(|error| Error::Usage(error.problem().clone()))?
        }
        (Some(subject), None) => std::env::var(TOKEN_VARIABLE).map_err(|_| {
            Error::usage(code::CLI_NO_TOKEN, format!("--subject {subject} needs --token-file or {TOKEN_VARIABLE}"))
        })?,
    };
    let token = token.trim();
    if let Some(subject) = &identity.subject {
        belongs(config, subject, token)?;
    }
    Ok(token.to_owned())
}

/// The server knows the subject by the token alone; a mix-up is found here, where both are known.
fn belongs(config: &Config, name: &str, token: &str) -> Result<(), Error> {
    let Some(subject) = config.access.subjects.get(name) else {
        return Err(Error::usage(code::CLI_NO_TOKEN, format!("the configuration has no subject `{name}`")));
    };
    if digest::digest(&digest::SHA256, token.as_bytes()).as_ref() == subject.token_hash {
        return Ok(());
    }
    Err(Error::usage(code::CLI_NO_TOKEN, format!("the token is not that of the subject `{name}`")))
}

/// An error with its causes; tonic's own text says only "transport error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

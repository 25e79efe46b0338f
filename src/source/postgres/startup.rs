//! The start of a session: parameters, login, ready.
//!
//! The session's settings are fixed here, because text forms depend on them and `decode` reads exactly these. A password
//! goes out in clear only where nobody on the way can read it, and never into an error or a log.

use super::cancel::Backend;
use super::fault::{Fault, ServerError};
use super::frames::Frames;
use super::simple_query::{Purpose, pass_over};
use crate::config::PostgresEndpoint;
use crate::model::code;
use crate::model::problem::Problem;
use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use postgres_protocol::message::frontend;
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// DESIGN §6: every session that reads values has the same. All may be set by any user.
const SETTINGS: [(&str, &str); 21] = [
    ("client_encoding", "UTF8"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "iso_8601"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("search_path", ""),
    ("standard_conforming_strings", "on"),
    // A role's own limits must not cut a session that waits by design.
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    // Forms of values that a role may have set.
    ("xmlbinary", "base64"),
    ("array_nulls", "on"),
    ("xmloption", "content"),
    // How the catalogue prints names and types.
    ("quote_all_identifiers", "off"),
    ("transform_null_equals", "off"),
    // A row that a policy hides is an error, and no row that is not there.
    ("row_security", "off"),
    // Who waits for a lock sees afterwards what the holder did.
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
];

/// What is known of the transport.
pub struct Security {
    pub private: bool,
    pub channel_binding: Option<Vec<u8>>,
}

/// From an open transport to ReadyForQuery. Gives what the server takes a cancel request by.
///
/// # Errors
/// [`Fault::Server`] when the server refuses, [`Fault::Halt`] for a login we do not do, and those of the connection.
pub async fn log_in<R, W>(
    frames: &mut Frames<R>,
    write: &mut W,
    endpoint: &PostgresEndpoint,
    purpose: Purpose,
    security: Security,
) -> Result<Option<Backend>, Fault>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut message = BytesMut::new();
    frontend::startup_message(parameters(endpoint, purpose, &endpoint.application), &mut message)?;
    send(write, &message).await?;
    let mut login = Login { endpoint, security, scram: None };
    let mut backend = None;
    loop {
        let frame = frames.next().await?;
        match frame.tag {
            b'R' => {
                if let Some(answer) = login.answer(frame.body)? {
                    send(write, &answer).await?;
                }
            }
            b'Z' => return Ok(backend),
            b'E' => return Err(Fault::Server(ServerError::parse(frame.body))),
            b'K' => backend = Backend::parse(frame.body),
            // NegotiateProtocolVersion.
            b'v' => {}
            _ => pass_over(frame)?,
        }
    }
}

fn parameters<'a>(
    endpoint: &'a PostgresEndpoint,
    purpose: Purpose,
    application: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let replication = (purpose == Purpose::Replication).then_some(("replication", "database"));
    [("user", endpoint.user.as_str()), ("database", endpoint.database.as_str()), ("application_name", application)]
        .into_iter()
        .chain(replication)
        .chain(SETTINGS)
}

async fn send<W: AsyncWrite + Unpin>(write: &mut W, message: &[u8]) -> Result<(), Fault> {
    write.write_all(message).await?;
    Ok(write.flush().await?)
}

struct Login<'a> {
    endpoint: &'a PostgresEndpoint,
    security: Security,
    scram: Option<ScramSha256>,
}

impl Login<'_> {
    /// What to answer to an AuthenticationRequest; nothing to AuthenticationOk.
    fn answer(&mut self, request: &[u8]) -> Result<Option<BytesMut>, Fault> {
        let (kind, body) = request.split_first_chunk::<4>().ok_or(Fault::Protocol("a short login request"))?;
        let mut answer = BytesMut::new();
        match i32::from_be_bytes(*kind) {
            0 => self.finished()?,
            3 if self.security.private => frontend::password_message(self.password()?, &mut answer)?,
            3 => return Err(unsafe_login("the password in clear over a connection that others can read")),
            5 => {
                let salt = body.first_chunk().ok_or(Fault::Protocol("a short md5 salt"))?;
                let hash = md5_hash(self.endpoint.user.as_bytes(), self.password()?, *salt);
                frontend::password_message(hash.as_bytes(), &mut answer)?;
            }
            10 => self.scram_start(body, &mut answer)?,
            11 => {
                self.scram_mut()?.update(body).map_err(|_| Fault::Protocol("SCRAM: a broken challenge"))?;
                frontend::sasl_response(self.scram_mut()?.message(), &mut answer)?;
            }
            12 => {
                let wrong = |_| Fault::Protocol("SCRAM: the server does not prove that it knows the password");
                self.scram_mut()?.finish(body).map_err(wrong)?;
                self.scram = None;
            }
            kind => return Err(unsafe_login(&format!("authentication request {kind} (GSSAPI, SSPI or newer)"))),
        }
        Ok((!answer.is_empty()).then_some(answer))
    }

    /// A server that breaks SCRAM off with "ok" has proved nothing.
    fn finished(&self) -> Result<(), Fault> {
        if self.scram.is_some() { Err(Fault::Protocol("SCRAM: ended before the server's proof")) } else { Ok(()) }
    }

    fn scram_start(&mut self, mechanisms: &[u8], answer: &mut BytesMut) -> Result<(), Fault> {
        let offered = |name: &str| mechanisms.split(|byte| *byte == 0).any(|offer| offer == name.as_bytes());
        let (mechanism, binding) = match self.security.channel_binding.take() {
            Some(hash) if offered(SCRAM_SHA_256_PLUS) => {
                (SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(hash))
            }
            // "We could, you did not offer": a server that did offer notices the downgrade.
            Some(_) if offered(SCRAM_SHA_256) => (SCRAM_SHA_256, ChannelBinding::unrequested()),
            None if offered(SCRAM_SHA_256) => (SCRAM_SHA_256, ChannelBinding::unsupported()),
            _ => return Err(unsafe_login("a SASL mechanism other than SCRAM-SHA-256")),
        };
        let scram = ScramSha256::new(self.password()?, binding);
        frontend::sasl_initial_response(mechanism, scram.message(), answer)?;
        self.scram = Some(scram);
        Ok(())
    }

    fn scram_mut(&mut self) -> Result<&mut ScramSha256, Fault> {
        self.scram.as_mut().ok_or(Fault::Protocol("SCRAM: a challenge before its start"))
    }

    fn password(&self) -> Result<&[u8], Fault> {
        let missing = || {
            let message = format!("the server asks {:?} for a password and none is configured", self.endpoint.user);
            Fault::Retry(Problem::new(code::AUTHENTICATION_FAILED, message))
        };
        self.endpoint.password.as_ref().map(|password| password.expose_secret().as_bytes()).ok_or_else(missing)
    }
}

fn unsafe_login(what: &str) -> Fault {
    Fault::Halt(Problem::new(code::AUTHENTICATION_UNSAFE, format!("the server asks for {what}")))
}

//! The stream itself: frames in, lines out, the cursor kept, the connection made anew when it breaks.

use super::Args;
use super::line::Line;
use super::schema::Schemas;
use crate::cli::Error;
use crate::cli::connect::{self, MESSAGE_BYTES_MAX, Server};
use crate::config::Config;
use crate::model::code;
use crate::wire::api::v1::frame::Frame as Kind;
use crate::wire::api::v1::subscription_service_client::SubscriptionServiceClient;
use crate::wire::api::v1::{
    AcknowledgeRequest, Begin, Boundary, Change, Frame, SubscribeRequest, SubscribeResponse, subscribe_request::From,
};
use std::io::{self, Stdout, Write as _};
use std::time::Duration;
use tonic::transport::Channel;

const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Follows until the limit, an error, or for ever.
pub(super) async fn follow(config: &Config, args: Args) -> Result<(), Error> {
    let mut printer = Printer::new(&args);
    let mut pause = PAUSE_MIN;
    let mut connected_once = false;
    loop {
        let ended = match Server::connect(config, &args.identity).await {
            Ok(server) => {
                connected_once = true;
                let before = printer.cursor.clone();
                let ended = stream(&server, &args, &mut printer).await;
                // Only a connection that brought something counts as a good one.
                if printer.cursor != before {
                    pause = PAUSE_MIN;
                }
                ended
            }
            Err(error) => Err(error),
        };
        match ended {
            Ok(()) => return Ok(()),
            Err(Error::Unreachable(problem)) if connected_once && !args.no_reconnect => {
                // Standard output is for changes alone.
                let _ = writeln!(io::stderr(), "{problem}; trying again in {pause:?}");
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// One connection's worth.
async fn stream(server: &Server, args: &Args, printer: &mut Printer) -> Result<(), Error> {
    printer.restart()?;
    let mut client =
        SubscriptionServiceClient::new(server.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let request = server.request(request(args, printer.cursor.as_deref()));
    let mut messages = client.subscribe(request).await.map_err(connect::refused)?.into_inner();
    while let Some(message) = messages.message().await.map_err(connect::refused)? {
        let progress = printer.print(message)?;
        if let Some(cursor) = progress.done {
            acknowledge(server, &mut client, args, cursor).await?;
        }
        if progress.limit_reached {
            return Ok(());
        }
    }
    Err(Error::unreachable(code::CLI_NOT_RUNNING, "the server ended the stream"))
}

fn request(args: &Args, cursor: Option<&str>) -> SubscribeRequest {
    let from = match (cursor, args.from.as_str()) {
        (Some(cursor), _) => From::Cursor(cursor.to_owned()),
        (None, "earliest") => From::Boundary(Boundary::Earliest.into()),
        (None, "state") => From::Boundary(Boundary::State.into()),
        (None, "latest") => From::Boundary(Boundary::Latest.into()),
        (None, cursor) => From::Cursor(cursor.to_owned()),
    };
    SubscribeRequest {
        tables: args.tables.clone(),
        entities: args.entities.clone(),
        from: Some(from),
        subscription: args.subscription.clone().unwrap_or_default(),
        takeover: args.takeover,
        accept_gap: args.accept_gap,
    }
}

async fn acknowledge(
    server: &Server,
    client: &mut SubscriptionServiceClient<Channel>,
    args: &Args,
    cursor: String,
) -> Result<(), Error> {
    let Some(subscription) = args.subscription.clone() else { return Ok(()) };
    let request = server.request(AcknowledgeRequest { subscription, cursor });
    client.acknowledge(request).await.map_err(connect::refused)?;
    Ok(())
}

/// What a message brought.
#[derive(Default)]
struct Progress {
    /// Everything up to here is printed and flushed.
    done: Option<String>,
    limit_reached: bool,
}

/// Gathers a transaction and prints it at its Commit.
struct Printer {
    format: super::Format,
    /// Changes that may still be printed.
    left: Option<u64>,
    out: io::BufWriter<Stdout>,
    schemas: Option<Schemas>,
    begin: Option<Begin>,
    changes: Vec<Change>,
    /// Of the last complete transaction printed.
    cursor: Option<String>,
}

impl Printer {
    fn new(args: &Args) -> Self {
        let out = io::BufWriter::new(io::stdout());
        Self {
            format: args.format,
            left: args.limit,
            out,
            schemas: None,
            begin: None,
            changes: Vec::new(),
            cursor: None,
        }
    }

    /// A new stream sends its schemas anew, and an unfinished transaction from its beginning.
    fn restart(&mut self) -> Result<(), Error> {
        self.schemas = Some(Schemas::new().map_err(bad_frame)?);
        self.begin = None;
        self.changes.clear();
        Ok(())
    }

    fn print(&mut self, message: SubscribeResponse) -> Result<Progress, Error> {
        let mut progress = Progress::default();
        for frame in message.frames {
            if let Some(cursor) = self.frame(frame)? {
                progress.done = Some(cursor.clone());
                self.cursor = Some(cursor);
            }
            if self.left == Some(0) {
                progress.limit_reached = true;
                break;
            }
        }
        self.out.flush()?;
        Ok(progress)
    }

    /// A cursor when everything before it is done with.
    fn frame(&mut self, frame: Frame) -> Result<Option<String>, Error> {
        match frame.frame {
            Some(Kind::Begin(begin)) => {
                self.begin = Some(begin);
                self.changes.clear();
            }
            Some(Kind::Changes(changes)) => self.changes.extend(changes.changes),
            Some(Kind::Commit(commit)) => return Ok(self.transaction(&commit.cursor)?.then_some(commit.cursor)),
            Some(Kind::Schema(schema)) => self.schemas()?.add(&schema).map_err(bad_frame)?,
            Some(Kind::Heartbeat(heartbeat)) => return Ok(Some(heartbeat.cursor)),
            Some(Kind::ResumePointGone(gone)) => {
                let message = format!("{}: {}; the oldest is {}", gone.code, gone.reason, gone.oldest_sequence);
                return Err(Error::failed(code::CLI_RESUME_POINT_GONE, message));
            }
            // Where a copy begins and ends is no change; its rows are, and print as READ. Else a frame of a later version
            // that an older reader may pass over.
            Some(Kind::SnapshotBegin(_) | Kind::SnapshotEnd(_)) | None => {}
        }
        Ok(None)
    }

    /// Prints what was gathered; false when the limit cut it short.
    fn transaction(&mut self, cursor: &str) -> Result<bool, Error> {
        let begin = self.begin.take().ok_or_else(|| bad_frame("a Commit without a Begin"))?;
        let changes = std::mem::take(&mut self.changes);
        for change in &changes {
            if self.left == Some(0) {
                return Ok(false);
            }
            let table = self
                .schemas
                .as_ref()
                .ok_or_else(|| bad_frame("no schema"))?
                .get(change.schema_id)
                .map_err(bad_frame)?;
            let line = Line::new(change, table, &begin, cursor).and_then(|line| line.render(self.format));
            writeln!(self.out, "{}", line.map_err(bad_frame)?)?;
            self.left = self.left.map(|left| left - 1);
        }
        Ok(true)
    }

    fn schemas(&mut self) -> Result<&mut Schemas, Error> {
        self.schemas.as_mut().ok_or_else(|| bad_frame("no stream is open"))
    }
}

fn bad_frame(what: impl Into<String>) -> Error {
    Error::failed(code::CLI_BAD_FRAME, what)
}

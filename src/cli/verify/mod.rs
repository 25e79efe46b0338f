//! `tailwater verify`: whether the targets hold what the sources hold, database against database.
//!
//! Reads both databases itself; the running Tailwater is asked only how far it is, so that what is still on its way is
//! no difference. Prints no value but those of keys.

mod show;

use super::connect::{self, Identity, Server};
use super::{Error, Exit};
use crate::config::{self, Passwords};
use crate::deliver::verify::{self, Options, Progress, Report};
use crate::model::code;
use crate::model::pattern::Pattern;
use crate::model::problem::Problem;
use crate::wire::api::v1::admin_service_client::AdminServiceClient;
use crate::wire::api::v1::{GetStatusRequest, GetStatusResponse};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Only this target; repeatable [default: all]
    #[arg(long = "target", value_name = "NAME")]
    targets: Vec<String>,
    /// Only these tables: system.schema.table, `*` matches anything; repeatable [default: all that the targets get]
    #[arg(long = "table", value_name = "PATTERN")]
    tables: Vec<String>,
    /// List so many differences of a table; all are counted
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Give up when a source or target that is waited for does not move for so long, or rows do not stop changing
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    identity: Identity,
}

pub(super) async fn execute(config: Option<&Path>, args: &Args) -> Result<Exit, Error> {
    let environment = |name: &str| std::env::var(name).ok();
    let config = config::load(&config::find(config)?, Passwords::Read(&environment))?;
    let running = Running(Server::connect(&config, &args.identity).await?);
    let options = Options {
        targets: args.targets.clone(),
        tables: args.tables.iter().map(|pattern| Pattern::new(pattern)).collect(),
        wait: Duration::from_secs(args.wait),
        shown_max: args.limit,
    };
    let report = verify::verify(&config, &options, running).await.map_err(Error::Usage)?;
    let text = if args.json { show::json(&report).to_string() } else { show::text(&report) };
    writeln!(std::io::stdout().lock(), "{}", text.trim_end())?;
    Ok(exit(&report))
}

fn exit(report: &Report) -> Exit {
    if report.stopped.iter().any(|stopped| stopped.problem.code == code::CLI_NOT_RUNNING) {
        return Exit::Unreachable;
    }
    if report.all_equal() { Exit::Fine } else { Exit::Problem }
}

/// The running Tailwater.
struct Running(Server);

impl Progress for Running {
    async fn read(&mut self) -> Result<GetStatusResponse, Problem> {
        let request = self.0.request(GetStatusRequest {});
        let answer = AdminServiceClient::new(self.0.channel.clone()).get_status(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| match connect::refused(status) {
            Error::Unreachable(problem) | Error::Failed(problem) | Error::Usage(problem) => problem,
            other => Problem::new(code::CLI_SERVER_REFUSED, other.to_string()),
        })
    }
}

//! `tailwater status`: what the running server says of itself.

mod govern;
pub(super) mod targets;

use super::connect::{self, Identity, Server};
use super::table::Table;
use super::{Error, Exit};
use crate::model::code;
use crate::wire::api::DESCRIPTORS;
use crate::wire::api::v1::admin_service_client::AdminServiceClient;
use crate::wire::api::v1::{
    CopyState, CopyStatus, GetStatusRequest, GetStatusResponse, JournalStatus, Problem, SourceState, SourceStatus,
    TargetState, TargetStatus,
};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Print one JSON object: the answer of AdminService.GetStatus
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    identity: Identity,
}

pub(super) async fn execute(config: Option<&Path>, args: &Args) -> Result<Exit, Error> {
    let config = connect::load(config)?;
    let server = Server::connect(&config, &args.identity).await?;
    let request = server.request(GetStatusRequest {});
    let status =
        AdminServiceClient::new(server.channel).get_status(request).await.map_err(connect::refused)?.into_inner();
    let text = if args.json { json(&status)? } else { text(&status) };
    writeln!(std::io::stdout().lock(), "{}", text.trim_end())?;
    Ok(if in_trouble(&status) { Exit::Problem } else { Exit::Fine })
}

/// Whether a person must act before everything flows again.
fn in_trouble(status: &GetStatusResponse) -> bool {
    let halted = |source: &SourceStatus| {
        source.state() == SourceState::Halted || source.tables.iter().any(|table| table.halt.is_some())
    };
    let target_halted = |target: &TargetStatus| {
        target.state() == TargetState::Halted || target.tables.iter().any(|table| table.halt.is_some())
    };
    status.sources.iter().any(halted)
        || status.targets.iter().any(target_halted)
        || !govern::problems(status.govern.as_ref()).is_empty()
        || status.journal.as_ref().is_some_and(|journal| !journal.parked_code.is_empty())
}

/// Every field, defaults too, under its name in the `.proto` file; 64-bit integers as strings.
fn json(status: &GetStatusResponse) -> Result<String, Error> {
    let bad = |error: String| Error::failed(code::CLI_BAD_FRAME, error);
    let pool = DescriptorPool::decode(DESCRIPTORS).map_err(|error| bad(error.to_string()))?;
    let descriptor = pool
        .get_message_by_name("tailwater.v1.GetStatusResponse")
        .ok_or_else(|| bad("the API has no GetStatusResponse".into()))?;
    let message = DynamicMessage::decode(descriptor, status.encode_to_vec().as_slice())
        .map_err(|error| bad(error.to_string()))?;
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
    let mut text = Vec::new();
    message
        .serialize_with_options(&mut serde_json::Serializer::new(&mut text), &options)
        .map_err(|error| bad(error.to_string()))?;
    String::from_utf8(text).map_err(|error| bad(error.to_string()))
}

fn text(status: &GetStatusResponse) -> String {
    let mut out = sources(&status.sources);
    for (place, problem) in problems(&status.sources)
        .into_iter()
        .chain(targets::problems(&status.targets))
        .chain(govern::problems(status.govern.as_ref()))
    {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "\n{place}: {}: {}\n  next: {}", problem.code, problem.message, problem.next);
    }
    if let Some(copies) = copies(&status.sources) {
        let _ = write!(out, "\n{copies}");
    }
    if let Some(journal) = &status.journal {
        let _ = write!(out, "\n{}", self::journal(journal));
    }
    if !status.targets.is_empty() {
        let _ = write!(out, "\n{}", targets::text(&status.targets));
    }
    if let Some(govern) = &status.govern {
        let _ = write!(out, "\n{}", govern::text(govern));
    }
    if !status.subscriptions.is_empty() {
        let _ = write!(out, "\n{}", subscriptions(status));
    }
    let _ = writeln!(out, "\npolicy: {}   version: {}", status.policy, status.version);
    for warning in &status.warnings {
        let _ = writeln!(out, "warning: {warning}");
    }
    out
}

fn sources(sources: &[SourceStatus]) -> String {
    let mut table =
        Table::new(&["SOURCE", "STATE", "LAG", "BEHIND", "RETAINED", "CHECKPOINT", "TRANSACTIONS", "CHANGES"]);
    for source in sources {
        table.row(vec![
            source.system.clone(),
            state(source.state()).to_owned(),
            current(source, format!("{:.1}s", source.lag_seconds)),
            current(source, bytes(source.lag_bytes)),
            bytes(source.retained_log_bytes),
            source.checkpoint.clone(),
            source.transactions.to_string(),
            source.changes.to_string(),
        ]);
    }
    table.to_string()
}

/// So many that only wait for their turn are named.
pub(super) const WAITING_SHOWN: usize = 5;

/// While some copy is not done: those, and how they come on; of those that only wait for their turn a few.
fn copies(sources: &[SourceStatus]) -> Option<String> {
    let mut table =
        Table::new(&["COPY", "STATE", "ROWS", "OF ABOUT", "PERCENT", "ROWS/S", "LEFT", "WAITS FOR", "BECAUSE"]);
    let (mut open, mut waiting) = (false, 0_usize);
    for source in sources {
        for captured in &source.tables {
            let Some(copy) = captured.copy.as_ref().filter(|copy| copy.state() != CopyState::Done) else { continue };
            open = true;
            let only_waits = copy.state() == CopyState::Wanted && copy.waits_for.is_empty();
            waiting += usize::from(only_waits);
            if !only_waits || waiting <= WAITING_SHOWN {
                table.row(copy_row(format!("{}.{}.{}", source.system, captured.schema, captured.table), copy));
            }
        }
    }
    open.then(|| table.to_string() + &more(waiting, "copies are wanted"))
}

/// What a list leaves out.
pub(super) fn more(all: usize, what: &str) -> String {
    match all.saturating_sub(WAITING_SHOWN) {
        0 => String::new(),
        left_out => format!("and {left_out} more {what}\n"),
    }
}

fn copy_row(name: String, copy: &CopyStatus) -> Vec<String> {
    let known = |known: bool, text: String| if known { text } else { "-".to_owned() };
    let runs = copy.state() == CopyState::Running;
    vec![
        name,
        if runs { "running" } else { "wanted" }.to_owned(),
        known(runs, copy.rows.to_string()),
        known(copy.rows_estimate > 0, copy.rows_estimate.to_string()),
        known(runs && copy.rows_estimate > 0, format!("{:.1}", copy.percent)),
        known(copy.rows_per_second > 0.0, format!("{:.0}", copy.rows_per_second)),
        known(copy.seconds_left > 0.0, format!("{:.0}s", copy.seconds_left)),
        copy.waits_for.clone(),
        copy.why.clone(),
    ]
}

/// How far behind a source is, is known only while it streams.
fn current(source: &SourceStatus, lag: String) -> String {
    if source.state() == SourceState::Streaming { lag } else { "-".to_owned() }
}

/// Of sources and their tables, each with the name of the place.
pub(super) fn problems(sources: &[SourceStatus]) -> Vec<(String, &Problem)> {
    let mut found = Vec::new();
    for source in sources {
        found.extend(source.halt.iter().chain(&source.beside).map(|problem| (source.system.clone(), problem)));
        for table in &source.tables {
            let place = || format!("{}.{}.{}", source.system, table.schema, table.table);
            found.extend(table.halt.as_ref().map(|problem| (place(), problem)));
        }
    }
    found
}

fn journal(journal: &JournalStatus) -> String {
    let mut table = Table::new(&["JOURNAL", "SEQUENCE", "OLDEST", "SIZE", "OF", "DISK FREE", "INTAKE"]);
    table.row(vec![
        journal.epoch.chars().take(8).collect(),
        journal.sequence.to_string(),
        journal.oldest_sequence.to_string(),
        bytes(journal.bytes),
        bytes(journal.bytes_max),
        bytes(journal.disk_free_bytes),
        if journal.parked_code.is_empty() { "open".to_owned() } else { format!("waits, {}", journal.parked_code) },
    ]);
    table.to_string()
}

fn subscriptions(status: &GetStatusResponse) -> String {
    let mut table = Table::new(&["SUBSCRIPTION", "SUBJECT", "LIVE", "ACKNOWLEDGED", "BEHIND"]);
    for subscription in &status.subscriptions {
        table.row(vec![
            if subscription.name.is_empty() { "-".to_owned() } else { subscription.name.clone() },
            subscription.subject.clone(),
            if subscription.live { "yes" } else { "no" }.to_owned(),
            subscription.acknowledged_sequence.to_string(),
            format!("{} transactions", subscription.lag_transactions),
        ]);
    }
    table.to_string()
}

fn state(state: SourceState) -> &'static str {
    match state {
        SourceState::Unspecified => "unknown",
        SourceState::Connecting => "connecting",
        SourceState::Streaming => "streaming",
        SourceState::Retrying => "retrying",
        SourceState::Halted => "HALTED",
        SourceState::Stopped => "stopped",
    }
}

/// Three digits or so, in binary units.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::api::v1::TableStatus;

    fn halted() -> GetStatusResponse {
        let halt = Problem { code: "TW-SRC-001".into(), message: "the slot is gone".into(), next: "look".into() };
        let source = SourceStatus {
            system: "erp".into(),
            state: SourceState::Halted.into(),
            lag_bytes: 2048,
            retained_log_bytes: 1536,
            halt: Some(halt),
            ..SourceStatus::default()
        };
        GetStatusResponse { policy: "none".into(), sources: vec![source], ..GetStatusResponse::default() }
    }

    #[test]
    fn a_halt_is_told_with_its_code_and_what_to_do_and_changes_the_exit_code() {
        let status = halted();
        assert!(in_trouble(&status));
        let text = text(&status);
        for part in ["HALTED", "1.5 KiB", "erp: TW-SRC-001: the slot is gone\n  next: look", "policy: none"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(!text.contains("2.0 KiB"), "nobody knows how far behind a halted source is");
    }

    #[test]
    fn copies_show_while_they_are_not_done() {
        let with = |state: CopyState| {
            let copy = CopyStatus {
                state: state.into(),
                rows: 250,
                rows_estimate: 1000,
                percent: 25.0,
                rows_per_second: 50.0,
                seconds_left: 15.0,
                waits_for: "a lock".into(),
                why: "a partition was attached".into(),
                ..CopyStatus::default()
            };
            let table =
                TableStatus { schema: "public".into(), table: "t".into(), copy: Some(copy), ..TableStatus::default() };
            let source = SourceStatus { system: "erp".into(), tables: vec![table], ..SourceStatus::default() };
            text(&GetStatusResponse { sources: vec![source], ..GetStatusResponse::default() })
        };
        let running = with(CopyState::Running);
        for part in
            ["erp.public.t", "running", "250", "1000", "25.0", "50", "15s", "a lock", "a partition was attached"]
        {
            assert!(running.contains(part), "{part} is missing in\n{running}");
        }
        assert!(!with(CopyState::Done).contains("COPY"));
    }

    #[test]
    fn json_is_one_object_with_every_field() {
        let value: serde_json::Value = serde_json::from_str(&json(&halted()).unwrap()).unwrap();
        assert_eq!(value["sources"][0]["lag_bytes"], "2048");
        assert_eq!(value["sources"][0]["state"], "SOURCE_STATE_HALTED");
        assert_eq!(value["warnings"], serde_json::json!([]));
    }
}

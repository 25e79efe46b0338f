//! `tailwater check`: all that would make a run fail or lie, at once, each with its code and the SQL that mends it.
//!
//! Looks by itself at this machine and at each server, and asks the running Tailwater, if one runs, why anything is halted:
//! only that process knows how slots and servers go with the journal. Changes nothing.

use super::connect::{Identity, Server};
use super::status::{problems, targets};
use super::{Error, Exit};
use crate::app;
use crate::config::{self, Config, Passwords, PostgresSystem, System};
use crate::deliver::target;
use crate::model::code::Code;
use crate::model::finding::{Finding, Severity};
use crate::model::problem::Problem;
use crate::source::mysql;
use crate::source::postgres::{Connection, Fault, Purpose, ServerTable, Surroundings, configured, preflight};
use crate::wire::api::v1::admin_service_client::AdminServiceClient;
use crate::wire::api::v1::{GetStatusRequest, GetStatusResponse};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Print one JSON object: errors, warnings, and a list of findings
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    identity: Identity,
}

pub(super) async fn execute(config: Option<&Path>, args: &Args) -> Result<Exit, Error> {
    let environment = |name: &str| std::env::var(name).ok();
    let config = config::load(&config::find(config)?, Passwords::Read(&environment))?;
    let findings = look(&config, &args.identity).await;
    let text = if args.json { as_json(&findings).to_string() } else { as_text(&config, &findings) };
    writeln!(std::io::stdout().lock(), "{}", text.trim_end())?;
    let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if failed { Exit::Problem } else { Exit::Fine })
}

async fn look(config: &Config, identity: &Identity) -> Vec<Finding> {
    let status = running(config, identity).await;
    let mut findings = app::preflight(config, status.is_some());
    let copied: Vec<_> = config.targets.values().map(|target| &target.tables).collect();
    let journal_exists = app::journal_exists(&config.data_dir);
    let surroundings = Surroundings { journal_exists, running: status.is_some(), copied: &copied };
    let mut captured = Vec::new();
    for (name, system) in &config.systems {
        match system {
            System::Postgres(system) => {
                findings.extend(preflight(system, surroundings).await);
                // A server that does not answer has said so above.
                let tables = captured_tables(system).await.unwrap_or_default();
                captured.extend(tables.into_iter().map(|table| (name.clone(), table.name)));
            }
            System::Mysql(system) => {
                findings.extend(mysql::preflight(system).await);
                let tables = mysql::captured_tables(system).await.unwrap_or_default();
                captured.extend(tables.into_iter().map(|table| (name.clone(), table.name)));
            }
        }
    }
    let systems = Arc::new(config.systems.clone());
    for target in config.targets.values() {
        findings.extend(target::preflight(target, &config.access, &systems, &captured).await);
    }
    for finding in status.iter().flat_map(halts) {
        if !findings.iter().any(|f| (&f.place, f.problem.code) == (&finding.place, finding.problem.code)) {
            findings.push(finding);
        }
    }
    // The worst first, each place's together.
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.place.cmp(&b.place)));
    findings
}

async fn captured_tables(system: &PostgresSystem) -> Result<Vec<ServerTable>, Fault> {
    let mut connection = Connection::open(&system.endpoint, Purpose::Queries).await?;
    configured(&mut connection, system).await
}

/// What the running Tailwater says; `None` when none runs.
async fn running(config: &Config, identity: &Identity) -> Option<GetStatusResponse> {
    let server = Server::connect(config, identity).await.ok()?;
    let request = server.request(GetStatusRequest {});
    AdminServiceClient::new(server.channel).get_status(request).await.ok().map(tonic::Response::into_inner)
}

fn halts(status: &GetStatusResponse) -> Vec<Finding> {
    let known = |problem: &crate::wire::api::v1::Problem| {
        Some(Problem::new(Code::find(&problem.code)?, problem.message.clone()))
    };
    let found = problems(&status.sources).into_iter().chain(targets::problems(&status.targets));
    found.filter_map(|(place, problem)| Some(Finding::error(place, known(problem)?))).collect()
}

fn counted(findings: &[Finding]) -> (usize, usize) {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    (errors, findings.len() - errors)
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn as_json(findings: &[Finding]) -> Value {
    let (errors, warnings) = counted(findings);
    let finding = |finding: &Finding| {
        let Finding { severity, place, problem, sql } = finding;
        let entry = problem.code.entry();
        json!({
            "severity": word(*severity), "code": entry.code, "place": place, "message": problem.message,
            "evidence": entry.evidence, "sql": sql, "next": entry.next,
        })
    };
    json!({"errors": errors, "warnings": warnings, "findings": findings.iter().map(finding).collect::<Vec<_>>()})
}

fn as_text(config: &Config, findings: &[Finding]) -> String {
    let mut out = String::new();
    for Finding { severity, place, problem, sql } in findings {
        let entry = problem.code.entry();
        let place = if place.is_empty() { "this machine" } else { place };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{} {place}: {}\n  {}", word(*severity), problem, entry.what);
        let _ = writeln!(out, "  evidence: {}", entry.evidence);
        for statement in sql {
            let _ = writeln!(out, "  sql: {statement}");
        }
        let _ = writeln!(out, "  next: {}\n", entry.next);
    }
    let (errors, warnings) = counted(findings);
    let systems: Vec<_> = config.systems.keys().chain(config.targets.keys()).map(ToString::to_string).collect();
    let _ = writeln!(out, "checked {}: {errors} errors, {warnings} warnings", systems.join(", "));
    out
}

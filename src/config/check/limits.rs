//! `server`, `retention` and `journal`: addresses, and how much of everything.

use crate::config::raw::{Node, Place, Value};
use crate::config::report::Report;
use crate::config::scalar;
use crate::config::section::{Keys, Section};
use crate::config::{JournalOptions, Limits, Retention, Server};
use crate::model::code;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

const SERVER: Keys = Keys { known: &["grpc", "http", "grace", "limits"], later: &["tls"] };
const LIMITS: Keys = Keys {
    known: &["connections", "streams_per_connection", "subscriptions", "request", "headers", "handshake", "idle"],
    later: &[],
};
const RETENTION: Keys = Keys { known: &["size", "free_disk"], later: &["time"] };
const JOURNAL: Keys = Keys { known: &["sync", "queue", "tail"], later: &[] };

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

const GRPC_PORT: u16 = 7071;
const HTTP_PORT: u16 = 7070;
const GRACE_DEFAULT: Duration = Duration::from_secs(5);
const RETENTION_DEFAULT: u64 = 10 * GIB;
const FREE_DISK_DEFAULT: u64 = GIB;
const QUEUE_DEFAULT: u64 = 32 * MIB;
const TAIL_DEFAULT: u64 = 32 * MIB;

const fn seconds(from: u64, to: u64) -> RangeInclusive<Duration> {
    Duration::from_secs(from)..=Duration::from_secs(to)
}

/// What every key of the section means when the section is not there: all defaults.
fn or_empty(node: Option<&Node>) -> Node {
    node.cloned().unwrap_or(Node { place: Place::START, value: Value::Map(Vec::new()) })
}

pub(super) fn server(node: Option<&Node>, report: &mut Report) -> Option<Server> {
    let node = or_empty(node);
    let section = Section::open(&node, "server", &SERVER, report)?;
    let grpc = address(&section, "grpc", GRPC_PORT, report);
    let http = address(&section, "http", HTTP_PORT, report);
    let grace = duration(&section, "grace", GRACE_DEFAULT, seconds(0, 600), report);
    let limits = limits(section.get("limits"), report);
    if let (Some(grpc), Some(http)) = (grpc, http)
        && grpc == http
        && grpc.port() != 0
    {
        report.add(section.place(), code::CONFIG_DUPLICATE, format!("`server.grpc` and `server.http` are both {grpc}"));
    }
    Some(Server { grpc: grpc?, http: http?, limits: limits?, grace: grace? })
}

/// `ADDRESS:PORT`; port 0 lets the system choose. Loopback only, until there is TLS.
fn address(section: &Section<'_>, key: &str, default: u16, report: &mut Report) -> Option<SocketAddr> {
    let Some(node) = section.get(key) else { return Some((Ipv4Addr::LOCALHOST, default).into()) };
    let name = section.name(key);
    let text = scalar::text(node, &name, report)?;
    let Ok(address) = text.replace("localhost:", "127.0.0.1:").parse::<SocketAddr>() else {
        let message = format!("`{name}` must be an address and a port such as 127.0.0.1:{default} or [::1]:{default}");
        report.add(node.place, code::CONFIG_WRONG_VALUE, message);
        return None;
    };
    if !address.ip().is_loopback() {
        let message = format!(
            "`{name}` is {address}, which other machines can reach; without TLS only 127.0.0.1 and [::1] are safe"
        );
        report.add(node.place, code::CONFIG_NOT_LOOPBACK, message);
        return None;
    }
    Some(address)
}

fn limits(node: Option<&Node>, report: &mut Report) -> Option<Limits> {
    let node = or_empty(node);
    let section = Section::open(&node, "server.limits", &LIMITS, report)?;
    let connections_max = count(&section, "connections", 1024, 1..=100_000, report);
    let streams = count(&section, "streams_per_connection", 128, 1..=10_000, report);
    let subscriptions_max = count(&section, "subscriptions", 1024, 1..=100_000, report);
    let request = size(&section, "request", 256 * KIB, KIB..=16 * MIB, report);
    let headers = size(&section, "headers", 16 * KIB, KIB..=MIB, report);
    let handshake = duration(&section, "handshake", Duration::from_secs(5), seconds(1, 60), report);
    let idle = duration(&section, "idle", Duration::from_secs(60), seconds(5, 3600), report);
    Some(Limits {
        connections_max: connections_max?,
        streams_per_connection_max: u32::try_from(streams?).ok()?,
        subscriptions_max: subscriptions_max?,
        request_bytes_max: usize::try_from(request?).ok()?,
        header_bytes_max: u32::try_from(headers?).ok()?,
        handshake_max: handshake?,
        idle_max: idle?,
    })
}

pub(super) fn retention(node: Option<&Node>, report: &mut Report) -> Option<Retention> {
    let node = or_empty(node);
    let section = Section::open(&node, "retention", &RETENTION, report)?;
    let bytes = size(&section, "size", RETENTION_DEFAULT, MIB..=1024 * TIB, report);
    let free_disk_bytes_min = size(&section, "free_disk", FREE_DISK_DEFAULT, 0..=1024 * TIB, report);
    Some(Retention { bytes: bytes?, free_disk_bytes_min: free_disk_bytes_min? })
}

pub(super) fn journal(node: Option<&Node>, report: &mut Report) -> Option<JournalOptions> {
    let node = or_empty(node);
    let section = Section::open(&node, "journal", &JOURNAL, report)?;
    let sync = section.get("sync").map_or(Some(true), |node| scalar::truth(node, "journal.sync", report));
    let queue = size(&section, "queue", QUEUE_DEFAULT, MIB..=4 * GIB, report);
    let tail = size(&section, "tail", TAIL_DEFAULT, 0..=4 * GIB, report);
    Some(JournalOptions {
        sync: sync?,
        queue_bytes_max: usize::try_from(queue?).ok()?,
        tail_bytes_max: usize::try_from(tail?).ok()?,
    })
}

fn count(
    section: &Section<'_>,
    key: &str,
    default: usize,
    bounds: RangeInclusive<usize>,
    report: &mut Report,
) -> Option<usize> {
    section.get(key).map_or(Some(default), |node| scalar::number(node, &section.name(key), bounds, report))
}

fn size(
    section: &Section<'_>,
    key: &str,
    default: u64,
    bounds: RangeInclusive<u64>,
    report: &mut Report,
) -> Option<u64> {
    section.get(key).map_or(Some(default), |node| scalar::size(node, &section.name(key), bounds, report))
}

fn duration(
    section: &Section<'_>,
    key: &str,
    default: Duration,
    bounds: RangeInclusive<Duration>,
    report: &mut Report,
) -> Option<Duration> {
    section.get(key).map_or(Some(default), |node| scalar::duration(node, &section.name(key), bounds, report))
}

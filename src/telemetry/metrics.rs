//! Metrics: where they are gathered and how they are rendered for Prometheus.
//!
//! The areas count under their own names; here they get their unit and the words that stand beside them in `/metrics`.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Seconds. A sync takes a fraction of a millisecond on good disks and a good part of a second on bad ones.
const SECONDS_BUCKETS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 10.0];

/// Transactions in one group commit.
const GROUP_BUCKETS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1_000.0, 10_000.0];

const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// What was counted so far. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// In Prometheus' text form.
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }

    /// Gathers what histograms were told, for ever. Without it they keep every single value until somebody scrapes, and
    /// nobody may ever do.
    pub async fn upkeep(&self) -> Infallible {
        let mut ticks = interval(UPKEEP_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.0.run_upkeep();
        }
    }
}

/// Makes this process's metrics go to what is returned. Once a process.
///
/// # Errors
/// Another recorder is installed already.
pub fn install() -> Result<Metrics, BuildError> {
    let groups = Matcher::Full("tailwater_journal_group_transactions".to_owned());
    let handle = PrometheusBuilder::new()
        .set_buckets(&SECONDS_BUCKETS)?
        .set_buckets_for_metric(groups, &GROUP_BUCKETS)?
        .install_recorder()?;
    describe();
    Ok(Metrics(handle))
}

fn describe() {
    describe_gauge!(
        "tailwater_source_up",
        "1 while the source streams; the other figures of a source are current only then"
    );
    describe_gauge!(
        "tailwater_source_lag_seconds",
        Unit::Seconds,
        "Age of the newest change not yet durable here; 0 when there is none"
    );
    describe_gauge!(
        "tailwater_source_lag_bytes",
        Unit::Bytes,
        "Log that the source has written and we have not made durable"
    );
    describe_gauge!("tailwater_source_retained_log_bytes", Unit::Bytes, "Log that the source keeps on its disk for us");
    describe_counter!("tailwater_source_changes_total", "Changes handed to the journal");
    describe_counter!("tailwater_source_transactions_total", "Transactions handed to the journal");
    describe_counter!(
        "tailwater_source_copies_again_total",
        "Tables copied again because their rows may have changed without an event"
    );
    describe_counter!("tailwater_source_reconnects_total", "Connections to the source that had to be made anew");
    describe_gauge!(
        "tailwater_halts",
        "1 for a source or target that halted with this code and waits for a person to act"
    );
    describe_gauge!("tailwater_target_up", "1 while the target is written");
    describe_gauge!(
        "tailwater_target_lag_seconds",
        Unit::Seconds,
        "Age of the oldest transaction that the target has not applied; 0 when there is none"
    );
    describe_gauge!("tailwater_target_sequence", "Everything up to this transaction is committed in the target");
    describe_counter!("tailwater_target_rows_total", "Changes applied to the target");
    describe_counter!("tailwater_target_reconnects_total", "Connections to the target that had to be made anew");
    describe_gauge!("tailwater_target_tables_ready", "Tables of the target that hold what their source holds");
    describe_gauge!("tailwater_journal_bytes", Unit::Bytes, "Bodies that the journal holds");
    describe_gauge!("tailwater_journal_sequence", "The newest durable transaction's number");
    describe_histogram!("tailwater_journal_sync_seconds", Unit::Seconds, "Time of one synced group commit");
    describe_histogram!("tailwater_journal_group_transactions", "Transactions that shared one sync");
    describe_gauge!("tailwater_journal_parked", "1 while intake waits for disk space");
    describe_gauge!("tailwater_disk_free_bytes", Unit::Bytes, "Free disk under the journal");
    describe_counter!("tailwater_connections_refused_total", "gRPC connections beyond the limit");
    describe_gauge!("tailwater_subscriptions_live", "Open subscription streams");
    describe_gauge!(
        "tailwater_subscriber_lag_transactions",
        "Durable transactions that the subscriber has not been sent"
    );
    describe_counter!("tailwater_delivered_changes_total", "Changes sent to subscribers");
    describe_counter!("tailwater_delivered_bytes_total", Unit::Bytes, "Changes sent to subscribers, in bytes");
}

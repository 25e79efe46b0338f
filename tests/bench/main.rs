//! `make bench`: each way beside its peer in one run, in turns, over one backlog that both drain. Counts and checksums are asserted;
//! what is printed are times, CPU seconds and peak memory of the process that is measured, and ratios.
//!
//! usage: bench [postgres] [mysql] [target]    (default: all)
//! `BENCH_ROUNDS` (1000): each inserts 1,000 rows and updates the same 1,000. `BENCH_TURNS` (3).

mod client;
#[path = "../it/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use the rest")]
mod harness;
mod meter;
mod mysql;
mod postgres;
mod target;
mod workload;

use meter::Measured;

/// Of one statement; a round is two.
const ROWS: u64 = 1_000;

struct Size {
    rounds: u64,
    turns: usize,
}

impl Size {
    fn changes(&self) -> u64 {
        self.rounds * ROWS * 2
    }
}

/// Each turn's measurement of the peer and of Tailwater.
struct Outcome {
    what: &'static str,
    peer: &'static str,
    turns: Vec<(Measured, Measured)>,
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print(outcome: &Outcome, size: &Size) {
    println!("\n{}: {} changes, {} turns", outcome.what, size.changes(), outcome.turns.len());
    let line = |name: &str, of: fn(&(Measured, Measured)) -> &Measured| {
        let each = |value: fn(&Measured) -> f64| median(outcome.turns.iter().map(|turn| value(of(turn))).collect());
        let (seconds, cpu, memory) = (each(|m| m.seconds), each(|m| m.cpu_seconds), each(|m| m.peak_bytes as f64));
        println!(
            "  {name:<28} {seconds:>7.2} s  {:>9.0} changes/s  {cpu:>6.2} s CPU  {:>6.0} MiB",
            size.changes() as f64 / seconds,
            memory / f64::from(1 << 20),
        );
    };
    line(outcome.peer, |turn| &turn.0);
    line("tailwater", |turn| &turn.1);
    let ratio = median(outcome.turns.iter().map(|(peer, ours)| ours.seconds / peer.seconds).collect());
    println!("  tailwater takes {ratio:.2} times the time of {}", outcome.peer);
}

fn main() {
    let size = Size { rounds: number("BENCH_ROUNDS", 1_000), turns: number("BENCH_TURNS", 3) as usize };
    let asked: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if wanted("postgres") {
            print(&postgres::run(&size).await, &size);
        }
        if wanted("mysql") {
            print(&mysql::run(&size).await, &size);
        }
        if wanted("target") {
            print(&target::run(&size).await, &size);
        }
    });
}

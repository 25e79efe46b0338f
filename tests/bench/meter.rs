//! What a process took: time on the wall, CPU seconds, peak memory.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub seconds: f64,
    pub cpu_seconds: f64,
    /// `VmHWM`.
    pub peak_bytes: u64,
}

/// CPU seconds and peak memory so far; `None` once it is gone.
pub fn usage(pid: u32) -> Option<(f64, u64)> {
    /// `CLK_TCK` of every Linux that Rust runs on.
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold blanks; what follows its bracket does not. Fields 14 and 15 of proc(5).
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = peak.split_whitespace().next()?.parse().ok()?;
    Some((ticks / TICKS, kibibytes * 1024))
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Measured {
    let started = Instant::now();
    let mut child: Child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the program is installed");
    let mut last = (0.0, 0);
    loop {
        last = usage(child.id()).filter(|now| now.1 > 0).unwrap_or(last);
        if let Some(status) = child.try_wait().expect("the child is ours") {
            assert!(status.success(), "{command:?}: {status}");
            return Measured { seconds: started.elapsed().as_secs_f64(), cpu_seconds: last.0, peak_bytes: last.1 };
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

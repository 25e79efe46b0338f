//! Child processes: signalled by pid, waited for, never left behind.

use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Sends `signal` to `child` and waits for its end.
///
/// # Panics
/// When it is still there after `within`; it is killed then.
pub fn end(child: &mut Child, signal: Signal, within: Duration) -> ExitStatus {
    // An error means that it has ended by itself; the wait below says how.
    let _ = kill_process(Pid::from_child(child), signal);
    wait(child, within)
}

/// Waits for the child's own end.
///
/// # Panics
/// When it is still there after `within`; it is killed then.
pub fn wait(child: &mut Child, within: Duration) -> ExitStatus {
    let deadline = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait().expect("the child is ours to wait for") {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("process {} did not end within {within:?}", child.id());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The direct children of a process, as the kernel lists them now.
pub fn children(pid: u32) -> Vec<Pid> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

/// Waits until these processes run no more; a zombie holds nothing and counts as ended.
///
/// # Panics
/// When one still runs after `within`.
pub fn wait_gone(pids: &[Pid], within: Duration) {
    let deadline = Instant::now() + within;
    while pids.iter().any(|pid| runs(*pid)) {
        assert!(Instant::now() < deadline, "some of {pids:?} still run after {within:?}");
        std::thread::sleep(LOOK_EVERY);
    }
}

fn runs(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    // The state follows the command name, which is in brackets and may hold anything.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z') && !rest.starts_with('X'))
}

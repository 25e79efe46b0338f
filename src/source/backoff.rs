//! How long to wait before the next try: doubling, bounded, jittered.

use ring::rand::{SecureRandom, SystemRandom};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// Between half of the current step and all of it, so that many clients of one server do not come back together.
    pub fn wait(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(LONGEST);
        step.mul_f64(0.5 + 0.5 * fraction())
    }

    /// For what only a person mends but may mend at any time.
    pub fn wait_long(&mut self) -> Duration {
        self.next = LONGEST;
        self.wait()
    }

    pub fn reset(&mut self) {
        self.next = FIRST;
    }
}

fn fraction() -> f64 {
    let mut byte = [0];
    // Without random bytes there is no jitter, which is harmless.
    let _ = SystemRandom::new().fill(&mut byte);
    f64::from(byte[0]) / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_ten_seconds_and_start_over_after_a_reset() {
        let mut backoff = Backoff::default();
        let mut step = FIRST;
        for _ in 0..12 {
            let wait = backoff.wait();
            assert!(wait >= step / 2 && wait <= step, "{wait:?} of {step:?}");
            step = (step * 2).min(LONGEST);
        }
        assert!(backoff.wait_long() >= LONGEST / 2);
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }
}

//! An error that a server gives again and again at the same place of its log will hardly pass by itself: a row that it cannot
//! send, a part of the log that it cannot decode.

use crate::model::checkpoint::Checkpoint;
use crate::model::code;
use crate::model::problem::Problem;

/// Tries that end in the same way, before the source halts. The waits between them add up to about half a minute.
const TRIES: u32 = 10;

/// What the last sessions ended with.
#[derive(Default)]
pub struct Repeated {
    last: Option<(Option<Checkpoint>, String)>,
    times: u32,
}

impl Repeated {
    /// A session ended with this; `streamed`: it had come as far as the log; `reached`: what is durable. Gives why the source is to
    /// halt, if it is. Surprise: what keeps a session from beginning is at no place of the log, and tried for ever: a proxy or a
    /// server in trouble has errors of its own, and they pass.
    pub fn ended(&mut self, problem: &Problem, streamed: bool, reached: Option<Checkpoint>) -> Option<Problem> {
        if !streamed {
            return None;
        }
        if problem.code != code::FAULT_UNKNOWN {
            *self = Self::default();
            return None;
        }
        let now = Some((reached, problem.message.clone()));
        self.times = if self.last == now { self.times.saturating_add(1) } else { 1 };
        self.last = now;
        let message = || format!("{} times at the same place: {}", self.times, problem.message);
        (self.times >= TRIES).then(|| Problem::new(code::ERROR_REPEATED, message()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_unknown_error_at_the_same_place_halts_after_some_tries_and_any_other_counts_anew() {
        let mut repeated = Repeated::default();
        let unknown = Problem::new(code::FAULT_UNKNOWN, "invalid memory alloc request size");
        for _ in 1..TRIES {
            assert_eq!(repeated.ended(&unknown, true, None), None);
        }
        assert_eq!(repeated.ended(&Problem::new(code::SERVER_UNREACHABLE, "gone"), true, None), None);
        for _ in 1..TRIES {
            assert_eq!(repeated.ended(&unknown, true, None), None);
        }
        let other = Problem::new(code::FAULT_UNKNOWN, "another");
        assert_eq!(repeated.ended(&other, true, None), None);
        for _ in 1..TRIES {
            assert_eq!(repeated.ended(&unknown, true, None), None);
        }
        assert_eq!(repeated.ended(&unknown, false, None), None, "it did not come as far as the log");
        let halts = repeated.ended(&unknown, true, None).map(|problem| problem.code);
        assert_eq!(halts, Some(code::ERROR_REPEATED));
    }
}

//! Processor time of one operation.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Odd, so that one is in the middle.
pub const RUNS: usize = 15;
/// Of one run at least: the clock is read twice in it.
const RUN: Duration = Duration::from_millis(10);

pub struct Figure {
    pub name: String,
    pub median_ns: f64,
    pub least_ns: f64,
    pub most_ns: f64,
    pub goal_ns: Option<f64>,
}

impl Figure {
    /// Of what several runs took for one operation, in nanoseconds.
    pub fn of(name: &str, mut runs: Vec<f64>) -> Figure {
        runs.sort_by(f64::total_cmp);
        let at = |place: usize| runs.get(place).copied().unwrap_or(f64::NAN);
        Figure {
            name: name.to_owned(),
            median_ns: at(runs.len() / 2),
            least_ns: at(0),
            most_ns: at(runs.len().saturating_sub(1)),
            goal_ns: None,
        }
    }

    pub fn goal(mut self, ns: f64) -> Figure {
        self.goal_ns = Some(ns);
        self
    }
}

/// Nanoseconds for one operation, of each run.
///
/// # Errors
/// The operation's first.
pub async fn runs(
    mut operation: impl AsyncFnMut() -> Result<(), String>,
) -> Result<Vec<f64>, String> {
    let mut times = 1;
    // The first ones also warm up.
    while spent(times, &mut operation).await? < RUN {
        times *= 2;
    }
    let mut runs = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let spent = spent(times, &mut operation).await?;
        runs.push(spent.as_nanos() as f64 / f64::from(times));
    }
    Ok(runs)
}

async fn spent(
    times: u32,
    operation: &mut impl AsyncFnMut() -> Result<(), String>,
) -> Result<Duration, String> {
    let before = clock();
    for _ in 0..times {
        operation().await?;
    }
    Ok(clock() - before)
}

/// What this thread has spent so far.
fn clock() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(spent.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds)
        + Duration::from_nanos(u64::try_from(spent.tv_nsec).unwrap_or_default())
}

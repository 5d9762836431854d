//! What came of the requests.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::connection::Response;
use crate::options::Options;

pub struct Tally {
    pub started: Instant,
    pub requests: usize,
    took: Vec<Duration>,
    faults: BTreeMap<String, usize>,
    length: Option<u64>,
    at_a_rate: bool,
    seconds: f64,
}

impl Tally {
    pub fn start(options: &Options) -> Tally {
        Tally {
            started: Instant::now(),
            requests: 0,
            took: Vec::with_capacity(options.requests),
            faults: BTreeMap::new(),
            length: options.length,
            at_a_rate: options.interval.is_some(),
            seconds: 0.0,
        }
    }

    pub fn count(&mut self, response: Response) {
        if response.status != 200 {
            self.fault(format!("status {}", response.status));
        } else if self.length.is_some_and(|length| length != response.length) {
            self.fault(format!("content-length {}", response.length));
        } else {
            self.requests += 1;
        }
    }

    pub fn took(&mut self, time: Duration) {
        self.took.push(time);
    }

    /// A request that was not answered as it must be is one all the same.
    pub fn fault(&mut self, what: String) {
        self.requests += 1;
        *self.faults.entry(what).or_default() += 1;
    }

    pub fn end(&mut self) {
        self.seconds = self.started.elapsed().as_secs_f64();
        self.took.sort_unstable();
    }

    pub fn json(&self) -> String {
        let mut text = format!(
            "{{\"requests\": {}, \"seconds\": {:.6}",
            self.requests, self.seconds
        );
        // Without a rate, the faster a server the longer its queue: such latencies say nothing.
        if self.at_a_rate {
            for (name, quantile) in [("p50_us", 0.5), ("p99_us", 0.99)] {
                let place = (self.took.len() as f64 * quantile) as usize;
                if let Some(took) = self.took.get(place) {
                    let micros = took.as_secs_f64() * 1e6;
                    write!(text, ", \"{name}\": {micros:.1}").expect("memory");
                }
            }
        }
        let faults: Vec<_> = self
            .faults
            .iter()
            .map(|(what, count)| format!("{what:?}: {count}"))
            .collect();
        text + &format!(", \"faults\": {{{}}}}}", faults.join(", "))
    }
}

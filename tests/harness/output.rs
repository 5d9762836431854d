//! The lines that a process writes, and the metrics it serves.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines as they come; clones are the same output.
#[derive(Clone, Default)]
pub struct Output(Arc<(Mutex<Lines>, Condvar)>);

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    ended: bool,
}

impl Output {
    /// Reads on a thread of its own until the end.
    pub fn of(stream: impl Read + Send + 'static) -> Output {
        let output = Output::default();
        let writer = output.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader
                .read_until(b'\n', &mut line)
                .is_ok_and(|read| read > 0)
            {
                let text = String::from_utf8_lossy(&line)
                    .trim_end_matches('\n')
                    .to_owned();
                writer.change(|lines| lines.lines.push(text));
                line.clear();
            }
            writer.change(|lines| lines.ended = true);
        });
        output
    }

    fn change(&self, change: impl FnOnce(&mut Lines)) {
        let (lines, changed) = &*self.0;
        change(&mut lines.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_all();
    }

    /// Waits for the first line, old or new, of which `find` makes something. None after `bound`, or
    /// when the output ended without one.
    pub fn find<T>(&self, bound: Duration, mut find: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let started = Instant::now();
        let (lines, changed) = &*self.0;
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = 0;
        loop {
            let fresh = lines.lines.get(seen..).unwrap_or_default();
            if let Some(found) = fresh.iter().find_map(|line| find(line)) {
                return Some(found);
            }
            seen = lines.lines.len();
            let left = bound.saturating_sub(started.elapsed());
            if lines.ended || left.is_zero() {
                return None;
            }
            let waited = changed.wait_timeout(lines, left);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        let (lines, _) = &*self.0;
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.lines.join("\n")
    }

    pub fn lines(&self) -> Vec<String> {
        let (lines, _) = &*self.0;
        lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lines
            .clone()
    }
}

/// The values of all series of this name that have these labels, among others, in an exposition.
pub fn series(exposition: &str, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
    let sample = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let (own, value) = match rest.strip_prefix('{') {
            // The values of labels here are names of the configuration: they have no braces.
            Some(rest) => rest.split_once("} ")?,
            None => ("", rest.strip_prefix(' ')?),
        };
        let own: Vec<&str> = own.split(',').collect();
        let has =
            |(label, value): &(&str, &str)| own.contains(&format!("{label}=\"{value}\"").as_str());
        let value = value.split(' ').next()?.parse().ok()?;
        labels.iter().all(has).then_some(value)
    };
    exposition.lines().filter_map(sample).collect()
}

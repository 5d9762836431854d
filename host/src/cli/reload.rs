//! Replaces the gateway while it serves: on SIGHUP, and when a file that it was built from changed.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::watch::Looks;
use crate::config::{self, Config};
use crate::gateway::{self, BUNDLED, Current, Gateway, Process, Progress, next_start};
use crate::limits;
use crate::observe::{Metrics, Reloaded};
use crate::shortage;

/// One builds at a time, on a thread of its own.
pub struct Reloader {
    /// What the process began with.
    started: Config,
    process: Arc<Process>,
    metrics: Arc<Metrics>,
    current: Arc<Current>,
    /// Whether files are looked at.
    watches: bool,
    /// The files as they were when they were last read, whatever came of it: what was refused is not
    /// refused again each second.
    read: Looks,
    /// As they are since the last look, if that is something else.
    changed: Option<Looks>,
    /// What is tried again by itself, though no file changes.
    again: Option<Again>,
}

/// A reload that failed for want of something that the system may give later.
struct Again {
    at: Instant,
    pause: Duration,
    /// What was said of it, and is not said twice.
    said: String,
}

/// Asks for a reload.
pub struct Wanted(SyncSender<()>);

impl Wanted {
    /// Soon. What is asked for while one is awaited is that one.
    pub fn now(&self) {
        if let Err(TrySendError::Disconnected(())) = self.0.try_send(()) {
            tracing::error!("not reloaded: the thread for it has failed, so restart the gateway");
        }
    }
}

/// Starts the thread. It ends when [`Wanted`] is dropped. Called within the runtime, which the tasks of
/// new gateways run on.
///
/// # Errors
/// If there is no thread for it.
pub fn start(mut reloader: Reloader) -> Result<Wanted, String> {
    // Room for one: while one is being built, a second is remembered, and a third is that second.
    let (wanted, asked) = sync_channel(1);
    let runtime = Handle::current();
    let run = move || {
        let _runtime = runtime.enter();
        reloader.run(&asked);
    };
    let thread = std::thread::Builder::new().name("reload".to_owned());
    let spawned = thread.spawn(run);
    spawned.map_err(|error| format!("cannot start the thread that reloads: {error}"))?;
    Ok(Wanted(wanted))
}

impl Reloader {
    pub fn new(
        started: Config,
        process: &Arc<Process>,
        metrics: &Arc<Metrics>,
        current: &Arc<Current>,
        read: Looks,
    ) -> Self {
        Reloader {
            watches: started.runtime.watch,
            started,
            process: Arc::clone(process),
            metrics: Arc::clone(metrics),
            current: Arc::clone(current),
            read,
            changed: None,
            again: None,
        }
    }

    fn run(&mut self, asked: &Receiver<()>) {
        loop {
            match asked.recv_timeout(limits::WATCH_INTERVAL) {
                Ok(()) => self.reload(),
                Err(RecvTimeoutError::Timeout)
                    if self.watches && (self.has_changed() || self.is_due()) =>
                {
                    self.reload();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.current.drop_unused();
        }
    }

    /// Whether the files have changed since they were read, and not since the last look: what somebody
    /// is still writing is left until it is whole.
    fn has_changed(&mut self) -> bool {
        let now = self.read.again();
        if now == self.read {
            self.changed = None;
            return false;
        }
        let settled = self.changed.as_ref() == Some(&now);
        self.changed = Some(now);
        settled
    }

    /// Whether it is time to try again.
    fn is_due(&self) -> bool {
        self.again
            .as_ref()
            .is_some_and(|again| again.at <= Instant::now())
    }

    fn reload(&mut self) {
        let began = Instant::now();
        let noted = shortage::noted();
        let slow = tokio::spawn(tell_while_slow());
        let previous = self.current.get();
        let built = caught(|| self.build(&previous));
        self.process.tidy();
        slow.abort();
        let (config, gateway) = match built {
            Ok(built) => built,
            Err(problems) => {
                self.refuse(problems, shortage::noted() > noted);
                return;
            }
        };
        self.again = None;
        self.watches = config.runtime.watch;
        if gateway.is_same(&previous) {
            self.metrics.count_reload(Reloaded::Unchanged);
            tracing::info!("not reloaded: nothing has changed");
            return;
        }
        let (kept, policies) = gateway.policies_kept(&previous);
        self.current.replace(gateway);
        self.metrics.count_reload(Reloaded::Applied);
        tracing::info!(policies, kept, "reloaded in {}", took(began.elapsed()));
        warn(&config, &self.current.get().warnings(&config));
        let warnings = next_start(&self.started, &config);
        if !warnings.is_empty() {
            let shown = config.source.render_warnings(&warnings);
            tracing::warn!("restart needed for part of it:\n{}", indented(&shown));
        }
    }

    /// Everything stays as it was. `passes`: because the system was short of something.
    fn refuse(&mut self, problems: String, passes: bool) {
        let before = self.again.take();
        let (first, longest) = limits::RELOAD_AGAIN.into_inner();
        let doubled = before.as_ref().map(|before| 2 * before.pause);
        let is_news = before.is_none_or(|before| before.said != problems);
        let tried_again = passes && self.watches;
        if is_news {
            self.metrics.count_reload(Reloaded::Refused);
            let again = if tried_again {
                ", and it is tried again until the system has what it takes"
            } else {
                ""
            };
            tracing::error!(
                "not reloaded, and everything stays as it was{again}:\n{}",
                indented(&problems)
            );
        }
        if tried_again {
            let pause = doubled.unwrap_or(first).min(longest);
            self.again = Some(Again {
                at: Instant::now() + pause,
                pause,
                said: problems,
            });
        }
    }

    /// Reads everything, and notes what it looked like before.
    fn build(&mut self, previous: &Gateway) -> Result<(Config, Gateway), String> {
        self.changed = None;
        self.read = self.read.again();
        let path = &self.started.file;
        let config = config::load(path, &BUNDLED).map_err(|problems| problems.to_string())?;
        let files = gateway::files(&config);
        // Those that it no longer names are no longer looked at.
        self.read = self.read.of(path).and(files);
        Gateway::build(&config, &self.process, Some(previous), &Progress::default())
            .map(|gateway| (config, gateway))
            .map_err(|problems| problems.to_string())
    }
}

/// Says so for as long as it is not aborted.
async fn tell_while_slow() {
    let mut waited = Duration::ZERO;
    loop {
        tokio::time::sleep(limits::RELOAD_SLOW).await;
        waited += limits::RELOAD_SLOW;
        tracing::warn!("a reload takes long: it has not ended after {waited:?}");
    }
}

/// A panic as a refusal: else it would end the thread, and with it all reloading.
fn caught<T>(build: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let built = std::panic::catch_unwind(AssertUnwindSafe(build));
    built.unwrap_or_else(|_| Err("it failed; this is a bug in tollgate".to_owned()))
}

/// As people say it: whole milliseconds, or tenths of seconds.
fn took(time: Duration) -> String {
    match time.as_millis() {
        milliseconds @ 0..1_000 => format!("{milliseconds} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// Under the line of the log that it belongs to.
pub(super) fn indented(text: &str) -> String {
    let lines = text.trim_end().lines();
    let lines: Vec<String> = lines.map(|line| format!("    {line}")).collect();
    lines.join("\n")
}

/// Logs what is allowed in a configuration and hardly meant.
pub fn warn(config: &Config, warnings: &[config::Problem]) {
    if !warnings.is_empty() {
        let shown = config.source.render_warnings(warnings);
        tracing::warn!("in the configuration:\n{}", indented(&shown));
    }
}

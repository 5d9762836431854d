//! The thread that reloads: one reload at a time, asked for or by itself.

use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::candidate::{Applied, Candidate, Outcome};
use super::{Current, Looks};
use crate::assembly::Process;
use crate::config::{self, Config, Problem, Problems};
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

/// Asks for reloads. The thread ends when the last of these is dropped.
#[derive(Clone)]
pub struct Wanted {
    wakes: SyncSender<()>,
    /// Who hears what comes of the next reload.
    hearers: Hearers,
}

type Hearers = Arc<Mutex<Vec<oneshot::Sender<Arc<Outcome>>>>>;

fn taken(hearers: &Hearers) -> Vec<oneshot::Sender<Arc<Outcome>>> {
    std::mem::take(&mut hearers.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Wanted {
    /// Soon. What is asked for while one is awaited is that one.
    pub fn now(&self) {
        if let Err(TrySendError::Disconnected(())) = self.wakes.try_send(()) {
            tracing::error!("not reloaded: the thread for it has failed, so restart the gateway");
            // Nobody is left to tell them.
            taken(&self.hearers);
        }
    }

    /// The same, and what comes of it: an error if the thread has failed.
    pub fn outcome(&self) -> oneshot::Receiver<Arc<Outcome>> {
        let (tells, hears) = oneshot::channel();
        // Before the thread is woken, which takes all that are here when it begins.
        let mut hearers = self.hearers.lock().unwrap_or_else(PoisonError::into_inner);
        hearers.push(tells);
        drop(hearers);
        self.now();
        hears
    }
}

/// Starts the thread. Called within the runtime, which the tasks of new gateways run on.
///
/// # Errors
/// If there is no thread for it.
pub fn start(mut reloader: Reloader) -> Result<Wanted, String> {
    // Room for one: while one is being built, a second is remembered, and a third is that second.
    let (wakes, asked) = sync_channel(1);
    let hearers = Hearers::default();
    let wanted = Wanted {
        wakes,
        hearers: Arc::clone(&hearers),
    };
    let runtime = Handle::current();
    let run = move || {
        let _runtime = runtime.enter();
        reloader.run(&asked, &hearers);
    };
    let thread = std::thread::Builder::new().name("reload".to_owned());
    let spawned = thread.spawn(run);
    spawned.map_err(|error| format!("cannot start the thread that reloads: {error}"))?;
    Ok(wanted)
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

    fn run(&mut self, asked: &Receiver<()>, hearers: &Hearers) {
        loop {
            match asked.recv_timeout(limits::process::WATCH_INTERVAL) {
                Ok(()) => {
                    let hearers = taken(hearers);
                    let outcome = Arc::new(self.reload());
                    for hearer in hearers {
                        // One that went away hears nothing.
                        let _ = hearer.send(Arc::clone(&outcome));
                    }
                }
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

    fn reload(&mut self) -> Outcome {
        let began = Instant::now();
        let noted = shortage::noted();
        let slow = tokio::spawn(tell_while_slow());
        let previous = self.current.get();
        self.changed = None;
        self.read = self.read.again();
        let built = caught(&self.started, || {
            let file = &self.started.file;
            Candidate::build(file, &self.process, &previous, &mut self.read)
        });
        self.process.tidy();
        slow.abort();
        let candidate = match built {
            Ok(candidate) => candidate,
            Err(problems) => {
                self.refuse(problems.to_string(), shortage::noted() > noted);
                return Outcome::Refused(problems);
            }
        };
        self.again = None;
        self.watches = candidate.config.runtime.watch;
        if candidate.is_same(&previous) {
            self.metrics.count_reload(Reloaded::Unchanged);
            tracing::info!("not reloaded: nothing has changed");
            return Outcome::Unchanged;
        }
        let applied = candidate.apply(&self.current, &self.started, began);
        self.metrics.count_reload(Reloaded::Applied);
        tell(&applied);
        Outcome::Applied(applied)
    }

    /// Everything stays as it was. `passes`: because the system was short of something.
    fn refuse(&mut self, problems: String, passes: bool) {
        let before = self.again.take();
        let (first, longest) = limits::process::RELOAD_AGAIN.into_inner();
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
}

/// Logs what came of it.
fn tell(applied: &Applied) {
    let Applied {
        policies,
        kept,
        took,
        warnings,
        after_restart,
        source,
    } = applied;
    tracing::info!(policies, kept, "reloaded in {}", shown(*took));
    warn(source, warnings);
    if !after_restart.is_empty() {
        let shown = source.render_warnings(after_restart);
        tracing::warn!("restart needed for part of it:\n{}", indented(&shown));
    }
}

/// Says so for as long as it is not aborted.
async fn tell_while_slow() {
    let mut waited = Duration::ZERO;
    loop {
        tokio::time::sleep(limits::process::RELOAD_SLOW).await;
        waited += limits::process::RELOAD_SLOW;
        tracing::warn!("a reload takes long: it has not ended after {waited:?}");
    }
}

/// A panic as a refusal: else it would end the thread, and with it all reloading.
fn caught<T>(started: &Config, build: impl FnOnce() -> Result<T, Problems>) -> Result<T, Problems> {
    let built = std::panic::catch_unwind(AssertUnwindSafe(build));
    built.unwrap_or_else(|_| {
        let bug = Problem::new(None, "it failed; this is a bug in tollgate");
        Err(Problems::new(Arc::clone(&started.source), vec![bug]))
    })
}

/// As people say it: whole milliseconds, or tenths of seconds.
fn shown(time: Duration) -> String {
    match time.as_millis() {
        milliseconds @ 0..1_000 => format!("{milliseconds} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// Under the line of the log that it belongs to.
fn indented(text: &str) -> String {
    let lines = text.trim_end().lines();
    let lines: Vec<String> = lines.map(|line| format!("    {line}")).collect();
    lines.join("\n")
}

/// Logs what is allowed in a configuration and hardly meant.
pub fn warn(source: &config::Source, warnings: &[Problem]) {
    if !warnings.is_empty() {
        let shown = source.render_warnings(warnings);
        tracing::warn!("in the configuration:\n{}", indented(&shown));
    }
}

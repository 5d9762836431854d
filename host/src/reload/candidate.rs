//! What would be served next, and what came of trying.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Current, Looks};
use crate::assembly::{self, Assembly, BUNDLED, Process, Progress, next_start};
use crate::config::{self, Config, Problem, Problems, Source};

/// A configuration that was accepted, and the gateway that was built from it.
pub struct Candidate {
    pub config: Config,
    assembly: Assembly,
}

impl Candidate {
    /// Reads a configuration and builds what it names. `looks` becomes those of its files, as they were before they
    /// were read, so that no change falls between.
    ///
    /// # Errors
    /// All that is wrong with the configuration and what it names.
    pub fn build(
        file: &Path,
        process: &Arc<Process>,
        previous: &Assembly,
        looks: &mut Looks,
    ) -> Result<Candidate, Problems> {
        let config = config::load(file, &BUNDLED)?;
        // Those that it no longer names are no longer looked at.
        *looks = looks.of(file).and(assembly::files(&config));
        let assembly = Assembly::build(&config, process, Some(previous), &Progress::default())?;
        Ok(Candidate { config, assembly })
    }

    /// Whether it would serve as the other does.
    pub fn is_same(&self, previous: &Assembly) -> bool {
        self.assembly.is_same(previous)
    }

    /// Begins every later request with it. `started`: what the process began with; `since`: when it was asked for.
    pub fn apply(self, current: &Current, started: &Config, since: Instant) -> Applied {
        let Candidate { config, assembly } = self;
        let (kept, policies) = assembly.policies_kept(&current.get());
        let warnings = assembly.warnings(&config);
        current.replace(assembly);
        Applied {
            policies,
            kept,
            took: since.elapsed(),
            warnings,
            after_restart: next_start(started, &config),
            source: config.source,
        }
    }
}

/// What came of a reload.
pub enum Outcome {
    /// The files say what is served already.
    Unchanged,
    Applied(Applied),
    /// Everything stays as it was.
    Refused(Problems),
}

/// A reload that took effect.
pub struct Applied {
    pub policies: usize,
    /// How many of them were taken over as they were.
    pub kept: usize,
    pub took: Duration,
    /// What is allowed, and hardly meant.
    pub warnings: Vec<Problem>,
    /// What takes effect only when the process starts again.
    pub after_restart: Vec<Problem>,
    pub source: Arc<Source>,
}

/// An object whose member `outcome` is `unchanged`, `applied` or `refused`.
impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        match self {
            Outcome::Unchanged => object.serialize_entry("outcome", "unchanged")?,
            Outcome::Applied(applied) => {
                let Applied {
                    policies,
                    kept,
                    took,
                    warnings,
                    after_restart,
                    source,
                } = applied;
                object.serialize_entry("outcome", "applied")?;
                object.serialize_entry("policies", policies)?;
                object.serialize_entry("kept", kept)?;
                object.serialize_entry("milliseconds", &took.as_millis())?;
                object.serialize_entry("warnings", &source.placed(warnings))?;
                object.serialize_entry("after-restart", &source.placed(after_restart))?;
            }
            Outcome::Refused(problems) => {
                object.serialize_entry("outcome", "refused")?;
                object.serialize_entry("problems", problems)?;
            }
        }
        object.end()
    }
}

use std::io::Write;
use std::path::Path;

use super::build::{build, counted, read};
use crate::assembly::Purpose;
use crate::observe::LogWriter;

/// `tollgate check`: what `run` would refuse, and what it would serve though it is hardly meant.
pub fn check(path: &Path, log: &LogWriter) -> Result<(), String> {
    let config = read(path)?;
    let built = build(&config, log.lost(), Purpose::Check)?;
    let warnings = built.assembly.warnings(&config);
    let shown = config.source.render_warnings(&warnings);
    if !shown.is_empty() {
        log.write(shown.trim_end().as_bytes());
    }
    let plugins = config.plugins.len();
    let counts = [
        counted(config.routes.len(), "route"),
        counted(config.policies.len(), "policy"),
        counted(plugins, "plugin"),
        counted(config.upstreams.len(), "upstream"),
    ];
    let verdict = match warnings.len() {
        0 => "all is well".to_owned(),
        number => counted(number, "warning"),
    };
    // A closed pipe has nobody to tell.
    let _ = writeln!(
        std::io::stdout(),
        "{}: {}: {verdict}",
        path.display(),
        counts.join(", "),
    );
    Ok(())
}

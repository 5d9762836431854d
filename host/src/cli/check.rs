use std::io::Write;
use std::path::Path;

use crate::gateway::Purpose;
use crate::observe::LogWriter;

/// `tollgate check`: what `run` would refuse, and what it would serve though it is hardly meant.
pub fn check(path: &Path, log: &LogWriter) -> Result<(), String> {
    let config = super::read(path)?;
    let built = super::build(&config, log.lost(), Purpose::Check)?;
    let warnings = built.gateway.warnings(&config);
    let shown = config.source.render_warnings(&warnings);
    if !shown.is_empty() {
        log.write(shown.trim_end().as_bytes());
    }
    let plugins = config.plugins.len();
    let counts = [
        super::counted(config.routes.len(), "route"),
        super::counted(config.policies.len(), "policy"),
        super::counted(plugins, "plugin"),
        super::counted(config.upstreams.len(), "upstream"),
    ];
    let verdict = match warnings.len() {
        0 => "all is well".to_owned(),
        number => super::counted(number, "warning"),
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

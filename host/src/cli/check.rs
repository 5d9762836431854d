use std::io::Write;
use std::path::Path;

use crate::gateway::Purpose;

/// `tollgate check`: everything that `run` would refuse.
pub fn check(path: &Path) -> Result<(), String> {
    let config = super::read(path)?;
    super::build(&config, Purpose::Check)?;
    // A closed pipe has nobody to tell.
    let _ = writeln!(
        std::io::stdout(),
        "{}: {} routes, {} policies, {} plugins, {} upstreams: all is well",
        path.display(),
        config.routes.len(),
        config.policies.len(),
        config.plugins.len(),
        config.upstreams.len()
    );
    Ok(())
}

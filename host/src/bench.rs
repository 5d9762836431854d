//! What the parts of a request cost, measured inside the process: for `benches/micro.rs`, and built with the
//! feature `bench` alone. All parts are those of one gateway, built from a configuration as any other.

mod gateway;
mod parts;
mod timing;

use std::fmt::Write as _;
use std::path::Path;

use timing::Figure;

/// Measures everything, and answers a table in Markdown. Compiled plugins are kept in the folder.
///
/// # Errors
/// If the gateway cannot be built, or a part does not do what it is measured for.
pub fn run(folder: &Path, filter: &Path) -> Result<String, String> {
    let gateway = gateway::build(folder, filter)?;
    let mut table = format!(
        "## Inside the process\n\nProcessor time of the thread for one operation: median [least, most] of {} \
         runs. A lease is an instance for one visit of a policy; the hook that is called reads a header and \
         sets one. A fresh lease without a call makes an instance; after a call it is put back, which is \
         cheaper.\n\n| | ns | goal |\n|---|--:|---|\n",
        timing::RUNS
    );
    for figure in parts::all(&gateway)? {
        row(&mut table, &figure);
    }
    Ok(table)
}

fn row(table: &mut String, figure: &Figure) {
    let goal = figure.goal_ns.map_or(String::new(), |goal| {
        let met = figure.median_ns <= goal;
        format!("{goal:.0}: {}", if met { "met" } else { "**missed**" })
    });
    // Memory is all that it can run out of.
    let _ = writeln!(
        table,
        "| {} | {:.0} [{:.0}, {:.0}] | {goal} |",
        figure.name, figure.median_ns, figure.least_ns, figure.most_ns
    );
}

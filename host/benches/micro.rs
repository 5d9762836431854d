//! `cargo bench --features tollgate/bench --bench micro -- FOLDER FILTER`: what the parts of a request cost, as a
//! table in Markdown. FOLDER holds what it compiles, FILTER is `guest_bench_request.wasm`.

use std::path::Path;
use std::process::ExitCode;

/// The gateway's own: parts of a request are pieces of memory, mostly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // cargo itself adds `--bench`.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let [folder, filter] = arguments.as_slice() else {
        eprintln!("usage: micro FOLDER FILTER");
        return ExitCode::FAILURE;
    };
    match tollgate::bench::run(Path::new(folder), Path::new(filter)) {
        Ok(table) => {
            print!("{table}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

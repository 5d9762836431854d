use std::process::ExitCode;

/// A request allocates some hundred small pieces, and frees them on whatever thread it ends.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tollgate::cli::main()
}

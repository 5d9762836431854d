//! The other side: this program as a compiler. It does one job after the other, and ends with its socket.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use wasmtime::Engine;

use super::{compile, schema, steps};
use crate::limits;
use crate::plugin::engine::compilers::frame::{JobResult, Request};
use crate::plugin::engine::compilers::job::Job;
use crate::plugin::engine::runtime::{self, FunctionCache};

/// Serves the process that holds the other end of standard input and output.
///
/// # Errors
/// What keeps it from beginning, in words for a developer: nobody else starts this.
pub fn serve() -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot compile plugins: {error}");
    // Nobody looks at what a guest made it crash on, and it may be gigabytes.
    lower(Resource::Core, 0).map_err(|error| failed(&error))?;
    // Where the machine has no memory left, this goes before what serves.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let engine = runtime::compiling(&Arc::new(FunctionCache::default()));
    let engine = engine.map_err(|error| failed(&error))?;
    let socket = io::stdin().as_fd().try_clone_to_owned();
    let mut socket = File::from(socket.map_err(|error| failed(&error))?);
    let mut answers = socket.try_clone().map_err(|error| failed(&error))?;

    let at_first = addresses().map_err(|error| failed(&error))?;
    let (sender, jobs) = sync_channel(0);
    // On a thread of its own, so that the end of the other process is seen in the middle of a job.
    let reader = std::thread::Builder::new().spawn(move || {
        while let Ok(request) = Request::read(&mut socket) {
            if sender.send(request).is_err() {
                return;
            }
        }
        std::process::exit(0);
    });
    reader.map_err(|error| failed(&error))?;
    for (job, input) in jobs {
        let done = bounded(job, at_first).and_then(|()| work(&engine, job, input));
        let answer = match done.and_then(within_bounds) {
            Ok(bytes) => JobResult { done: true, bytes },
            Err(text) => JobResult {
                done: false,
                bytes: text.into_bytes(),
            },
        };
        answer.write(&mut answers).map_err(|error| failed(&error))?;
    }
    Ok(())
}

fn work(engine: &Engine, job: Job, input: Vec<u8>) -> Result<Vec<u8>, String> {
    // The libraries panic on some components that they do not expect.
    steps::caught(|| match job {
        Job::Compile | Job::CompileLarge => engine
            .precompile_component(&input)
            .map_err(|error| format!("it does not compile: {error:?}")),
        Job::Componentize => compile::encoded(&input),
        Job::CheckSchema => schema::check(&input),
    })
    .unwrap_or_else(Err)
}

/// What the other side takes.
fn within_bounds(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if bytes.len() > limits::loading::COMPILED_BYTES_MAX {
        let (bytes, most) = (bytes.len(), limits::loading::COMPILED_BYTES_MAX);
        return Err(format!("it becomes {bytes} bytes, of {most} at most"));
    }
    Ok(bytes)
}

/// Holds this process to what the job may take, beside what is left of those before it. `at_first` are the
/// addresses that it began with.
fn bounded(job: Job, at_first: u64) -> Result<(), String> {
    let bounds = job.bounds();
    let failed = |error: io::Error| format!("the compiler cannot be held to its bounds: {error}");
    let left = addresses().map_err(failed)?.saturating_sub(at_first);
    let memory = bounds.memory.saturating_add(left);
    lower(Resource::As, memory).map_err(failed)?;
    let used = clock_gettime(ClockId::ProcessCPUTime).tv_sec;
    let used = Duration::from_secs(u64::try_from(used).unwrap_or(0) + 1);
    lower(Resource::Cpu, (used + bounds.cpu).as_secs()).map_err(failed)
}

/// Sets what counts now, as far as this process may; another job may have another.
fn lower(resource: Resource, to: u64) -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(resource);
    let current = Some(maximum.map_or(to, |maximum| maximum.min(to)));
    Ok(setrlimit(resource, Rlimit { current, maximum })?)
}

/// Addresses that this process has now, in bytes.
fn addresses() -> io::Result<u64> {
    let sizes = std::fs::read_to_string("/proc/self/statm")?;
    let pages = sizes
        .split(' ')
        .next()
        .and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or(io::ErrorKind::InvalidData)?;
    Ok(pages.saturating_mul(rustix::param::page_size() as u64))
}

//! Work on what a plugin hands over that may take any time or memory: compiling its code, making a core
//! module a component, holding a configuration against its schema. It is done by this program in processes
//! of their own, which the kernel holds to bounds, so that neither the time nor the memory nor the stack
//! of the process that serves is at stake.
//!
//! Code comes back through a socket that no other process has, and is deserialised without further proof:
//! it was made by this program, as it would have been here.

pub mod frame;
pub mod job;

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use frame::{JobResult, Request};
use job::{Bounds, Job};

use crate::limits;
use crate::shortage;

/// The verb by which this program is the compiler.
pub const VERB: &str = "compile-plugins";

/// Processes that compile and wait for more. They keep the functions that they compiled, which the
/// configurations of one plugin share.
#[derive(Default)]
pub struct Compilers(Mutex<Vec<Compiler>>);

impl Compilers {
    /// Has a job done, by a process that waits or by a new one. Blocks.
    ///
    /// # Errors
    /// In words for the operator: what is wrong with the input, that it went beyond the bounds, or that
    /// there is no process for it.
    pub fn ask(&self, job: Job, input: &[u8]) -> Result<Vec<u8>, String> {
        let idle = self.idle().pop();
        let alive = idle.and_then(|mut idle| idle.is_alive().then_some(idle));
        let mut compiler = match alive {
            Some(compiler) => compiler,
            None => Compiler::start().map_err(|error| {
                shortage::note_in(&error);
                format!(
                    "{} takes a process of its own, which cannot be started: {error}",
                    job.name()
                )
            })?,
        };
        match compiler.ask(job, input) {
            Ok(answer) => {
                self.idle().push(compiler);
                answer
            }
            Err(error) => Err(compiler.why_failed(job, &error)),
        }
    }

    /// Ends those that wait.
    pub fn dismiss(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Compiler>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One process. It ends when this is dropped, and by itself when this process ends.
struct Compiler {
    process: Child,
    socket: UnixStream,
}

impl Compiler {
    fn start() -> io::Result<Compiler> {
        let (socket, theirs) = UnixStream::pair()?;
        let theirs = OwnedFd::from(theirs);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        // Always the program that runs, even where another has been installed in its place.
        let process = Command::new("/proc/self/exe")
            .arg0("tollgate")
            .arg(VERB)
            // Secrets may be in it.
            .env_clear()
            .env(
                "RAYON_NUM_THREADS",
                threads
                    .min(limits::loading::COMPILE_THREADS_MAX)
                    .to_string(),
            )
            .stdin(theirs.try_clone()?)
            .stdout(theirs)
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Compiler { process, socket })
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    fn ask(&mut self, job: Job, input: &[u8]) -> io::Result<Result<Vec<u8>, String>> {
        let mut timed = Timed {
            socket: &self.socket,
            until: Instant::now() + job.bounds().wall,
        };
        Request { job, input }.write(&mut timed)?;
        let JobResult { done, bytes } = JobResult::read(&mut timed)?;
        if done {
            return Ok(Ok(bytes));
        }
        Ok(Err(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Ends the process, and says what kept it from its answer.
    fn why_failed(mut self, job: Job, error: &io::Error) -> String {
        let bounds = job.bounds();
        let what = match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                // Others had the processor.
                shortage::note();
                format!("takes longer than {} s", bounds.wall.as_secs())
            }
            // It has ended, or is ending.
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                match self.process.wait() {
                    Ok(status) => beyond(status, &bounds).unwrap_or_else(|| {
                        // It says nothing of the input: it had no thread, for example.
                        shortage::note();
                        format!("failed: its process ended ({status})")
                    }),
                    Err(error) => format!("failed: {error}"),
                }
            }
            _ => format!("failed: {error}"),
        };
        let help = match job {
            Job::Compile => ", so say `large = true` if it is meant",
            _ => "",
        };
        format!("{} {what}{help}", job.name())
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The bound that ended the process, if it was one.
fn beyond(status: ExitStatus, bounds: &Bounds) -> Option<String> {
    const SIGABRT: i32 = rustix::process::Signal::ABORT.as_raw();
    const SIGSEGV: i32 = rustix::process::Signal::SEGV.as_raw();
    const SIGBUS: i32 = rustix::process::Signal::BUS.as_raw();
    const SIGKILL: i32 = rustix::process::Signal::KILL.as_raw();
    const SIGXCPU: i32 = rustix::process::Signal::XCPU.as_raw();
    match status.signal()? {
        SIGXCPU => Some(format!(
            "takes more than {} s of processor time",
            bounds.cpu.as_secs()
        )),
        // What cannot be allocated, and what overflows a stack, aborts.
        SIGABRT | SIGSEGV | SIGBUS => Some(format!(
            "takes more than {} MiB of memory, or too much of the stack",
            bounds.memory >> 20
        )),
        SIGKILL => {
            shortage::note();
            let text = "failed: its process was killed, as the kernel does when the machine has no \
                        memory left";
            Some(text.to_owned())
        }
        _ => None,
    }
}

/// A socket until a moment.
struct Timed<'s> {
    socket: &'s UnixStream,
    until: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        Ok(Some(left))
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

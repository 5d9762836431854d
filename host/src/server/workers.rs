//! The threads that serve requests. Each has a reactor of its own and keeps the connections that it was
//! given, so that no request crosses threads: a task that wakes another costs a tenth of one that wakes
//! another thread's, and nothing that a request touches moves between caches.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

/// What a worker is given: made into a future on its own thread, where its sockets then belong.
type Job = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

pub struct Workers(Vec<Worker>);

struct Worker {
    /// Each job holds a connection's permit, which bounds them.
    jobs: mpsc::UnboundedSender<Job>,
    /// Jobs that have not ended.
    load: Arc<AtomicUsize>,
    /// Dropped, it ends the thread.
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Workers {
    /// Starts as many threads; each calls `begin` with its number first.
    ///
    /// # Errors
    /// If one cannot be started, in words for the operator.
    pub fn start(count: usize, begin: fn(usize)) -> Result<Workers, String> {
        let workers = (0..count).map(|index| worker(index, begin));
        let workers: std::io::Result<Vec<Worker>> = workers.collect();
        workers
            .map(Workers)
            .map_err(|error| format!("cannot start the worker threads: {error}"))
    }

    /// Gives a job to the worker that has the fewest.
    pub fn give(
        &self,
        job: impl FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static,
    ) {
        let least = |worker: &&Worker| worker.load.load(Ordering::Relaxed);
        let Some(worker) = self.0.iter().min_by_key(least) else {
            return;
        };
        let load = Load::new(&worker.load);
        // A worker takes jobs for as long as it is here.
        let _ = worker.jobs.send(Box::new(move || {
            let job = job();
            Box::pin(async move {
                job.await;
                drop(load);
            })
        }));
    }

    /// Ends what is still running, within a time.
    pub fn stop(self, within: Duration) {
        let until = std::time::Instant::now() + within;
        let workers = self.0.into_iter();
        let threads: Vec<_> = workers
            .map(|worker| {
                drop(worker.stop);
                worker.thread
            })
            .collect();
        for thread in threads {
            while !thread.is_finished() && std::time::Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                // What panicked there was told there.
                let _ = thread.join();
            }
        }
    }
}

fn worker(index: usize, begin: fn(usize)) -> std::io::Result<Worker> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (jobs, mut given) = mpsc::unbounded_channel::<Job>();
    let (stop, mut stopped) = oneshot::channel();
    let load = Arc::new(AtomicUsize::new(0));
    let thread = std::thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || {
            begin(index);
            runtime.block_on(async move {
                loop {
                    tokio::select! {
                        biased;
                        _ = &mut stopped => break,
                        job = given.recv() => match job {
                            Some(job) => drop(tokio::spawn(job())),
                            None => break,
                        },
                    }
                }
            });
        })?;
    Ok(Worker {
        jobs,
        load,
        stop,
        thread,
    })
}

/// Counts a job for as long as it lives, also if it never starts.
struct Load(Arc<AtomicUsize>);

impl Load {
    fn new(load: &Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        Load(Arc::clone(load))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

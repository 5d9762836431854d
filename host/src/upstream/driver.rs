//! Who moves the bytes of a connection.
//!
//! hyper leaves that to a task of its own for each connection. Two tasks that hand every message back and
//! forth cost as much as parsing it does, so where there is nothing but an answer to wait for, the task
//! that waits for it moves the bytes itself. An upload goes on while its answer is not being read, and
//! does so in a task.

use crate::limits;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use hyper::client::conn::http1::Connection;
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;

use super::socket::Socket;
use crate::http::body::RequestBody;
use crate::pace::Paced;

/// Who keeps connections that nobody waits for.
pub trait Parked: Send + Sync {
    /// Drops those that their server has ended.
    fn drop_ended(&self);
}

type Http1 = Connection<TokioIo<Paced<Socket>>, RequestBody>;

pub enum Driver {
    /// A task of its own.
    Task(Task),
    Here(Box<Here>),
}

pub struct Task {
    handle: AbortHandle,
    /// Shared with the task; none once it has ended.
    connection: Arc<Mutex<Option<Http1>>>,
}

impl Driver {
    pub fn here(connection: Http1, server: Weak<dyn Parked>) -> Self {
        Self::at_rest(Some(connection), server)
    }

    fn at_rest(connection: Option<Http1>, server: Weak<dyn Parked>) -> Self {
        let relay = Arc::new(Relay {
            server,
            state: Mutex::default(),
        });
        Driver::Here(Box::new(Here {
            waker: Arc::clone(&relay).into(),
            connection,
            relay,
        }))
    }

    /// Gives the connection a task of its own.
    pub fn spawn(&mut self) {
        let Driver::Here(here) = self else { return };
        let connection = Arc::new(Mutex::new(here.connection.take()));
        let shared = Arc::clone(&connection);
        let task = tokio::spawn(std::future::poll_fn(move |context| {
            let mut connection = shared.lock().unwrap_or_else(PoisonError::into_inner);
            poll_to_end(&mut connection, context)
        }));
        *self = Driver::Task(Task {
            handle: task.abort_handle(),
            connection,
        });
    }

    /// Takes the connection back from its task, if it has one.
    pub fn recall(&mut self, server: Weak<dyn Parked>) {
        let Driver::Task(task) = self else { return };
        task.handle.abort();
        let connection = task
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        *self = Self::at_rest(connection, server);
    }

    /// Ends the connection's task, if it has one, and the connection with it.
    pub fn abort(&self) {
        if let Driver::Task(task) = self {
            task.handle.abort();
        }
    }

    /// Polls what comes out of the connection, and moves the bytes it needs.
    pub fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        mut out: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        match self {
            Driver::Task(_) => out(context),
            Driver::Here(here) => here.poll(context, out),
        }
    }

    /// Begins an exchange: what wakes the connection from here on is seen by the next poll.
    pub fn begin(&mut self) {
        if let Driver::Here(here) = self {
            here.relay.enter(None);
        }
    }

    /// Lets a connection come to rest that nobody waits for. It then wakes nobody; if something comes on
    /// it, which can only be its end, it is looked at by its server.
    pub fn rest(&mut self) {
        if let Driver::Here(here) = self {
            here.relay.enter(None);
            here.settle();
            here.relay.leave();
        }
    }
}

/// Moves the bytes of a connection, and drops it when it has ended: what waits for something of it is told
/// so by that.
fn poll_to_end(connection: &mut Option<Http1>, context: &mut Context<'_>) -> Poll<()> {
    let Some(open) = connection else {
        return Poll::Ready(());
    };
    let ended = std::task::ready!(Pin::new(open).poll(context));
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to an upstream ended");
    }
    *connection = None;
    Poll::Ready(())
}

/// A connection without a task.
pub struct Here {
    /// Gone once it has ended.
    connection: Option<Http1>,
    relay: Arc<Relay>,
    /// The relay as a waker.
    waker: Waker,
}

impl Here {
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        mut out: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.relay.enter(Some(context.waker()));
        let mut polled = Poll::Pending;
        self.rounds(|inner| {
            polled = out(inner);
            polled.is_ready()
        });
        if self.relay.leave() && polled.is_pending() {
            context.waker().wake_by_ref();
        }
        polled
    }

    fn settle(&mut self) {
        self.rounds(|_| false);
    }

    /// Moves bytes until nothing wakes, or `done`.
    fn rounds(&mut self, mut done: impl FnMut(&mut Context<'_>) -> bool) {
        let mut inner = Context::from_waker(&self.waker);
        for _ in 0..limits::upstream::DRIVER_ROUNDS {
            if done(&mut inner) {
                return;
            }
            let _ = poll_to_end(&mut self.connection, &mut inner);
            if !self.relay.was_woken() {
                return;
            }
        }
        // Not seen to the end: to be polled again.
        self.relay.lock().woken = true;
    }
}

/// Passes on who is to be woken, from outside; what the connection and its reader wake in each other
/// while they are being polled is only noted, since they are polled again at once.
struct Relay {
    server: Weak<dyn Parked>,
    state: Mutex<Waking>,
}

#[derive(Default)]
struct Waking {
    task: Option<Waker>,
    polling: bool,
    woken: bool,
}

impl Relay {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waking> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, task: Option<&Waker>) {
        let mut state = self.lock();
        state.polling = true;
        state.woken = false;
        match (&mut state.task, task) {
            (Some(known), Some(task)) => known.clone_from(task),
            (known, task) => *known = task.cloned(),
        }
    }

    fn was_woken(&self) -> bool {
        std::mem::take(&mut self.lock().woken)
    }

    /// Answers whether there is more to do.
    fn leave(&self) -> bool {
        let mut state = self.lock();
        state.polling = false;
        std::mem::take(&mut state.woken)
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.polling {
            state.woken = true;
            return;
        }
        match state.task.clone() {
            Some(task) => {
                drop(state);
                task.wake();
            }
            None => {
                state.woken = true;
                drop(state);
                if let Some(server) = self.server.upgrade()
                    && let Ok(runtime) = tokio::runtime::Handle::try_current()
                {
                    runtime.spawn(async move { server.drop_ended() });
                }
            }
        }
    }
}

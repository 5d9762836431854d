//! The end of an exchange in time. One timer for all its steps: to set one costs as much as to send a
//! small message does.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};

pub struct Deadline {
    total: Instant,
    first_step: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Deadline {
    /// Ends at `total`; `first_step` is when the first step does.
    pub fn new(total: Instant, first_step: Instant) -> Self {
        Deadline {
            total,
            first_step,
            sleep: Box::pin(tokio::time::sleep_until(first_step.min(total))),
        }
    }

    pub fn first_step(&self) -> Instant {
        self.first_step
    }

    pub fn total(&self) -> Instant {
        self.total
    }

    pub fn is_over(&self) -> bool {
        self.total <= Instant::now()
    }

    /// Waits for the end.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_step(context, self.total)
    }

    /// Waits for the end of a step, or of all.
    pub fn poll_step(&mut self, context: &mut Context<'_>, step: Instant) -> Poll<()> {
        let until = step.min(self.total);
        if self.sleep.deadline() != until {
            self.sleep.as_mut().reset(until);
        }
        ready!(self.sleep.as_mut().poll(context));
        Poll::Ready(())
    }
}

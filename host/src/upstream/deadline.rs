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
        // A timer does not tell while the task has spent its budget, as a peer can have it do for ever.
        if until <= Instant::now() {
            return Poll::Ready(());
        }
        if self.sleep.deadline() != until {
            self.sleep.as_mut().reset(until);
        }
        ready!(self.sleep.as_mut().poll(context));
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Spends what tokio lets a task do before its timers say nothing.
    async fn spend_budget() {
        std::future::poll_fn(|context| {
            let mut spending = std::pin::pin!(tokio::task::consume_budget());
            while spending.as_mut().poll(context).is_ready() {
                spending.set(tokio::task::consume_budget());
            }
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn time_is_told_to_a_task_without_budget() {
        let now = Instant::now();
        let mut past = Deadline::new(now, now);
        let mut step = Deadline::new(now + Duration::from_secs(60), now);
        spend_budget().await;
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(past.poll(&mut context).is_ready());
        assert!(step.poll_step(&mut context, now).is_ready());
        assert!(step.poll(&mut context).is_pending());
    }
}

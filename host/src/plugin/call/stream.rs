//! Bodies that go through a plugin: the sandbox that opened one is leased for as long as it lasts.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::guest_error::{fault_of, report_dropped_log};
use super::hooks::{self, Answer, Hook};
use super::lease::{Visited, arm, give_back, within};
use super::permits::permit;
use super::policy::Policy;
use super::sandbox::Sandbox;
use super::visit::{Visit, unexpected};
use crate::http::inflate::{Inflated, Inflater};
use crate::http::side::Side;
use crate::limits;
use crate::plugin::fault::{Fault, FaultKind};
use crate::quote::one_line;

/// A body's right to go through plugins, beside others that do.
pub struct Streaming {
    _permit: OwnedSemaphorePermit,
}

/// An instance through which one body goes, and no other message. Dropped, it dies.
pub struct Stream {
    policy: Arc<Policy>,
    side: Side,
    /// Gone once the last piece was answered, or a call did not end well.
    held: Option<HeldSandbox>,
}

struct HeldSandbox {
    sandbox: Sandbox,
    // Dropped after the instance that they are for.
    _permits: ([OwnedSemaphorePermit; 2], Streaming),
}

impl Visit<'_> {
    /// Whether the body of this message goes through the plugin: then it has the right to.
    ///
    /// # Errors
    /// The hook's, and if as many bodies go through plugins as may.
    pub async fn open(&mut self, side: Side) -> Result<Option<Streaming>, Fault> {
        let hook = match side {
            Side::Request => Hook::OpenRequest,
            Side::Response => Hook::OpenResponse,
        };
        match self.lease.call(hook).await? {
            Answer::Through(true) => {}
            Answer::Through(false) => return Ok(None),
            _ => return Err(unexpected()),
        }
        let streaming = &self.lease.policy().plugin.spec.grants.streaming;
        match permit(streaming).await {
            Some(_permit) => Ok(Some(Streaming { _permit })),
            None => {
                self.undo();
                Err(Fault::new(
                    FaultKind::Busy,
                    format!(
                        "as many bodies go through plugins as may, and none ended within {:?}",
                        limits::plugin::INSTANCE_WAIT
                    ),
                ))
            }
        }
    }

    /// Ends the visit, and keeps its instance for the body that it opened: the message comes out.
    pub fn end_open(
        self,
        side: Side,
        policy: &Arc<Policy>,
        streaming: Streaming,
    ) -> (Visited, Stream) {
        let (visited, kept) = self.lease.keep(self.started);
        let held = kept.map(|(mut sandbox, permits)| {
            sandbox.store.data_mut().body_of = Some(Arc::clone(&visited.exchange.id));
            HeldSandbox {
                sandbox,
                _permits: (permits, streaming),
            }
        });
        let policy = Arc::clone(policy);
        (visited, Stream { policy, side, held })
    }
}

impl Stream {
    /// Hands the next piece to the plugin, within its bounds, and answers what goes on in its place.
    /// After the last one the instance is free.
    ///
    /// # Errors
    /// The plugin's faults. There is no next call then.
    pub async fn call(&mut self, piece: &[u8], last: bool) -> Result<Bytes, Fault> {
        let mut held = self.held.take().ok_or_else(gone)?;
        let policy = &self.policy;
        let spec = &policy.plugin.spec;
        let _running = policy.plugin.runtime.clock.run();
        arm(&mut held.sandbox.store, spec.cpu);
        let Sandbox {
            store, instance, ..
        } = &mut held.sandbox;
        let calling = hooks::chunk(&policy.exports, store, instance, self.side, piece, last);
        let called = within(spec.wall, calling).await;
        let state = held.sandbox.store.data_mut();
        let answer = match called {
            Some(Ok(Ok(answer))) => answer,
            Some(Ok(Err(text))) => {
                report_dropped_log(state);
                return Err(Fault::new(FaultKind::Error, one_line(&text)));
            }
            Some(Err(error)) => return Err(fault_of(&error, state, spec.cpu)),
            None => {
                let text = format!("the call took longer than {:?} (`limits.wall`)", spec.wall);
                return Err(Fault::new(FaultKind::Wall, text));
            }
        };
        report_dropped_log(state);
        if answer.len() > limits::plugin::STREAM_ANSWER_BYTES_MAX {
            let text = format!(
                "the answer to one piece has {} bytes; at most {} are taken",
                answer.len(),
                limits::plugin::STREAM_ANSWER_BYTES_MAX
            );
            return Err(Fault::new(FaultKind::BadReply, text));
        }
        if last {
            state.body_of = None;
            give_back(policy, held.sandbox).await;
        } else {
            self.held = Some(held);
        }
        Ok(answer.into())
    }

    /// Undoes the content encoding of as much as `inflater` has, or as fills `decoded`. What that costs
    /// depends on the body alone, whoever wrote it, so it is held to the processor time of a call.
    ///
    /// # Errors
    /// The inner one says that the encoding is broken.
    pub async fn inflate(
        &mut self,
        inflater: &mut Inflater,
        decoded: &mut Vec<u8>,
    ) -> Result<Result<Inflated, String>, Fault> {
        let cpu = self.policy.plugin.spec.cpu;
        let held = self.held.as_mut().ok_or_else(gone)?;
        arm(&mut held.sandbox.store, cpu);
        let meter = &mut held.sandbox.store.data_mut().cpu;
        loop {
            let inflated = match inflater.step(decoded) {
                Ok(inflated) => inflated,
                Err(text) => return Ok(Err(text)),
            };
            if inflated != Inflated::Some {
                return Ok(Ok(inflated));
            }
            if meter.judge().is_err() {
                let text = format!("undoing the content encoding took more than {cpu:?}");
                return Err(Fault::new(FaultKind::Cpu, text));
            }
            meter.waits();
            tokio::task::consume_budget().await;
            meter.goes_on();
        }
    }
}

fn gone() -> Fault {
    Fault::new(FaultKind::Instantiate, "the instance is gone")
}

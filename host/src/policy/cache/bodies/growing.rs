//! Bodies that are read while they are fetched.
//!
//! One task, the pump, fills such a body; the client that asked first and all followers read it. While it may
//! still be stored all of it is kept, and neither a slow reader nor one that left holds it up. Once it is
//! known to be too large only a window is kept, and the slowest reader sets the pace: a reader that hardly
//! moves while others wait is cut off.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::object::{Room, Stored};
use crate::http::body::again;
use crate::limits::cache::{PACE_BYTES, RECEIVED_OVERHEAD_BYTES, WINDOW_BYTES};

/// A body on its way.
pub struct Growing {
    state: Mutex<Growth>,
    /// Its full length, if the head stated it.
    expected: Option<u64>,
}

#[derive(Default)]
struct Growth {
    pieces: VecDeque<Piece>,
    /// How many bytes have arrived.
    length: u64,
    /// The cost of `pieces`, in bytes.
    kept: usize,
    /// Each reader's position, by its number.
    readers: HashMap<u64, Reach>,
    /// Readers that have everything so far, by their numbers.
    waiting: HashMap<u64, Waker>,
    next_reader: u64,
    pump: Option<Waker>,
    /// It will not be stored: pieces are dropped once all readers have them.
    window: bool,
    /// The reservation for what is kept, until that fits the window.
    room: Option<Room>,
    end: Option<Result<(), io::Error>>,
    /// The whole body once it is stored; `pieces` is empty then.
    stored: Option<Arc<Stored>>,
}

/// A reader's position now, and when its pace began to count.
struct Reach {
    at: u64,
    mark: u64,
}

struct Piece {
    start: u64,
    data: Bytes,
    /// How many readers have yet to take it.
    due: usize,
}

/// What the pump may do.
pub enum Leave {
    Read,
    /// Read, but there is no reader.
    ReadAlone,
    Wait,
    /// Wait for a reader that other readers wait for too.
    WaitForSlowest,
    Stop,
}

impl Growing {
    pub fn new(expected: Option<u64>, room: Room) -> Arc<Growing> {
        let state = Growth {
            room: Some(room),
            ..Growth::default()
        };
        Arc::new(Growing {
            state: Mutex::new(state),
            expected,
        })
    }

    pub fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// Returns a reader from the beginning; `None` once the beginning is gone or the body broke off.
    pub fn subscribe(self: &Arc<Self>) -> Option<BodyReader> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let gone = match state.pieces.front() {
            Some(piece) => piece.start > 0,
            None => state.length > 0 && state.stored.is_none(),
        };
        if gone || matches!(state.end, Some(Err(_))) {
            return None;
        }
        state.pieces.iter_mut().for_each(|piece| piece.due += 1);
        state.next_reader += 1;
        let number = state.next_reader;
        // The pump is no longer alone.
        let pump = state.pump.take_if(|_| state.readers.is_empty());
        state.readers.insert(number, Reach { at: 0, mark: 0 });
        drop(guard);
        pump.into_iter().for_each(Waker::wake);
        Some(BodyReader {
            number,
            growing: Arc::clone(self),
            at: 0,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Growth> {
        // No code here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what the pump may do now; the pump is woken when that may have changed.
    pub fn leave(&self, context: &Context<'_>) -> Leave {
        let mut state = self.lock();
        state.pump = Some(context.waker().clone());
        match (state.window, state.readers.is_empty()) {
            (true, true) => Leave::Stop,
            (true, false) if !state.is_full() => Leave::Read,
            (true, false) if state.waiting.is_empty() => Leave::Wait,
            (true, false) => Leave::WaitForSlowest,
            (false, true) => Leave::ReadAlone,
            (false, false) => Leave::Read,
        }
    }

    /// Starts measuring the pace of each reader.
    pub fn mark_places(&self) {
        let mut state = self.lock();
        state
            .readers
            .values_mut()
            .for_each(|place| place.mark = place.at);
    }

    /// Cuts off readers that hardly moved while others waited for them. A reader that has everything so far
    /// held up no other.
    pub fn break_off_idle(&self) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let length = state.length;
        let idle = |place: &Reach| place.at < length && place.at - place.mark < PACE_BYTES;
        let gone: Vec<u64> = state
            .readers
            .extract_if(|_, place| idle(place))
            .map(|(_, place)| place.at)
            .collect();
        for at in gone {
            let next = state.pieces.partition_point(|piece| piece.start < at);
            for piece in state.pieces.range_mut(next..) {
                piece.due -= 1;
            }
        }
        state.trim();
    }

    /// Reserves room to keep this piece too; returns whether there was any.
    pub fn reserve(&self, data: &Bytes) -> bool {
        let mut state = self.lock();
        let bytes = (state.kept + cost(data)) as u64;
        state.room.as_mut().is_some_and(|room| room.grow_to(bytes))
    }

    pub fn push(&self, data: Bytes) {
        let mut state = self.lock();
        let (start, due) = (state.length, state.readers.len());
        state.length += data.len() as u64;
        if due > 0 || !state.window {
            state.kept += cost(&data);
            state.pieces.push_back(Piece { start, data, due });
        }
        wake(state);
    }

    pub fn keep_only_window(&self) {
        let mut state = self.lock();
        state.window = true;
        state.trim();
    }

    /// Returns the whole body and its room; `None` if it is not to be stored.
    pub fn received(&self) -> Option<(Vec<Bytes>, Room)> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let room = state.room.take_if(|_| !state.window)?;
        let pieces = state.pieces.iter();
        Some((pieces.map(|piece| piece.data.clone()).collect(), room))
    }

    /// Marks the body complete: readers go on in its stored form.
    pub fn end_stored(&self, stored: Arc<Stored>) {
        let mut state = self.lock();
        state.length = stored.length();
        state.pieces = VecDeque::new();
        state.stored = Some(stored);
        state.end = Some(Ok(()));
        wake(state);
    }

    pub fn end(&self, result: Result<(), io::Error>) {
        let mut state = self.lock();
        state.end.get_or_insert(result);
        state.window = true;
        state.trim();
        wake(state);
    }
}

/// Releases the lock and wakes all waiting readers.
fn wake(mut state: MutexGuard<'_, Growth>) {
    let waiting = std::mem::take(&mut state.waiting);
    drop(state);
    waiting.into_values().for_each(Waker::wake);
}

/// Returns the cost of keeping a piece, in bytes.
fn cost(data: &Bytes) -> usize {
    data.len() + RECEIVED_OVERHEAD_BYTES
}

impl Growth {
    /// Whether the slowest reader must take a piece before more can be kept.
    fn is_full(&self) -> bool {
        self.window && self.kept >= WINDOW_BYTES
    }

    /// Drops the pieces that every reader has, and the room once it is no longer needed.
    fn trim(&mut self) {
        if !self.window {
            return;
        }
        while self.pieces.front().is_some_and(|piece| piece.due == 0) {
            let piece = self.pieces.pop_front();
            self.kept -= piece.map_or(0, |piece| cost(&piece.data));
        }
        if !self.is_full() {
            self.pieces.shrink_to(2 * self.pieces.len());
            self.room = None;
        }
    }
}

/// A reader of a growing body, from its beginning.
pub struct BodyReader {
    number: u64,
    growing: Arc<Growing>,
    at: u64,
}

impl BodyReader {
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let mut guard = self.growing.lock();
        let state = &mut *guard;
        if let Some(stored) = &state.stored {
            let data = stored.from(self.at);
            self.at += data.len() as u64;
            return Poll::Ready((!data.is_empty()).then_some(Ok(data)));
        }
        let Some(place) = state.readers.get_mut(&self.number) else {
            // Broken off.
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        };
        let next = state.pieces.partition_point(|piece| piece.start < self.at);
        if let Some(piece) = state.pieces.get_mut(next) {
            let data = piece.data.clone();
            piece.due -= 1;
            self.at += data.len() as u64;
            place.at = self.at;
            state.trim();
            let pump = state.pump.take_if(|_| state.window);
            drop(guard);
            pump.into_iter().for_each(Waker::wake);
            return Poll::Ready(Some(Ok(data)));
        }
        match &state.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(again(error)))),
            None => {
                state.waiting.insert(self.number, context.waker().clone());
                // From now on a reader waits for the slowest.
                let is_full = state.is_full();
                let pump = state.pump.take_if(|_| is_full);
                drop(guard);
                pump.into_iter().for_each(Waker::wake);
                Poll::Pending
            }
        }
    }

    /// Returns how many bytes are left, if known.
    pub fn left(&self) -> Option<u64> {
        Some(self.growing.expected?.saturating_sub(self.at))
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        let mut guard = self.growing.lock();
        let state = &mut *guard;
        state.waiting.remove(&self.number);
        if state.readers.remove(&self.number).is_none() {
            return;
        }
        let next = state.pieces.partition_point(|piece| piece.start < self.at);
        for piece in state.pieces.range_mut(next..) {
            piece.due -= 1;
        }
        state.trim();
        let pump = state.pump.take();
        drop(guard);
        pump.into_iter().for_each(Waker::wake);
    }
}

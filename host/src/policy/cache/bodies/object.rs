//! Complete bodies, and the room for growing ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::limits::cache::{COPIED_BYTES, PIECE_BYTES, RECEIVED_OVERHEAD_BYTES};

/// A complete body: pieces of [`PIECE_BYTES`], the last one shorter. They hold no memory beyond their bytes,
/// unlike slices of a connection's buffer.
#[derive(Debug, Default)]
pub struct Stored {
    pieces: Vec<Bytes>,
    length: u64,
    /// Its part of the budget, held even while it is only sent and no longer stored. `None` if it is empty.
    _room: Option<Reservation>,
}

impl Stored {
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns its cost in bytes.
    pub fn bytes(&self) -> u64 {
        self.length + (self.pieces.len() * RECEIVED_OVERHEAD_BYTES) as u64
    }

    /// Returns the rest of the piece that contains byte `at`; empty at the end.
    pub fn from(&self, at: u64) -> Bytes {
        let piece = usize::try_from(at / PIECE_BYTES as u64).unwrap_or(usize::MAX);
        let within = (at % PIECE_BYTES as u64) as usize;
        match self.pieces.get(piece) {
            Some(piece) if within < piece.len() => piece.slice(within..),
            _ => Bytes::new(),
        }
    }

    /// Copies the received pieces, yielding to other tasks after each piece.
    pub async fn copy(received: &[Bytes], room: Room) -> Stored {
        let length: usize = received.iter().map(Bytes::len).sum();
        if let [only] = received
            && is_copied(length)
        {
            return Stored::of(vec![only.clone()], length, room);
        }
        let mut pieces = Vec::with_capacity(length.div_ceil(PIECE_BYTES));
        let mut left = length;
        let mut piece = Vec::with_capacity(left.min(PIECE_BYTES));
        for mut bytes in received.iter().cloned() {
            while !bytes.is_empty() {
                let room = (PIECE_BYTES - piece.len()).min(bytes.len());
                piece.extend_from_slice(&bytes.split_to(room));
                if piece.len() == PIECE_BYTES {
                    left -= piece.len();
                    let next = Vec::with_capacity(left.min(PIECE_BYTES));
                    pieces.push(std::mem::replace(&mut piece, next).into());
                    tokio::task::yield_now().await;
                }
            }
        }
        if !piece.is_empty() {
            pieces.push(piece.into());
        }
        Stored::of(pieces, length, room)
    }

    fn of(pieces: Vec<Bytes>, length: usize, room: Room) -> Stored {
        let mut stored = Stored {
            pieces,
            length: length as u64,
            _room: None,
        };
        let mut room = room.body;
        room.shrink_to(stored.bytes());
        stored._room = Some(room);
        stored
    }
}

/// Whether [`receive`] copies a piece of this length.
fn is_copied(length: usize) -> bool {
    length <= COPIED_BYTES
}

/// Returns a piece as it is kept until the body is complete. A piece is a slice of its read buffer, so a
/// small one would hold far more memory than is counted for it.
pub fn receive(data: Bytes) -> Bytes {
    if is_copied(data.len()) {
        Bytes::copy_from_slice(&data)
    } else {
        data
    }
}

/// The bytes that all bodies together may hold.
#[derive(Debug)]
pub struct Budgets {
    /// For bodies on their way into the store.
    filling: Arc<Budget>,
    /// For these, stored bodies, and bodies no longer stored but still read.
    bodies: Arc<Budget>,
}

impl Budgets {
    pub fn new(stored: u64, filling: u64) -> Budgets {
        Budgets {
            filling: Budget::new(filling),
            bodies: Budget::new(stored.saturating_add(filling)),
        }
    }

    pub fn reserve(&self, bytes: u64) -> Option<Room> {
        Some(Room {
            filling: self.filling.reserve(bytes)?,
            body: self.bodies.reserve(bytes)?,
        })
    }
}

/// A growing body's part of both budgets.
#[derive(Debug)]
pub struct Room {
    filling: Reservation,
    body: Reservation,
}

impl Room {
    /// Grows both parts to this size, if there is room.
    pub fn grow_to(&mut self, bytes: u64) -> bool {
        self.filling.grow_to(bytes) && self.body.grow_to(bytes)
    }
}

#[derive(Debug)]
struct Budget {
    left: AtomicU64,
}

impl Budget {
    fn new(bytes: u64) -> Arc<Budget> {
        Arc::new(Budget {
            left: AtomicU64::new(bytes),
        })
    }

    fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let mut reservation = Reservation {
            budget: Arc::clone(self),
            bytes: 0,
        };
        reservation.grow_to(bytes).then_some(reservation)
    }
}

/// A part of the budget, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reservation {
    /// Grows it to at least this size, if there is room.
    pub fn grow_to(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let left = &self.budget.left;
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(more)
        });
        if taken.is_ok() {
            self.bytes += more;
        }
        taken.is_ok()
    }

    pub fn shrink_to(&mut self, bytes: u64) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.budget.left.fetch_add(less, Ordering::Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

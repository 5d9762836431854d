//! Bodies that are held whole, for plugins that read or replace them: one account for the whole process.
//!
//! It counts allocated memory, for as long as any part of the body is referenced: also while a peer is slow
//! to take it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// How much memory is held, and how much may be.
#[derive(Debug)]
pub struct HeldBodies {
    /// In bytes.
    most: u64,
    now: AtomicU64,
}

impl HeldBodies {
    pub fn new(most: u64) -> Arc<HeldBodies> {
        Arc::new(HeldBodies {
            most,
            now: AtomicU64::new(0),
        })
    }

    /// Returns how many bytes are held now.
    pub fn bytes(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// Begins counting a body of which nothing is held yet.
    pub fn begin(self: &Arc<Self>) -> Held {
        Held {
            all: Arc::clone(self),
            bytes: 0,
        }
    }

    /// Holds a complete body; `None` if there is no room for it.
    pub fn keep(self: &Arc<Self>, body: Vec<u8>) -> Option<Bytes> {
        let mut held = self.begin();
        let fits = held.grow_to(body.capacity());
        fits.then(|| held.around(body.into()))
    }
}

/// The count of one body.
#[derive(Debug)]
pub struct Held {
    all: Arc<HeldBodies>,
    bytes: u64,
}

impl Held {
    /// Raises the count to this many bytes. Returns false, and leaves the count, if there is no room.
    #[must_use]
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let more = (bytes as u64).saturating_sub(self.bytes);
        let add = |now: u64| now.checked_add(more).filter(|sum| *sum <= self.all.most);
        let added = more == 0
            || self
                .all
                .now
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
                .is_ok();
        if added {
            self.bytes += more;
        }
        added
    }

    /// Returns the body, counted until its last part is dropped.
    pub fn around(self, body: Bytes) -> Bytes {
        Bytes::from_owner(Owner { body, _held: self })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.now.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Owner {
    body: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted_until_its_last_part_goes() {
        let all = HeldBodies::new(100);
        let whole = all.keep(vec![1; 60]).expect("room");
        assert_eq!(all.bytes(), 60);
        assert_eq!(all.keep(vec![1; 41]), None);
        let mut other = all.begin();
        assert!(other.grow_to(30) && other.grow_to(20) && !other.grow_to(41) && other.grow_to(40));
        assert_eq!(all.bytes(), 100);
        let part = whole.slice(59..);
        drop((whole, other));
        assert_eq!((all.bytes(), &part[..]), (60, &[1][..]));
        drop(part);
        assert_eq!(all.bytes(), 0);
        // Room that is asked for counts, not what is in it.
        let mut roomy = Vec::with_capacity(50);
        roomy.push(1);
        let roomy = all.keep(roomy);
        assert!(roomy.is_some() && all.bytes() >= 50);
    }
}

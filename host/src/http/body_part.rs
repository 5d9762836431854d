//! The part of a body that has arrived.

use std::sync::Arc;

use bytes::Bytes;

use super::body_budget::{Held, HeldBodies};

/// The beginning of a body. A sender may send each byte as a piece of its own, so pieces are joined as they
/// arrive, each copied once or twice.
#[derive(Default)]
pub(super) struct Gathered {
    first: Bytes,
    /// All pieces joined, the first included, once there is a second.
    all: Vec<u8>,
    /// The count of its bytes, if it is held whole.
    held: Option<Held>,
}

impl Gathered {
    pub fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn push(&mut self, data: Bytes) {
        if self.is_empty() {
            self.first = data;
            return;
        }
        let first = std::mem::take(&mut self.first);
        self.all.extend_from_slice(&first);
        self.all.extend_from_slice(&data);
    }

    /// As [`Gathered::push`], for a body that is held whole and has at most `most` bytes. A piece that waits
    /// for more is copied, so that a few bytes do not hold their whole read buffer. Returns false if there is
    /// no room for it; it is kept all the same.
    #[must_use]
    pub fn push_held(
        &mut self,
        data: Bytes,
        more: bool,
        most: usize,
        all: &Arc<HeldBodies>,
    ) -> bool {
        let length = self.len() + data.len();
        let held = self.held.get_or_insert_with(|| all.begin());
        if !more && length == data.len() {
            let fits = held.grow_to(length);
            self.first = data;
            return fits;
        }
        let mut fits = true;
        if self.all.capacity() < length {
            let room = (2 * self.all.capacity()).min(most).max(length);
            fits = held.grow_to(room);
            self.all.reserve_exact(room - self.all.len());
        }
        let first = std::mem::take(&mut self.first);
        self.all.extend_from_slice(&first);
        self.all.extend_from_slice(&data);
        fits
    }

    pub fn take(&mut self) -> Option<Bytes> {
        let whole = self.join();
        self.first = Bytes::new();
        (!whole.is_empty()).then_some(whole)
    }

    /// Joins everything into one piece, and keeps it.
    pub fn join(&mut self) -> Bytes {
        if !self.all.is_empty() {
            self.first = std::mem::take(&mut self.all).into();
        }
        if let Some(held) = self.held.take() {
            self.first = held.around(std::mem::take(&mut self.first));
        }
        self.first.clone()
    }
}

impl From<Bytes> for Gathered {
    fn from(first: Bytes) -> Self {
        Gathered {
            first,
            ..Gathered::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_put_together_in_order() {
        let mut read = Gathered::default();
        assert_eq!(read.take(), None);
        for piece in ["a", "", "bc", "d"] {
            read.push(Bytes::from(piece));
        }
        assert_eq!(read.len(), 4);
        assert_eq!(read.join(), "abcd");
        read.push(Bytes::from("e"));
        assert_eq!(read.join(), "abcde");
        assert_eq!(read.take().as_deref(), Some(&b"abcde"[..]));
        assert!(read.is_empty());
    }

    #[test]
    fn what_is_held_is_counted_as_the_room_that_it_has() {
        let all = HeldBodies::new(1_000);
        let mut read = Gathered::default();
        // One byte after the other, of which each would be a buffer.
        for _ in 0..300 {
            assert!(read.push_held(Bytes::from_static(b"a"), true, 400, &all));
        }
        assert!((300..=400).contains(&all.bytes()), "{}", all.bytes());
        assert!(read.push_held(Bytes::from(vec![b'b'; 100]), false, 400, &all));
        assert_eq!(all.bytes(), 400);
        let whole = read.join();
        assert_eq!((whole.len(), whole[300]), (400, b'b'));
        drop(read);
        assert_eq!(all.bytes(), 400);
        drop(whole);
        assert_eq!(all.bytes(), 0);
        // There is no room, and nothing is lost.
        let mut read = Gathered::default();
        assert!(read.push_held(Bytes::from(vec![1; 600]), true, 2_000, &all));
        assert!(!read.push_held(Bytes::from(vec![2; 600]), true, 2_000, &all));
        assert_eq!(read.take().map(|whole| whole.len()), Some(1_200));
        assert_eq!(all.bytes(), 0);
    }
}

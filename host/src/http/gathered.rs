//! The part of a body that is here.

use bytes::{Bytes, BytesMut};

/// The beginning of a body. A sender may cut it into as many pieces as it has bytes, so pieces are put
/// together as they come, each copied once or twice.
#[derive(Default)]
pub(super) struct Gathered {
    first: Bytes,
    /// What came after the first piece, which is then at its beginning.
    all: BytesMut,
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

    pub fn take(&mut self) -> Option<Bytes> {
        let whole = self.join();
        self.first = Bytes::new();
        (!whole.is_empty()).then_some(whole)
    }

    /// Makes one piece of all, which stays.
    pub fn join(&mut self) -> Bytes {
        if !self.all.is_empty() {
            self.first = self.all.split().freeze();
        }
        self.first.clone()
    }
}

impl From<Bytes> for Gathered {
    fn from(first: Bytes) -> Self {
        Gathered {
            first,
            all: BytesMut::new(),
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
}

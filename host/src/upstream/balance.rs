//! Weighted round-robin.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Server indices in the order in which they take turns.
#[derive(Debug)]
pub struct Rotation {
    turns: Vec<u16>,
    next: AtomicUsize,
}

impl Rotation {
    /// One round in which each server has as many turns as its weight says, spread evenly (the
    /// smooth weighted round-robin of nginx). Weights are divided by what they have in common.
    pub fn new(weights: &[u32]) -> Self {
        let common = weights.iter().copied().fold(0, gcd).max(1);
        let weights: Vec<i64> = weights
            .iter()
            .map(|weight| i64::from(weight / common))
            .collect();
        let total: i64 = weights.iter().sum();
        let mut current = vec![0; weights.len()];
        let turns = (0..total)
            .map(|_| {
                for (value, weight) in current.iter_mut().zip(&weights) {
                    *value += weight;
                }
                let mut best = 0;
                for (index, value) in current.iter().enumerate() {
                    if *value > current[best] {
                        best = index;
                    }
                }
                current[best] -= total;
                u16::try_from(best).unwrap_or(0)
            })
            .collect();
        Rotation {
            turns,
            next: AtomicUsize::new(0),
        }
    }

    /// Whose turn it is.
    pub fn next(&self) -> usize {
        if self.turns.len() <= 1 {
            return 0;
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.turns.len();
        usize::from(self.turns[turn])
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(weights: &[u32], turns: usize) -> Vec<usize> {
        let rotation = Rotation::new(weights);
        (0..turns).map(|_| rotation.next()).collect()
    }

    #[test]
    fn equal_weights_take_turns() {
        assert_eq!(round(&[1, 1, 1], 6), [0, 1, 2, 0, 1, 2]);
        assert_eq!(round(&[500, 500], 4), [0, 1, 0, 1]);
        assert_eq!(round(&[7], 3), [0, 0, 0]);
    }

    #[test]
    fn weights_are_spread_evenly() {
        assert_eq!(round(&[5, 1, 1], 7), [0, 0, 1, 0, 2, 0, 0]);
    }
}

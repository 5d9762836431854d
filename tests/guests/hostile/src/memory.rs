//! The linear memory as WebAssembly's own instructions see it. Natively there is none: that build
//! only serves clippy and the editor.

pub const PAGE: usize = 64 * 1024;

#[cfg(target_family = "wasm")]
mod backing {
    use core::arch::wasm32;

    pub fn pages() -> usize {
        wasm32::memory_size::<0>()
    }

    /// Adds pages; the old size in pages, or `None` if refused.
    pub fn grow(pages: usize) -> Option<usize> {
        match wasm32::memory_grow::<0>(pages) {
            usize::MAX => None,
            old => Some(old),
        }
    }

    pub fn trap() -> ! {
        wasm32::unreachable()
    }
}

#[cfg(not(target_family = "wasm"))]
mod backing {
    pub fn pages() -> usize {
        0
    }

    pub fn grow(_: usize) -> Option<usize> {
        None
    }

    pub fn trap() -> ! {
        std::process::abort()
    }
}

pub use backing::{grow, pages, trap};

/// Leaves this much of the heap free, and the memory as large as that takes. Whoever then counts or
/// uses up the memory's pages leaves room for what the SDK does after `configure`.
pub fn reserve_heap() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(4 * PAGE)));
}

/// Grows the memory as far as it goes.
pub fn fill() {
    let mut step = 65_536;
    while step > 0 {
        if grow(step).is_none() {
            step /= 2;
        }
    }
}

/// Allocates and writes until an allocation is refused; how many KiB it got. Leaves the last two
/// chunks free, so that there is room to tell.
pub fn exhaust_heap() -> usize {
    const CHUNK: usize = PAGE;
    let mut chunks = Vec::new();
    // What the list itself needs is had in advance, since pushing cannot be refused.
    if chunks.try_reserve_exact(65_536).is_err() {
        return 0;
    }
    while chunks.len() < chunks.capacity() {
        let mut chunk = Vec::<u8>::new();
        if chunk.try_reserve_exact(CHUNK).is_err() {
            break;
        }
        chunk.resize(CHUNK, 0xA5);
        chunks.push(std::hint::black_box(chunk));
    }
    let got = chunks.len() * CHUNK / 1024;
    chunks.truncate(chunks.len().saturating_sub(2));
    std::mem::forget(chunks);
    got
}

//! The isolation probe. Each call first looks for anything that an earlier call left behind, then
//! leaves a marker wherever a guest can write.
//!
//! The marker never stands in memory before a call plants it: it is the exclusive or of two keys, made
//! word by word in locals. A probe that found its own constant would always find a leak.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::memory::{self, PAGE};

const WORDS: usize = 4;
const WORD: usize = size_of::<u64>();
const KEY_A: [u64; WORDS] = [
    0x9e37_79b9_7f4a_7c15,
    0xbf58_476d_1ce4_e5b9,
    0x94d0_49bb_1331_11eb,
    0x2545_f491_4f6c_dd1d,
];
const KEY_B: [u64; WORDS] = [
    0xd6e8_feb8_6659_fd93,
    0xa076_1d64_78bd_642f,
    0xe703_7ed1_a0b4_28db,
    0x8ebc_6af0_9c88_c6e3,
];

/// Pages of the heap that one call fills, and pages that it adds to the memory.
const HEAP_PAGES: usize = 3;
const GROWN_PAGES: usize = 2;

/// How large the memory is when `configure` is over.
static PAGES: AtomicUsize = AtomicUsize::new(0);
static PLANTED: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];
static CALLS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static LOCAL_CALLS: Cell<u32> = const { Cell::new(0) };
}

/// One word of the marker. The keys pass through `black_box`, or the compiler would do the exclusive
/// or itself and put the marker among the constants.
#[inline(always)]
fn word(index: usize) -> u64 {
    black_box(KEY_A[index]) ^ black_box(KEY_B[index])
}

/// To be called at the end of `configure`: what is there now is what each call shall find.
pub fn prepare() {
    memory::reserve_heap();
    PAGES.store(memory::pages(), Ordering::Relaxed);
}

/// `clean`, or `found` and where.
pub fn probe() -> String {
    let pages = memory::pages();
    let in_memory = count_markers(pages);
    let calls = CALLS.load(Ordering::Relaxed);
    let local_calls = LOCAL_CALLS.get();
    let planted = (0..WORDS).any(|index| PLANTED[index].load(Ordering::Relaxed) != 0);
    let stale = plant();

    let mut found = Vec::new();
    let mut check = |bad: bool, what: String| {
        if bad {
            found.push(what);
        }
    };
    check(in_memory > 0, format!("memory {in_memory}"));
    check(planted, "static".to_owned());
    check(calls > 0, format!("counter {calls}"));
    check(local_calls > 0, format!("thread-local {local_calls}"));
    let expected = PAGES.load(Ordering::Relaxed);
    check(pages != expected, format!("pages {pages} not {expected}"));
    check(stale > 0, format!("grown {stale}"));
    match found.as_slice() {
        [] => "clean".to_owned(),
        places => format!("found {}", places.join(", ")),
    }
}

/// How many markers stand in the memory.
fn count_markers(pages: usize) -> usize {
    let first = word(0);
    let end = pages * PAGE;
    let mut count = 0;
    // Not from 0: that would be a null pointer. The lowest words are the far end of the stack.
    let mut address = WORD;
    while address + WORDS * WORD <= end {
        // Everything is planted on a boundary of a word.
        if read(address) == first && (1..WORDS).all(|i| read(address + i * WORD) == word(i)) {
            count += 1;
        }
        address += WORD;
    }
    count
}

#[inline(always)]
fn read(address: usize) -> u64 {
    // SAFETY: the caller stays inside the linear memory, every byte of which may be read, and
    // `address` is a multiple of eight. The read is volatile, since other code owns these bytes.
    unsafe { std::ptr::with_exposed_provenance::<u64>(address).read_volatile() }
}

/// Leaves the marker in every place there is. How many words of freshly grown pages were not zero.
fn plant() -> usize {
    for (index, planted) in PLANTED.iter().enumerate() {
        planted.store(word(index), Ordering::Relaxed);
    }
    CALLS.fetch_add(1, Ordering::Relaxed);
    LOCAL_CALLS.set(LOCAL_CALLS.get() + 1);

    // The stack, below all frames that are in use now.
    let mut frame = [0_u64; 16 * WORDS];
    write_markers(black_box(&mut frame));
    black_box(&frame);

    // The heap.
    let mut heap = vec![0_u64; HEAP_PAGES * PAGE / WORD];
    write_markers(&mut heap);
    black_box(heap.leak());

    // Pages that the memory did not have.
    let Some(old) = memory::grow(GROWN_PAGES) else {
        return 0;
    };
    let start = std::ptr::with_exposed_provenance_mut::<u64>(old * PAGE);
    // SAFETY: these pages were just added, so that nothing else refers to them; the memory never
    // shrinks; all bits are valid, and a page is aligned.
    let grown = unsafe { std::slice::from_raw_parts_mut(start, GROWN_PAGES * PAGE / WORD) };
    let grown = black_box(grown);
    let stale = grown.iter().filter(|word| **word != 0).count();
    write_markers(grown);
    stale
}

#[inline(never)]
fn write_markers(words: &mut [u64]) {
    for (index, place) in words.iter_mut().enumerate() {
        *place = word(index % WORDS);
    }
}

//! Which pages of this process's memory were written: the kernel's `PAGEMAP_SCAN` (Linux 6.7,
//! PAGEMAP_SCAN(2const)).

use std::fs::File;
use std::ops::Range;

use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode, opcode};

pub const PAGE_BYTES: usize = 4096;
/// Ranges that one call of the kernel answers; there may be several calls.
const RANGES: usize = 32;

// `PAGE_IS_*` of linux/fs.h.
const FILE: u64 = 1 << 2;
const PRESENT: u64 = 1 << 3;
const SWAPPED: u64 = 1 << 4;
const ZERO: u64 = 1 << 5;

#[derive(Debug)]
pub struct PageScan(File);

impl PageScan {
    /// None where the kernel cannot say, or pages are not of the usual size.
    pub fn open() -> Option<PageScan> {
        if rustix::param::page_size() != PAGE_BYTES {
            return None;
        }
        let scan = PageScan(File::open("/proc/self/pagemap").ok()?);
        let at = std::ptr::from_ref(&scan).addr() & !(PAGE_BYTES - 1);
        scan.written(at..at + PAGE_BYTES, |_| true).ok()?;
        Some(scan)
    }

    /// Tells of each range within `of` whose pages are this process's own copies: they differ, or may,
    /// from what was mapped. `each` ends the scan by answering false, as does this then.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub fn written(
        &self,
        of: Range<usize>,
        mut each: impl FnMut(Range<usize>) -> bool,
    ) -> std::io::Result<bool> {
        let mut at = of.start;
        while at < of.end {
            let mut ranges = [PageRange::default(); RANGES];
            let scan = Scan {
                size: size_of::<Scan>() as u64,
                flags: 0,
                start: at as u64,
                end: of.end as u64,
                walk_end: 0,
                ranges: ranges.as_mut_ptr().addr() as u64,
                ranges_len: RANGES as u64,
                max_pages: 0,
                // Neither a page of the file that is mapped nor the page of zeros ...
                category_inverted: FILE | ZERO,
                category_mask: FILE | ZERO,
                // ... but one of our own, also if it lies in the swap, or is being moved.
                category_anyof_mask: PRESENT | SWAPPED,
                return_mask: 0,
            };
            // SAFETY: `Scan` is the kernel's `struct pm_scan_arg`, and `ranges` is room for as many
            // `struct page_region` as it says.
            let (found, walk_end) = unsafe { ioctl::ioctl(&self.0, scan)? };
            for range in ranges.iter().take(found) {
                if !each(range.start as usize..range.end as usize) {
                    return Ok(false);
                }
            }
            if walk_end <= at {
                return Err(std::io::Error::other("the scan of pages does not advance"));
            }
            at = walk_end;
        }
        Ok(true)
    }
}

/// `struct page_region`.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct PageRange {
    start: u64,
    end: u64,
    categories: u64,
}

/// `struct pm_scan_arg`.
#[derive(Debug)]
#[repr(C)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    ranges: u64,
    ranges_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

// SAFETY: the opcode is that of PAGEMAP_SCAN, whose argument this is; the kernel writes into it.
unsafe impl Ioctl for Scan {
    /// Ranges found, and where the scan ended.
    type Output = (usize, usize);

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::read_write::<Scan>(b'f', 16)
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        std::ptr::from_mut(self).cast()
    }

    unsafe fn output_from_ptr(
        found: IoctlOutput,
        argument: *mut std::ffi::c_void,
    ) -> rustix::io::Result<Self::Output> {
        // SAFETY: it is what `as_ptr` gave.
        let scan = unsafe { &*argument.cast::<Scan>() };
        Ok((
            usize::try_from(found).unwrap_or(0),
            usize::try_from(scan.walk_end).unwrap_or(usize::MAX),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_written_and_nothing_else() {
        let Some(scan) = PageScan::open() else {
            return;
        };
        const PAGES: usize = 200;
        // Allocated zeroed, so that its pages are not there before they are touched.
        let mut memory = vec![0u8; (PAGES + 1) * PAGE_BYTES];
        let base = memory.as_mut_ptr().addr().next_multiple_of(PAGE_BYTES);
        let skip = base - memory.as_mut_ptr().addr();
        let of = base..base + PAGES * PAGE_BYTES;
        let mut expected = Vec::new();
        // More separate pages than one call of the kernel answers.
        for page in (0..PAGES).filter(|page| page % 3 == 1) {
            memory[skip + page * PAGE_BYTES + 7] = 1;
            expected.push(base + page * PAGE_BYTES);
        }
        std::hint::black_box(&memory[skip]);
        let mut found = Vec::new();
        let whole = scan.written(of.clone(), |range| {
            assert_eq!(range.len() % PAGE_BYTES, 0);
            found.extend(range.step_by(PAGE_BYTES));
            true
        });
        assert!(whole.unwrap());
        for page in expected {
            assert!(found.contains(&page));
        }
        assert!(!scan.written(of, |_| false).unwrap());
    }
}

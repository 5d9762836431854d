//! Bounds of the pool of instances, and of what they take of the machine.

use std::time::Duration;

/// Elements of one table of a guest: functions that it calls indirectly. The pool reserves this many
/// for each.
pub const PLUGIN_TABLE_ELEMENTS_MAX: usize = 20_000;
/// Stack of a guest, in bytes. The plugins that we build need 64 KiB; others that recurse get more.
pub const GUEST_STACK_BYTES_MAX: usize = 512 << 10;
/// Stack that the host's functions have on top of the guest's, in bytes.
pub const HOST_STACK_BYTES: usize = 512 << 10;
/// Core instances of one component: the module, and the shims that adapters add.
pub const PLUGIN_CORE_INSTANCES_MAX: u32 = 8;
/// Linear memories of one component. One is usual; some tool chains add one.
pub const PLUGIN_MEMORIES_MAX: u32 = 2;
/// Tables of one component: the module's, and the shim's.
pub const PLUGIN_TABLES_MAX: u32 = 4;
/// Memory that a slot of the pool keeps between calls, in bytes, where the kernel can say which pages
/// were written. It saves the page faults of the next call.
pub const KEEP_RESIDENT_BYTES: usize = 1 << 20;
/// The same for tables.
pub const KEEP_RESIDENT_TABLE_BYTES: usize = 64 << 10;
/// The same where the kernel cannot: all of it is cleared after each call, so it must be little.
pub const KEEP_RESIDENT_BYTES_WITHOUT_SCAN: usize = 64 << 10;
/// What of an instance is put back after a visit, in bytes, before it is cheaper to make another: all
/// pages that its visits wrote so far, some tens in an ordinary plugin.
pub const RESTORED_BYTES_MAX: usize = 1 << 20;
/// Mutable globals of a component whose instances are put back. Each is read after each visit; what
/// compilers make has one, the pointer to its stack.
pub const RESTORED_GLOBALS_MAX: usize = 4;
/// Ticks without a running guest after which the epoch's clock sleeps, so that an idle process does
/// not wake a thousand times a second.
pub const EPOCH_IDLE_TICKS: u32 = 100;
/// The longest it sleeps, so that it notices the end of its engine.
pub const EPOCH_SLEEP: Duration = Duration::from_secs(1);
/// Instances of one policy that wait for their next call, at most: one for each worker thread is
/// what calls that do not wait can use.
pub const IDLE_INSTANCES_MAX: usize = 64;
/// Instances that wait for their next call, all policies together: with 64 threads as many as 32
/// policies can use. Each takes places in the pool.
pub const IDLE_INSTANCES_ALL_MAX: usize = 2_048;
/// Policies that the pool has room for, at least, however few the process starts with: a reload may add
/// more. Beyond, the least used wait for a slot's memory to be mapped anew, and nothing fails.
pub const POLICIES_ROOM: usize = 64;
/// Slots beside those of instances that keep the memory of a policy mapped, at most: they reserve
/// addresses.
pub const WARM_SLOTS_MAX: usize = 4_096;
/// Addresses of one slot of the pool, in bytes: all that a 32-bit memory can reach, so that compiled code
/// checks no bounds.
pub const SLOT_BYTES: u64 = 4 << 30;
/// Addresses between two slots, in bytes, as the runtime leaves them.
pub const SLOT_GUARD_BYTES: u64 = 32 << 20;
/// Pieces that the kernel counts of one slot once it was used: the memory of its image, what a guest
/// wrote beyond, and the rest that is kept free.
pub const SLOT_MAPPINGS: usize = 3;
/// Pieces of everything else: code, heaps, stacks.
pub const MAPPINGS_BESIDE: usize = 4_096;
/// Addresses that a process has for its pool in one piece, in bytes: Linux loads a program at two thirds
/// of the 128 TiB that 47 bits reach, and this is below. Some 21,000 slots.
pub const ADDRESSES_MAX: u64 = 84 << 40;

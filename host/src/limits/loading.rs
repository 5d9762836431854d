//! Bounds of what loads plugins.

use std::time::Duration;

use super::{GIB, pool};

/// Memory beyond a plugin's own bound while its snapshot is taken, in bytes: the accessors of
/// `wasmtime-wizer` grow each memory by one page.
pub const SNAPSHOT_HEADROOM_BYTES: usize = 2 * pool::PLUGIN_MEMORIES_MAX as usize * (64 << 10);
/// One secret, in bytes: a key set or a list of hashed keys.
pub const SECRET_BYTES_MAX: u64 = 1 << 20;
/// Elapsed time of one whole step of loading: `configure`, and taking the snapshot after it.
pub const LOADING_WALL: Duration = Duration::from_secs(60);
/// A plugin's file, in bytes. Interpreters that carry a language run to some tens of MiB.
pub const PLUGIN_FILE_BYTES_MAX: u64 = 64 << 20;
/// The largest component that is compiled and snapshotted without `large = true`: beyond it loading
/// takes seconds for each configuration, which should be meant.
pub const PLUGIN_SNAPSHOT_BYTES_MAX: usize = 4 << 20;
/// Imports of a component, and as many exports: the contract and all of WASI are some eighty.
pub const PLUGIN_NAMES_MAX: usize = 1_000;
/// What compiling one component may take, in bytes of addresses. Half of them an allocator has that has done
/// nothing yet; of memory, the most that a bundled plugin takes is 280 MiB.
pub const COMPILE_MEMORY_BYTES: u64 = 2 * GIB;
/// Its processor time, of all threads together: ten times that of the largest bundled plugin, of 1.2 MB.
pub const COMPILE_CPU: Duration = Duration::from_secs(60);
/// Its elapsed time, on a machine that is busy with something else.
pub const COMPILE_WALL: Duration = Duration::from_secs(180);
/// The same with `large = true`: sixteen times the size takes some such multiple.
pub const COMPILE_LARGE_MEMORY_BYTES: u64 = 8 * GIB;
/// The same with `large = true`.
pub const COMPILE_LARGE_CPU: Duration = Duration::from_secs(900);
/// The same with `large = true`.
pub const COMPILE_LARGE_WALL: Duration = Duration::from_secs(1_800);
/// Threads of a process that compiles. Each has a heap of its own, and so takes of the memory; a component
/// has few functions that are worth one.
pub const COMPILE_THREADS_MAX: usize = 8;
/// Processor time of `describe` and of `configure`. They run once; compiling a large rule set may
/// take a while.
pub const CONFIGURE_CPU: Duration = Duration::from_secs(10);
/// Processor time of holding a configuration against its schema: real ones take milliseconds.
pub const SCHEMA_CPU: Duration = Duration::from_secs(5);
/// Elapsed time of `describe` and of `configure`, on a busy machine.
pub const CONFIGURE_WALL: Duration = Duration::from_secs(30);
/// What the description of a plugin may have, in bytes: a schema with prose.
pub const DESCRIPTION_BYTES_MAX: usize = 1 << 20;
/// One compiled plugin, in bytes: eight times the largest file, which is more than code grows by. No more
/// is read from the disk, or taken from the compiler.
pub const COMPILED_BYTES_MAX: usize = 8 * PLUGIN_FILE_BYTES_MAX as usize;
/// All compiled plugins on disk, in bytes; what was used least recently goes first.
pub const ARTEFACT_FOLDER_BYTES_MAX: u64 = 2 << 30;
/// Files of ours in that folder: some are of few bytes, and all are looked at when one is loaded.
pub const ARTEFACT_FILES_MAX: usize = 10_000;
/// Age from which a file that is still being written was left by a process that was killed: writing
/// takes well under a second.
pub const ARTEFACT_TEMPORARY_AGE: Duration = Duration::from_secs(3_600);
/// Compiled functions kept in memory while plugins load, in bytes, so that configurations of one
/// plugin share them.
pub const FUNCTION_CACHE_BYTES_MAX: usize = 256 << 20;
/// Instances of components that one plugin is made of, each as often as it is made: tool chains make one for each
/// interface.
pub const PLUGIN_INSTANCES_MAX: u64 = 1_000;

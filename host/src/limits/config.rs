//! Bounds of the configuration file and of what it names.

use std::ops::RangeInclusive;

/// The largest configuration file read. Some 30,000 routes fit; a larger file is a mistake, such as
/// a component named in its place.
pub const CONFIG_BYTES_MAX: usize = 4 << 20;
/// Stack of the thread that reads the file. The deepest tree that the TOML parser lets through has
/// some 6,600 levels; this is over 4 KiB for each.
pub const CONFIG_STACK_BYTES: usize = 32 << 20;
/// How many problems of one file are printed. Beyond that nobody reads on, and the rest are usually
/// echoes of the first.
pub const CONFIG_PROBLEMS_SHOWN: usize = 100;
/// How many names of a list a problem tells: no more than a reader takes in.
pub const CONFIG_NAMES_SHOWN: usize = 24;
/// How many characters of a source line a problem shows: one wide terminal line.
pub const CONFIG_LINE_CHARS_SHOWN: usize = 160;
/// The longest name of a listener, plugin, policy, upstream, route, secret or path parameter. Names
/// become metric labels, which should stay short.
pub const NAME_BYTES_MAX: usize = 64;
/// How deep a plugin's configuration nests. Readers of it recurse, and no real one comes near.
pub const PLUGIN_CONFIG_DEPTH_MAX: usize = 64;
/// All keys together that lead to a value of a plugin's configuration. They are kept for every
/// value below, so without this a small file could take any amount of memory.
pub const PLUGIN_CONFIG_POINTER_BYTES_MAX: usize = 1_024;
/// Policies in one chain. Each costs a plugin call per request, so a longer chain is a mistake.
pub const CHAIN_POLICIES_MAX: usize = 32;
/// Servers of one upstream: choosing among them is a linear walk.
pub const UPSTREAM_SERVERS_MAX: usize = 256;
/// Weight of a server. Finer proportions than one in a thousand are not observable.
pub const SERVER_WEIGHT: RangeInclusive<u32> = 1..=1_000;
/// Methods of one route: more than there are in use.
pub const ROUTE_METHODS_MAX: usize = 32;
/// Hosts of one route. Conflicts are looked for with each method at each host, so that both bounds
/// keep their product small.
pub const ROUTE_HOSTS_MAX: usize = 256;
/// `priority` of a route. Wide enough to leave gaps, narrow enough to stay readable.
pub const ROUTE_PRIORITY: RangeInclusive<i32> = -1_000..=1_000;
/// Hosts of an API: the names that one service has. Every route of the API has a copy of them, so
/// that there are fewer than a route may have of its own.
pub const API_HOSTS_MAX: usize = 32;
/// The base of an API, in bytes. It stands in front of every path of the API, and longer ones than
/// this are not read by people.
pub const API_BASE_BYTES_MAX: usize = 1_024;
/// Variables of one route, with those that it inherits.
pub const VARIABLES_MAX: usize = 64;
/// Names and values of them, in bytes. They are settings; a document belongs to a plugin's
/// configuration. A route with variables of its own has a copy of those that it inherits.
pub const VARIABLES_BYTES_MAX: usize = 8 << 10;
/// Key sets of one gateway. Each issuer of tokens has one; more are a mistake.
pub const KEY_SETS_MAX: usize = 64;
/// Header fields, and as many query parameters, that one entry asks for. Each is looked up in every
/// request.
pub const FIELD_TESTS_MAX: usize = 32;
/// The host of a route, in bytes: longer is no DNS name (RFC 1035, section 2.3.4, without the root).
pub const HOST_BYTES_MAX: usize = 253;

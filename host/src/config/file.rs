//! The file as a whole: read, parsed, and its sections read in an order.

use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::reader::{Reader, Table};
use super::{Config, Position, Problem, Problems, Source};
use super::{chains, key_sets, plugins, routes, sections, store, syntax, units, upstreams};
use crate::limits::config::{CONFIG_BYTES_MAX, CONFIG_STACK_BYTES};
use crate::read_file;
use crate::shortage;

/// Reads and checks the file. `bundled` are the names of the plugins that come with the gateway.
pub fn load(path: &Path, bundled: &[&str]) -> Result<Config, Problems> {
    let fail = |message: String| {
        let source = Arc::new(Source::new(path, ""));
        Err(Problems::new(source, vec![Problem::new(None, message)]))
    };
    let bound = u64::try_from(CONFIG_BYTES_MAX).unwrap_or(u64::MAX);
    let bytes = match read_file::within(path, bound) {
        Ok(bytes) => bytes,
        Err(error) => return fail(format!("cannot be read: {error}")),
    };
    if bytes.len() > CONFIG_BYTES_MAX {
        return fail(format!("is larger than {}", units::show_size(bound)));
    }
    match String::from_utf8(bytes) {
        Ok(text) => parse(path, &text, bundled),
        Err(error) => {
            let start = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            let mut source = Source::new(path, text);
            let end = start + char::REPLACEMENT_CHARACTER.len_utf8();
            // Nothing was read, so nothing is known to be no secret.
            source.hide(vec![(0..usize::MAX).into()]);
            let problem = Problem::new(Position::from(start..end), "is not UTF-8 text");
            Err(Problems::new(Arc::new(source), vec![problem]))
        }
    }
}

/// Checks the text of a configuration file. `file` is not read: it names the text in problems, and
/// its folder is what relative paths in the text are relative to.
///
/// This runs on a thread of its own, for its stack: the parser bounds nesting, but dotted keys in
/// nested inline tables still make trees thousands of levels deep, and dropping one recurses.
pub fn parse(file: &Path, text: &str, bundled: &[&str]) -> Result<Config, Problems> {
    let result = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(CONFIG_STACK_BYTES);
        let thread = thread.spawn_scoped(scope, || parse_here(file, text, bundled));
        thread.map(|thread| thread.join())
    });
    let message = match result {
        Ok(Ok(result)) => return result,
        Ok(Err(_)) => "the reader failed on this file; this is a bug in tollgate".to_owned(),
        Err(error) => {
            shortage::note_in(&error);
            format!("cannot be read, because no thread could be started: {error}")
        }
    };
    let source = Arc::new(Source::new(file, text));
    Err(Problems::new(source, vec![Problem::new(None, message)]))
}

fn parse_here(file: &Path, text: &str, bundled: &[&str]) -> Result<Config, Problems> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut source = Source::new(file, text);
    if !errors.is_empty() {
        let problem = syntax::problem(text, &errors);
        let at = problem.position.map_or(0, |at| at.start);
        source.hide(syntax::hidden(text, source.line_start(at)));
        return Err(Problems::new(Arc::new(source), vec![problem]));
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut reader = Reader::new(folder, bundled);
    let root = Table::new(String::new(), Position::default(), tree.get_ref());
    let config = read(&mut reader, root);
    source.hide(reader.hidden(tree.get_ref()));
    let (problems, mut warnings) = reader.into_noted();
    let source = Arc::new(source);
    warnings.sort_by_key(Problem::place);
    if problems.is_empty() {
        Ok(Config {
            file: file.to_owned(),
            source,
            warnings,
            ..config
        })
    } else {
        Err(Problems::new(source, problems).with_warnings(warnings))
    }
}

/// What could be read. It is the truth only if the reader has no problem to tell.
fn read(reader: &mut Reader<'_>, mut root: Table<'_>) -> Config {
    let process = ["runtime", "admin", "listeners", "store"].map(|section| (section, 2));
    let named = [
        "secrets",
        "plugins",
        "policies",
        "upstreams",
        "key-sets",
        "apis",
    ];
    let places = root.places(&[&process[..], &named.map(|section| (section, 1))].concat());
    let runtime = sections::runtime(reader, &mut root);
    let admin = sections::admin(reader, &mut root);
    let listeners = sections::listeners(reader, &mut root, &admin);
    let secrets = sections::secrets(reader, &mut root);
    let names = plugins::Names::of(&root, reader.bundled);
    let mut plugins = plugins::plugins(reader, &mut root, &names);
    let policies = plugins::policies(reader, &mut root, &names);
    plugins::add_bundled(&mut plugins, &policies);
    let upstreams = upstreams::upstreams(reader, &mut root);
    let key_sets = key_sets::key_sets(reader, &mut root, &secrets);
    let store = store::store(reader, &mut root);
    let apis = chains::apis(reader, &mut root, &names);
    let routes = routes::routes(reader, &mut root, &names, &apis);
    reader.finish(&root, &[]);
    let (file, source, warnings) = Default::default();
    Config {
        file,
        source,
        warnings,
        runtime,
        admin,
        listeners,
        secrets,
        plugins,
        policies,
        upstreams,
        key_sets,
        store,
        routes,
        places,
    }
}

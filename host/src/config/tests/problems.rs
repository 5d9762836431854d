//! How problems look, and what they never show.

use super::*;
use crate::limits::config::CONFIG_BYTES_MAX;

#[test]
fn shows_the_place() {
    let text = format!("runtime.workers = 0 # é\n\tbéé = \"ö\"\n{LEAST}");
    let shown = read(&text.replace("béé", "\"bé\""))
        .unwrap_err()
        .to_string();
    let wanted = "folder/gateway.toml:1:19: error: `runtime.workers` must be from 1 to 1024
    runtime.workers = 0 # é
                      ^
folder/gateway.toml:2:2: error: unknown key `bé`
    \t\"bé\" = ***
    \t^^^^
help: ";
    assert!(shown.starts_with(wanted), "{shown}");
    let text = "[routes.\"é\"]\r\n\t\"öö\" = { x = [\r\n1] }\r\n";
    let shown = read(text).unwrap_err().to_string();
    let wanted = "folder/gateway.toml: error: there is no listener
help: add a section `[listeners.public]` with `address = \"0.0.0.0:8080\"`
folder/gateway.toml: error: there is no route
help: add a section `[routes.NAME]` with `match` and `upstream`
folder/gateway.toml:1:9: error: `é` cannot be a name
    [routes.\"é\"]
            ^^^
help: a name has 1 to 64 of the characters A-Z a-z 0-9 _ -
";
    assert_eq!(shown, wanted);
}

#[test]
fn shows_part_of_a_long_line() {
    let text = format!(
        "x = [{}]\ncolour = 1 # {}\n{LEAST}",
        "1,".repeat(500),
        "é".repeat(500)
    );
    let shown = read(&text).unwrap_err().to_string();
    assert!(
        shown.lines().all(|line| line.chars().count() < 200),
        "{shown}"
    );
    // Far into the line the carets are in sight too.
    let text = LEAST.replace(
        "[\"http://u\"]",
        &format!("[{}7]", "\"http://u\", ".repeat(99)),
    );
    let shown = read(&text).unwrap_err().to_string();
    let lines: Vec<&str> = shown.lines().collect();
    let caret = lines[2]
        .chars()
        .position(|character| character == '^')
        .unwrap();
    assert_eq!(lines[1].chars().nth(caret), Some('7'), "{shown}");
}

#[test]
fn says_how_many_more() {
    let text: String = (0..150).map(|index| format!("k{index} = 1\n")).collect();
    let problems = read(&format!("{text}{LEAST}")).unwrap_err();
    assert_eq!(problems.problems.len(), 150);
    assert!(
        problems
            .to_string()
            .ends_with("folder/gateway.toml: error: 50 more problems\n")
    );
}

#[test]
fn never_prints_a_secret() {
    for text in [
        "secrets.A = \"hunter2\"",
        "secrets = \"hunter2\"",
        "secrets = [\"hunter2\"]",
        "[secrets]\n\"a b\" = \"hunter2\"",
        "[secrets]\nA = { evn = \"hunter2\" }",
        "[secrets]\nA = hunter2",
        "[secrets]\nA = \"hunter2",
        "[secrets]\nA = 'x' 'hunter2'",
        "[ \"secrets\" ]\nA = hunter2\n",
        "[secrets]\nA = \"\"\"\nx\\q hunter2\n\"\"\"",
        "key-sets = \"hunter2\"",
        "key-sets.a = \"hunter2\"",
        "key-sets.a.keys = \"hunter2\"",
        "key-sets.a.keys = [\"hunter2\"]",
        "key-sets.a.keys = [{ D = \"hunter2\" }]",
        "key-sets.a.keys = [{ kty = { d = \"hunter2\" } }]",
        "key-sets.a.jwk = { d = \"hunter2\" }",
        "key-sets.a.file = { d = \"hunter2\" }",
        "key-sets.a.secret = \"{ d: hunter2 }\"",
        "[key-sets.a]\nkeys = [\n{ kty = \"EC\", d = hunter2 },\n]",
        "[key-sets.a]\nkeys = [\n[{ kty = \"EC\", d = \"hunter2\" }]\n\"hunter2\"",
        "[key-sets.a]\nkeys = \"\"\"\n\\q {\"d\":\"hunter2=\"}\n\"\"\"",
        "[secrets]\nA = \"\"\"\n\\qhunter2==\n\"\"\"",
        "upstreams.v.servers = [\"http://bob:hunter2@host\"]",
        "upstreams.v.servers = [\"http://bob:hun/hunter2@host\"]",
        "upstreams.v.servers = [\"https://hunter2@host/\" 'x']",
        "upstreams.v.servers = http://hunter2@host/",
        "upstreams.v.servers = [\"http://bob:hunter2host\"]",
        "upstreams.v.servers = [\"http:/bob:hunter2@host\"]",
        "upstreams.v.servers = [\"http://bob:hun hunter2@host\"]",
        "upstreams.v.servers = \"http://bob:hunter2@host\"",
        "policies.q = { plugin = \"api-key\", confg.key = \"hunter2\" }",
        "policies.q = { plugin = \"api-key\", config = \"hunter2\" }",
        "policies = \"hunter2\"",
        "policies.q = { plugin = \"apikey\", config.keys = [\"hunter2\"] }",
        "colour = { a = [{ b = \"hunter2\" }] }",
        "routes.q = { match = 5, variables = { token = \"hunter2\" } }",
        "routes.q = { match = 5, respond = { status = 200, headers = { authorization = \"hunter2\\n\" } } }",
        "routes.q = { match = 5, respond = { status = 204, body = \"hunter2\" } }",
        "routes.q = { match = 5, respond = { status = \"hunter2\" } }",
        "runtime.watch = \"hunter2\"",
        "routes.q = { match = 5, chain = [{ policy = \"p\", when.headers.x-k = \"hunter2\" }] }",
    ] {
        let problems = read(text).map(|_| ()).unwrap_err();
        assert!(!problems.to_string().contains("hunter2"), "{problems}");
        assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
    }
}

#[test]
fn shows_what_others_find() {
    let config = good();
    let position = config.policies["partner-key"].config.positions["/header"];
    let problem = Problem::new(position, "no such header").with_help("try another");
    let shown = Problems::new(config.source, vec![problem]).to_string();
    let wanted = "folder/gateway.toml:40:17: error: no such header
    config.header = ***********
                    ^^^^^^^^^^^
help: try another
";
    assert_eq!(shown, wanted);
}

#[test]
fn files() {
    let folder = std::env::temp_dir().join(format!("tollgate-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("gateway.toml");
    let message = || load(&file, BUNDLED).map(|_| ()).unwrap_err().to_string();
    assert!(message().contains("gateway.toml: error: cannot be read: "));
    std::fs::write(&file, b"a\n\xff").unwrap();
    let told = message();
    assert!(
        told.contains("gateway.toml:2:1: error: is not UTF-8 text"),
        "{told}"
    );
    std::fs::write(&file, b"a = 1\nsecret = \"wxyz\xff\"").unwrap();
    let told = message();
    assert!(told.contains("gateway.toml:2:15: error: "), "{told}");
    assert!(!told.contains("wxyz"), "{told}");
    std::fs::write(&file, vec![b'#'; CONFIG_BYTES_MAX + 1]).unwrap();
    assert!(message().contains("is larger than 4MiB"));
    std::fs::write(&file, LEAST).unwrap();
    assert_eq!(load(&file, BUNDLED).unwrap().file, file);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Nesting beyond what anyone writes must be a problem and not a stack overflow; test threads have
/// less stack than the process.
#[test]
fn survives_nesting() {
    let dotted = vec!["a"; 79].join(".");
    let inline = format!(
        "{}1{}",
        format!("{{ {dotted} = ").repeat(75),
        "}".repeat(75)
    );
    for text in [
        format!("policies.p.config = {inline}"),
        format!("[{dotted}]\n{dotted} = {inline}"),
        format!("x = {}", "[".repeat(100_000)),
        format!("x = {}", "{ a = ".repeat(100_000)),
        format!("{} = 1", vec!["a"; 100_000].join(".")),
        format!("[{}]", vec!["a"; 100_000].join(".")),
    ] {
        let problems = read(&text).map(|_| ()).unwrap_err();
        assert!(!problems.to_string().is_empty());
    }
}

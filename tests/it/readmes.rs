//! The READMEs of the bundled plugins and of the examples, executed word for word: their configuration,
//! their files, their commands, and what these print.
//!
//! A README has one block of TOML whose first line is `# gateway.toml`, which is the whole configuration
//! (of an example it is the file of that name). Files are blocks under a line `<!-- file: NAME -->`. In
//! blocks of `console` (or indented ones) each line behind `$ ` is a command for a shell, and the lines
//! behind it are all that it prints to standard output. Of all this only the ports are changed, to free
//! ones. The program `upstream` (`tests/harness/bin/upstream.rs`) is at 127.0.0.1:9001.

mod first;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use tollgate_tests::{
    Builder, Folder, Gateway, Origin, Output, PATIENCE, Step, binary, echo, ok, repository, target,
};

use text::{Steps, difference};

/// A test for each folder.
macro_rules! readmes {
    ($($test:ident: $folder:literal,)+) => {
        const FOLDERS: &[&str] = &[$($folder),+];

        $(
            #[test]
            fn $test() {
                follow($folder);
            }
        )+
    };
}

readmes! {
    api_key: "plugins/api-key",
    basic_auth: "plugins/basic-auth",
    concurrency_limit: "plugins/concurrency-limit",
    cors: "plugins/cors",
    ext_auth: "plugins/ext-auth",
    headers: "plugins/headers",
    http_cache: "plugins/http-cache",
    ip_allow: "plugins/ip-allow",
    json_body: "plugins/json-body",
    jwt: "plugins/jwt",
    mock: "plugins/mock",
    rate_limit: "plugins/rate-limit",
    redact: "plugins/redact",
    rewrite: "plugins/rewrite",
    example_authorizer: "examples/authorizer",
    example_limiter: "examples/limiter",
    example_cache_policy: "examples/cache-policy",
    example_transformer: "examples/transformer",
    example_stream: "examples/stream",
}

/// Those with a test of their own, below.
const OTHERS: [&str; 2] = ["examples/quickstart", "examples/third-party"];

#[test]
fn no_folder_is_forgotten() {
    let mut there = BTreeSet::new();
    for parent in ["plugins", "examples"] {
        let entries = std::fs::read_dir(repository().join(parent)).expect("a folder");
        for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
            there.insert(format!("{parent}/{}", entry.file_name().display()));
        }
    }
    let known = FOLDERS.iter().chain(&OTHERS);
    assert_eq!(there, known.map(|folder| (*folder).to_owned()).collect());
}

/// Its upstream is another, and it says what a mistake in the configuration comes to.
#[test]
fn example_third_party() {
    let readme = Readme::read("examples/third-party");
    readme.build();
    let upstream = readme.at(9001).expect("an upstream");
    let origin = Origin::at(&upstream, |request| {
        let items = ok("application/json", "[\"anvil\", \"rocket\"]\n");
        let known = request.target == "/t/acme/items" && request.header("x-tenant").is_some();
        vec![Step::Send(if known { items } else { echo(request) })]
    });
    let gateway = readme.gateway().start(&readme.config());
    readme.execute(&gateway);
    assert_eq!(readme.steps.commands.len(), 4, "its requests");
    assert_eq!(origin.requests(), 1, "only the first may pass");

    let mistaken = readme.config().replace("tenants =", "tennants =");
    let check = readme.gateway().check(&mistaken);
    assert_eq!(check.code, Some(1));
    for text in [
        "policy `own-tenant`",
        "config.tennants: the plugin knows no such key",
        "config = { tennants",
    ] {
        assert!(check.stderr.contains(text), "no {text} in {}", check.stderr);
    }
}

/// The demo says what to expect, and fails if something else comes: here in a copy, on free ports.
#[test]
fn example_quickstart() {
    const DEMO: &str = "examples/quickstart/demo.sh";
    let there = repository();
    let copy = Folder::new();
    let script = std::fs::read(there.join(DEMO)).expect("the demo");
    let script = copy.write(DEMO, script);
    let config = Readme::read("examples/quickstart").config();
    copy.write("examples/quickstart/gateway.toml", config);
    std::fs::create_dir(copy.path().join("target")).expect("a folder");
    for (from, to) in [
        (there.join("examples/third-party"), "examples/third-party"),
        (programs().to_owned(), "target/release"),
    ] {
        std::os::unix::fs::symlink(from, copy.path().join(to)).expect("a link");
    }
    // Long enough to compile its plugin; what hangs says nothing.
    let output = Command::new("timeout")
        .args(["600", "bash"])
        .arg(script)
        .arg("demo")
        .env_remove("CARGO_TARGET_DIR")
        .env("XDG_CACHE_HOME", target().join("test-plugin-cache"))
        .output()
        .expect("a shell");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("All 8 answers were as said."), "{stdout}");
}

/// Does all that the README of this folder says.
fn follow(folder: &str) {
    let readme = Readme::read(folder);
    let parent = if folder.starts_with("examples/") {
        format!("{folder}/")
    } else {
        String::new()
    };
    assert_eq!(
        readme.steps.run,
        Some(format!("target/release/tollgate run {parent}gateway.toml")),
        "{folder}/README.md does not say how to start it"
    );
    let requests = readme.steps.commands.iter();
    let requests = requests.filter(|command| command.line.contains("curl "));
    assert!(
        requests.count() >= 3,
        "{folder}/README.md shows less than three requests"
    );
    readme.build();
    let _upstream = readme.at(9001).map(|address| Upstream::start(&address));
    let gateway = readme.gateway().start(&readme.config());
    readme.execute(&gateway);
}

/// A README, and the free ports that its addresses stand for.
struct Readme {
    folder: String,
    config: String,
    steps: Steps,
    ports: BTreeMap<String, String>,
}

impl Readme {
    fn read(folder: &str) -> Readme {
        let text = std::fs::read_to_string(repository().join(folder).join("README.md"));
        let text = text.unwrap_or_else(|error| panic!("{folder}/README.md: {error}"));
        Readme::of(folder, &text)
    }

    /// One whose text is this, and whose files are in the folder.
    fn of(folder: &str, text: &str) -> Readme {
        let path = repository().join(folder);
        let mut steps = Steps::of(text);
        let shown = steps.config.take();
        let config = match std::fs::read_to_string(path.join("gateway.toml")) {
            Ok(file) => {
                let shown = shown.unwrap_or_else(|| file.clone());
                assert_eq!(shown, file, "{folder}/README.md shows another gateway.toml");
                file
            }
            Err(_) => shown.unwrap_or_else(|| {
                panic!("no block of TOML in {folder}/README.md begins with `# gateway.toml`")
            }),
        };
        let commands = steps.commands.iter().map(|command| command.line.as_str());
        let files = steps.files.iter().map(|(_, text)| text.as_str());
        let mut free_ports = BTreeMap::new();
        for text in commands.chain(files).chain([config.as_str()]) {
            for port in self::ports(text) {
                free_ports.entry(port.to_owned()).or_insert_with(free_port);
            }
        }
        Readme {
            folder: folder.to_owned(),
            config,
            ports: free_ports,
            steps,
        }
    }

    /// What stands for 127.0.0.1 and this port, if the README has it.
    fn at(&self, port: u16) -> Option<String> {
        let free = self.ports.get(&port.to_string())?;
        Some(format!("{HOST}{free}"))
    }

    /// Runs its lines `tollgate plugin build ...`, in the folder that all of them are typed in.
    fn build(&self) {
        for line in &self.steps.builds {
            let (program, arguments) = line.split_once(' ').unwrap_or_default();
            assert!(
                program.ends_with("tollgate"),
                "`{line}` runs another program"
            );
            let mut command = Command::new(binary());
            command
                .args(arguments.split(' '))
                .current_dir(repository())
                .env_remove("CARGO_TARGET_DIR");
            if arguments.contains(" --out ") {
                // What they have in common is compiled once.
                command.env("CARGO_TARGET_DIR", target().join("examples"));
            }
            let output = command.output().expect("the gateway starts");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{line}\n{stderr}");
        }
    }

    /// Its configuration, with the ports that are free.
    fn config(&self) -> String {
        self.translate(&self.config)
    }

    /// A gateway to be, in a fresh folder with all files that there are.
    fn gateway(&self) -> Builder {
        let mut builder = Gateway::builder();
        let folder = repository().join(&self.folder);
        let plugins = self.config.lines().filter_map(|line| {
            let path = line.strip_prefix("wasm = \"")?.strip_suffix('"')?;
            Some(PathBuf::from(path))
        });
        // Beside an example's configuration lie its files.
        let files = std::fs::read_dir(&folder).expect("a folder").flatten();
        let files = files.filter(|_| self.folder.starts_with("examples/"));
        let files = files.filter(|file| file.path().is_file());
        for file in plugins.chain(files.map(|file| file.file_name().into())) {
            let bytes = std::fs::read(folder.join(&file));
            let bytes = bytes.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            builder = builder.file(&file.to_string_lossy(), bytes);
        }
        for (name, text) in &self.steps.files {
            builder = builder.file(name, self.translate(text));
        }
        builder
    }

    /// Executes its commands, and compares what they print.
    fn execute(&self, gateway: &Gateway) {
        let folder = gateway.config().parent().unwrap_or(Path::new("."));
        let mut wrong = String::new();
        for command in &self.steps.commands {
            let (stdout, stderr) = shell(&self.translate(&command.line), folder);
            // Said in the README's own words, so that the difference is one in it.
            let got: Vec<String> = self.back(&stdout).lines().map(str::to_owned).collect();
            if got != command.printed {
                wrong.push_str(&format!(
                    "  $ {}\n{}{stderr}",
                    command.line,
                    difference(&command.printed, &got)
                ));
            }
        }
        assert!(
            wrong.is_empty(),
            "{}/README.md says (-) something else than came (+):\n{wrong}",
            self.folder
        );
    }

    /// With the ports that are free.
    fn translate(&self, text: &str) -> String {
        with_ports(text, |port| self.ports.get(port).map(String::as_str))
    }

    /// With the README's own.
    fn back(&self, text: &str) -> String {
        let own = |port: &str| self.ports.iter().find(|(_, free)| *free == port);
        with_ports(text, |port| own(port).map(|(own, _)| own.as_str()))
    }
}

/// The folder of the gateway and its plugins.
fn programs() -> &'static Path {
    binary().parent().unwrap_or(Path::new("."))
}

/// Standard output and error of a command, which has a bounded time.
fn shell(line: &str, folder: &Path) -> (String, String) {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("timeout")
        .arg(PATIENCE.as_secs().to_string())
        .args(["sh", "-c", line])
        .current_dir(folder)
        .stdin(Stdio::null())
        .env("PATH", format!("{}:{path}", programs().display()))
        // How `sort` sorts, and that no proxy of the machine's stands between.
        .env("LC_ALL", "C")
        .env("NO_PROXY", "*")
        .output()
        .expect("a shell");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let timed_out = output.status.code() == Some(124);
    let late = if timed_out { "(it did not end)\n" } else { "" };
    (text(&output.stdout), text(&output.stderr) + late)
}

const HOST: &str = "127.0.0.1:";

/// The ports behind the host; what has fewer than four digits is nobody's.
fn ports(text: &str) -> BTreeSet<&str> {
    let behind = text.split(HOST).skip(1).map(|rest| split_port(rest).0);
    behind.filter(|port| port.len() >= 4).collect()
}

fn with_ports<'a>(text: &str, other: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut pieces = text.split(HOST);
    let mut made = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (port, rest) = split_port(piece);
        made.extend([HOST, other(port).unwrap_or(port), rest]);
    }
    made
}

fn split_port(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

/// Of four digits, as nearly all of the READMEs' are, so that no length depends on it. The system gives none
/// of these to whoever asks for any, so nobody takes it before it is used.
fn free_port() -> String {
    const FIRST: u16 = 2000;
    const PORTS: u16 = 8000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two runs of the tests at one time begin at different ones.
    let own = u16::try_from(std::process::id() % u32::from(PORTS)).unwrap_or_default();
    let tried = (0..PORTS).map(|_| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        (FIRST + (own + number) % PORTS).to_string()
    });
    let free = |port: &String| TcpListener::bind(format!("{HOST}{port}")).is_ok();
    tried.into_iter().find(free).expect("a free port")
}

/// The program `upstream`, killed when dropped.
struct Upstream(Child);

impl Upstream {
    fn start(address: &str) -> Upstream {
        let mut process = Command::new(env!("CARGO_BIN_EXE_upstream"))
            .arg(address)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the upstream starts");
        let output = Output::of(process.stdout.take().expect("a pipe"));
        let upstream = Upstream(process);
        let listens = output.find(PATIENCE, |line| line.contains("listening").then_some(()));
        assert!(listens.is_some(), "the upstream does not listen");
        upstream
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! The gateway under test, and its clients.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::{
    Folder, Output, PATIENCE, Response, binary, eventually, read_response, series, target,
};

/// How long a gateway may take to load its plugins, on a busy machine.
const START: Duration = Duration::from_secs(30);

/// What a gateway is started with beside its configuration.
#[derive(Default)]
pub struct Builder {
    folder: Option<Folder>,
    environment: Vec<(String, String)>,
    stdout: Option<Stdio>,
}

impl Builder {
    /// An environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Builder {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where its access log goes, in place of a pipe that the test reads.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Builder {
        self.stdout = Some(stdout.into());
        self
    }

    /// A file in the configuration's folder.
    pub fn file(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Builder {
        self.folder
            .get_or_insert_with(Folder::new)
            .write(name, bytes);
        self
    }

    fn command(&mut self, verb: &str, toml: &str) -> (Command, PathBuf) {
        let folder = self.folder.get_or_insert_with(Folder::new);
        let file = folder.write("gateway.toml", toml);
        let mut command = Command::new(binary());
        command
            .arg(verb)
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(self.stdout.take().unwrap_or_else(Stdio::piped))
            .stderr(Stdio::piped())
            .env_remove("TOLLGATE_LOG")
            .env_remove("TOLLGATE_PLUGINS")
            .env_remove("RUST_BACKTRACE")
            // Shared by all tests, so that each component is compiled once.
            .env("XDG_CACHE_HOME", target().join("test-plugin-cache"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        (command, file)
    }

    /// Starts it, and waits until it listens.
    #[track_caller]
    pub fn start(mut self, toml: &str) -> Gateway {
        let mut toml = toml.to_owned();
        if !toml.contains("[admin]") {
            toml.push_str("\n[admin]\naddress = \"127.0.0.1:0\"\n");
        }
        let (mut command, config) = self.command("run", &toml);
        let mut process = command.spawn().expect("the gateway starts");
        let stdout = process.stdout.take().map(Output::of).unwrap_or_default();
        let stderr = Output::of(process.stderr.take().expect("a pipe"));
        let mut gateway = Gateway {
            process,
            stdout,
            stderr,
            listeners: Vec::new(),
            config,
            _folder: self.folder,
        };
        let mut listeners = Vec::new();
        let all = gateway.stderr.find(START, |line| {
            let (_, rest) = line.split_once("listening listener=\"")?;
            let (name, address) = rest.split_once("\" address=")?;
            listeners.push((name.to_owned(), address.trim().parse().ok()?));
            // The last one that is announced.
            (name == "admin").then_some(())
        });
        gateway.listeners = listeners;
        assert!(all.is_some(), "the gateway does not listen");
        gateway
    }

    /// Runs `tollgate check`.
    pub fn check(mut self, toml: &str) -> Check {
        let (mut command, config) = self.command("check", toml);
        let output = command.output().expect("the gateway starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Check {
            ok: output.status.success(),
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            config,
        }
    }
}

/// What `tollgate check` said.
#[derive(Debug)]
pub struct Check {
    pub ok: bool,
    /// None if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// The configuration's path, as problems name it.
    pub config: PathBuf,
}

/// Runs `tollgate check` on a configuration.
pub fn check(toml: &str) -> Check {
    Builder::default().check(toml)
}

/// A running gateway, killed when dropped. Its output is printed if the test fails.
pub struct Gateway {
    process: Child,
    stdout: Output,
    stderr: Output,
    listeners: Vec<(String, SocketAddr)>,
    config: PathBuf,
    _folder: Option<Folder>,
}

impl Gateway {
    /// Starts one with this configuration; an admin listener on a free port is added if it has none.
    #[track_caller]
    pub fn start(toml: &str) -> Gateway {
        Builder::default().start(toml)
    }

    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where the listener of this name is, or `admin`.
    #[track_caller]
    pub fn address(&self, listener: &str) -> SocketAddr {
        let found = self.listeners.iter().find(|(name, _)| name == listener);
        found
            .unwrap_or_else(|| panic!("no listener `{listener}`"))
            .1
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The configuration's file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// A connection to the listener `public`.
    #[track_caller]
    pub fn connect(&self) -> TcpStream {
        connect(self.address("public"))
    }

    /// A connection to the listener `public` that reads responses, one after the other.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::new(self.connect())
    }

    /// `GET` on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.get_with(path, &[])
    }

    /// `GET` with these headers, whose values are written as they are.
    #[track_caller]
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.request(get(path, headers))
    }

    /// Sends these bytes to the listener `public` on a connection of their own, and reads one
    /// response.
    #[track_caller]
    pub fn request(&self, raw: impl AsRef<[u8]>) -> Response {
        self.request_to("public", raw)
    }

    /// The same to another listener.
    #[track_caller]
    pub fn request_to(&self, listener: &str, raw: impl AsRef<[u8]>) -> Response {
        let mut client = Client::new(connect(self.address(listener)));
        client.send(raw.as_ref());
        client.read()
    }

    /// The first line of the access log, old or new, that fits.
    #[track_caller]
    pub fn record(&self, fits: impl Fn(&Value) -> bool) -> Value {
        let found = self.stdout.find(PATIENCE, |line| {
            let record: Value = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("no JSON ({error}) in the access log: {line}"));
            fits(&record).then_some(record)
        });
        found.expect("a record that fits")
    }

    /// All lines of the access log so far.
    pub fn records(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The exposition at `/metrics`.
    #[track_caller]
    pub fn metrics(&self) -> String {
        // It answers to names of this machine alone.
        let request = get("/metrics", &[]).replace("test.example", "localhost");
        self.request_to("admin", request).text()
    }

    /// The sum of the series of this name with these labels, among others.
    #[track_caller]
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let metrics = self.metrics();
        let found = series(&metrics, name, labels);
        assert!(
            !found.is_empty(),
            "no `{name}` with {labels:?} in:\n{metrics}"
        );
        found.iter().sum()
    }

    /// Everything on standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Everything on standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// The first line of standard error, old or new, that has this text.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) -> String {
        let found = self.stderr.find(PATIENCE, |line| {
            line.contains(text).then(|| line.to_owned())
        });
        found.unwrap_or_else(|| panic!("no `{text}` in the log"))
    }

    /// The first event of the log, with all its lines, that has all of these texts.
    #[track_caller]
    pub fn wait_for_event(&self, texts: &[&str]) -> String {
        eventually(&format!("an event in the log with {texts:?}"), || {
            let log = self.stderr();
            let mut events: Vec<String> = Vec::new();
            for line in log.lines() {
                // Each begins with the time; what follows without is of the same.
                let begins = line.starts_with("20") && line.get(10..11) == Some("T");
                match events.last_mut() {
                    Some(event) if !begins => {
                        event.push('\n');
                        event.push_str(line);
                    }
                    _ => events.push(line.to_owned()),
                }
            }
            let has_all = |event: &String| texts.iter().all(|text| event.contains(text));
            events.into_iter().find(has_all)
        })
    }

    /// Sends SIGTERM, and does not wait.
    pub fn terminate(&self) {
        let pid = i32::try_from(self.process.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let sent = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
        assert!(matches!(sent, Some(Ok(()))), "SIGTERM cannot be sent");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let process = &mut self.process;
        eventually("the end of the gateway", || {
            process.try_wait().expect("a child")
        })
    }

    /// Sends SIGTERM, and waits for the end.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.wait()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!(
                "--- standard error of the gateway:\n{}\n--- its access log:\n{}\n---",
                self.stderr.text(),
                self.stdout.text()
            );
        }
    }
}

fn get(path: &str, headers: &[(&str, &str)]) -> String {
    let mut request = format!("GET {path} HTTP/1.1\r\nhost: test.example\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request
}

#[track_caller]
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the gateway accepts");
    stream.set_nodelay(true).expect("a socket");
    // A test that waits for ever says nothing.
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// A client's connection.
pub struct Client {
    reader: BufReader<TcpStream>,
    /// Of the requests sent and not yet answered; the answer's framing depends on it.
    methods: std::collections::VecDeque<String>,
}

impl Client {
    pub fn new(stream: TcpStream) -> Client {
        Client {
            reader: BufReader::new(stream),
            methods: Default::default(),
        }
    }

    /// The connection itself, for what no method here does. What [`Client::read`] buffered is not in
    /// it.
    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Sends the bytes of one request, or its beginning. That the gateway stops reading is no error:
    /// its answer tells why.
    pub fn send(&mut self, raw: impl AsRef<[u8]>) {
        let raw = raw.as_ref();
        let method = raw.split(|byte| *byte == b' ').next().unwrap_or_default();
        self.methods
            .push_back(String::from_utf8_lossy(method).into_owned());
        let _ = self.reader.get_mut().write_all(raw);
    }

    /// Sends more bytes of the same request.
    pub fn send_more(&mut self, raw: impl AsRef<[u8]>) {
        let _ = self.reader.get_mut().write_all(raw.as_ref());
    }

    /// Sends a `GET` that keeps the connection, and reads the answer.
    pub fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: test.example\r\n\r\n"));
        self.read()
    }

    /// Reads the next response.
    pub fn read(&mut self) -> Response {
        let method = self.methods.pop_front().unwrap_or_default();
        read_response(&mut self.reader, &method)
    }

    /// Whether the gateway has closed the connection; waits for it.
    pub fn closed(&mut self) -> bool {
        use std::io::Read;
        let mut byte = [0];
        matches!(self.reader.read(&mut byte), Ok(0))
    }
}

//! Standard output and standard error that take nothing: full, closed, or read by nobody. Requests are
//! answered all the same, what is lost is counted and said once, and the process ends when it is told to.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, pipe};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use tollgate_tests::{
    Builder, Client, Folder, Gateway, binary, dead_address, eventually, guest, target,
};

const LOST: &str = "tollgate_access_log_lines_dropped_total";
const TOLD: &str = "lines of the access log are lost: ";

const TOML: &str = r#"
[runtime]
drain = "1s"

[listeners.public]
address = "127.0.0.1:0"

[routes.all]
match = "/{rest+}"
respond = { status = 204 }
"#;

fn builder() -> Builder {
    Gateway::builder()
}

/// So many requests, each with a record of more than a thousand bytes.
fn ask(gateway: &Gateway, requests: usize) {
    let mut client = gateway.client();
    let path = format!("/{}", "a".repeat(1_000));
    for _ in 0..requests {
        assert_eq!(client.get(&path).status, 204);
    }
}

#[track_caller]
fn wait_for_losses(gateway: &Gateway, lines: usize) {
    eventually(&format!("{lines} lost lines"), || {
        (gateway.metric(LOST, &[]) == lines as f64).then_some(())
    });
}

/// How often this stands in the log.
fn told(gateway: &Gateway, text: &str) -> usize {
    gateway.stderr().matches(text).count()
}

#[test]
fn lines_that_fail_are_counted_and_it_is_said_once() {
    let full = File::options().write(true).open("/dev/full").expect("it");
    let (reader, closed) = pipe().expect("a pipe");
    drop(reader);
    for (output, why) in [
        (Stdio::from(full), "No space left on device"),
        (Stdio::from(closed), "Broken pipe"),
    ] {
        let mut gateway = builder().stdout(output).start(TOML);
        assert_eq!(gateway.metric(LOST, &[]), 0.0);
        for lines in [10, 20, 30] {
            ask(&gateway, 10);
            wait_for_losses(&gateway, lines);
        }
        gateway.wait_for_log(&format!("{TOLD}{why}"));
        assert_eq!(told(&gateway, TOLD), 1);
        assert_eq!(gateway.stop().code(), Some(0));
    }
}

#[test]
fn it_is_said_when_lines_are_written_again() {
    let folder = Folder::new();
    let path = folder.path().join("fifo");
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.is_ok_and(|status| status.success()), "no mkfifo");
    // A reader that does not wait for a writer.
    let reader = || {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        File::from(rustix::fs::open(&path, flags, Mode::empty()).expect("a pipe"))
    };
    let first = reader();
    let writer = File::options().write(true).open(&path).expect("a pipe");
    let gateway = builder().stdout(writer).start(TOML);
    drop(first);
    ask(&gateway, 5);
    wait_for_losses(&gateway, 5);
    gateway.wait_for_log(TOLD);

    let mut second = reader();
    ask(&gateway, 1);
    gateway.wait_for_log("the access log is written again; lines lost: 5");
    let mut bytes = vec![0; 8 << 10];
    let length = second.read(&mut bytes).expect("a line");
    let text = String::from_utf8_lossy(&bytes[..length]);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        serde_json::from_str::<serde_json::Value>(&text).is_ok(),
        "{text}"
    );
    assert_eq!(gateway.metric(LOST, &[]), 5.0);
}

#[test]
fn an_output_that_nobody_reads_keeps_nothing() {
    // A pipe has room for 64 KiB; what is beyond waits, and is lost at the end.
    let (reader, writer) = pipe().expect("a pipe");
    let mut gateway = builder().stdout(writer).start(TOML);
    ask(&gateway, 300);
    assert_eq!(gateway.metric(LOST, &[]), 0.0);
    let status = gateway.stop();
    assert_eq!(status.code(), Some(0), "{}", gateway.stderr());
    let said = gateway.wait_for_log("standard output takes no more lines");
    let lost: usize = said
        .rsplit_once(' ')
        .and_then(|(_, number)| number.parse().ok())
        .unwrap_or_else(|| panic!("no number in {said}"));
    // What was written is what was not lost, and the last line of it may be a piece.
    let lines = BufReader::new(reader).lines();
    let whole = lines
        .map_while(Result::ok)
        .filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
    assert_eq!(whole.count() + lost, 300);
}

#[test]
fn a_slow_output_that_does_not_block_gets_every_line() {
    let (reader, writer) = pipe().expect("a pipe");
    rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK).expect("a pipe");
    let mut gateway = builder().stdout(writer).start(TOML);
    ask(&gateway, 300);
    let lines = std::thread::spawn(move || {
        let lines = BufReader::new(reader).lines().map_while(Result::ok);
        lines
            .filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
            .count()
    });
    assert_eq!(gateway.stop().code(), Some(0));
    assert_eq!(lines.join().expect("a reader"), 300);
    assert_eq!(told(&gateway, TOLD), 0);
}

#[test]
fn a_log_that_nobody_reads_keeps_no_request_and_no_end() {
    let (public, admin) = (dead_address(), dead_address());
    let folder = Folder::new();
    let toml = TOML.replace("127.0.0.1:0", &public.to_string());
    let toml = toml.replace("respond =", "chain = [\"trap\"]\nrespond =");
    let toml = format!(
        "{toml}\n[admin]\naddress = \"{admin}\"\n[plugins.hostile]\nwasm = \"{}\"\n\
         [policies.trap]\nplugin = \"hostile\"\nconfig = {{ act = \"trap\" }}\n",
        guest("guest_hostile").display()
    );
    let config = folder.write("gateway.toml", toml);
    let (_kept, stdout) = pipe().expect("a pipe");
    let (_kept_too, stderr) = pipe().expect("a pipe");
    let mut process = Command::new(binary())
        .arg("run")
        .arg(&config)
        .stdout(stdout)
        .stderr(stderr)
        .env("XDG_CACHE_HOME", target().join("test-plugin-cache"))
        .spawn()
        .expect("the gateway starts");
    let get = |address: SocketAddr, path: &str| {
        let mut client = Client::new(TcpStream::connect(address).ok()?);
        client.send(format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        ));
        Some(client.read())
    };
    eventually("the gateway", || get(admin, "/healthz"));
    let lost = || {
        let metrics = get(admin, "/metrics").expect("an answer").text();
        let lines = metrics.lines();
        let mut lost =
            lines.filter_map(|line| line.strip_prefix("tollgate_log_lines_dropped_total "));
        lost.next().is_some_and(|count| count != "0")
    };
    // Each leaves a backtrace: until the log's own bound is reached, and beyond.
    let mut client = Client::new(TcpStream::connect(public).expect("the gateway accepts"));
    let full = (0..100).any(|_| {
        for _ in 0..200 {
            assert_eq!(client.get("/a").status, 500);
        }
        lost()
    });
    assert!(full, "nothing is lost");
    let pid = i32::try_from(process.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let sent = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
    assert!(matches!(sent, Some(Ok(()))));
    let status = eventually("its end", || process.try_wait().expect("a child"));
    assert_eq!(status.code(), Some(0));
}

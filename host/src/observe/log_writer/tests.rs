//! What an output does to the lines: outputs that fail, tear, stall and come back.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// What the next writes come to.
enum Act {
    /// Takes at most so many bytes.
    Take(usize),
    Fail(ErrorKind),
    /// Takes nothing before this is sent something.
    Stall(Receiver<()>),
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

struct Script {
    acts: VecDeque<Act>,
    written: Written,
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = match self.acts.pop_front() {
            None => bytes.len(),
            Some(Act::Take(most)) => most.min(bytes.len()),
            Some(Act::Fail(kind)) => return Err(kind.into()),
            Some(Act::Stall(go)) => {
                let _ = go.recv();
                bytes.len()
            }
        };
        self.written.0.lock().unwrap().extend(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn start(acts: Vec<Act>, bytes_max: usize) -> (Arc<LogWriter>, Written) {
    let written = Written::default();
    let output = Script {
        acts: acts.into(),
        written: written.clone(),
    };
    let settings = LogSettings {
        thread: "test",
        bytes_max,
        delay: Duration::ZERO,
        tell: |_| {},
    };
    let log = LogWriter::start(output, Counter::default(), settings).unwrap();
    (log, written)
}

/// Writes these lines, each in a batch of its own, and closes.
fn write_each(log: &LogWriter, lines: &[&str]) {
    for line in lines {
        log.write(line.as_bytes());
        let is_idle = || {
            let state = log.shared.lock();
            state.asleep && state.lines.is_empty()
        };
        while !is_idle() {
            std::thread::yield_now();
        }
    }
    log.close();
}

#[test]
fn what_is_taken_in_pieces_is_whole() {
    let acts = vec![
        Act::Take(1),
        Act::Fail(ErrorKind::Interrupted),
        Act::Take(2),
        Act::Fail(ErrorKind::WouldBlock),
        Act::Take(3),
    ];
    let (log, written) = start(acts, 1 << 10);
    write_each(&log, &["first line", "second line"]);
    assert_eq!(written.text(), "first line\nsecond line\n");
    assert_eq!(log.lost().get(), 0);
}

#[test]
fn what_fails_is_counted_and_tears_no_other_line() {
    let acts = vec![
        Act::Take(3),
        Act::Fail(ErrorKind::StorageFull),
        Act::Fail(ErrorKind::StorageFull),
    ];
    let (log, written) = start(acts, 1 << 10);
    write_each(&log, &["first", "second\nof two", "third"]);
    // The second began with the end of the torn line, which was lost with it.
    assert_eq!(log.lost().get(), 3);
    assert_eq!(written.text(), "fir\nthird\n");
}

#[test]
fn a_stalled_output_keeps_neither_writers_nor_the_closer() {
    let (go, stall): (Sender<()>, _) = channel();
    let (log, written) = start(vec![Act::Stall(stall)], 20);
    log.write(b"first");
    while log.shared.lock().taken == 0 {
        std::thread::yield_now();
    }
    // 6 and 6 and 6 bytes fit, and no more.
    for line in ["second", "third", "fourth", "fifth"] {
        log.write(line.as_bytes());
    }
    assert_eq!(log.lost().get(), 1);
    log.close();
    assert_eq!((log.lost().get(), written.text().as_str()), (5, ""));
    log.write(b"late");
    assert_eq!(log.lost().get(), 6);
    log.close();
    assert_eq!(log.lost().get(), 6);
    drop(go);
}

#[test]
fn a_loss_is_said_once_and_so_is_its_end() {
    let began = Instant::now();
    let mut loss = Loss::default();
    assert_eq!(loss.end(), None);
    assert!(loss.add(1, began));
    assert!(!loss.add(2, began + 9 * limits::logs::LOG_LOSS_SAID_EVERY));
    assert_eq!(loss.end(), Some(3));
    assert_eq!(loss.end(), None);
    // One that follows at once is counted, and said with the next.
    let mut loss = Loss {
        said_at: Some(began),
        ..Loss::default()
    };
    assert!(!loss.add(4, began + limits::logs::LOG_LOSS_SAID_EVERY / 2));
    assert_eq!(loss.end(), None);
    assert!(loss.add(5, began + limits::logs::LOG_LOSS_SAID_EVERY));
    assert_eq!(loss.end(), Some(9));
}

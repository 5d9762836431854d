//! A running gateway and the files that it was started with.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use crate::{Gateway, eventually};

impl Gateway {
    /// Puts another configuration in the place of the one it was started with, in one step. An admin
    /// listener is added as at the start.
    pub fn write_config(&self, toml: &str) {
        let mut toml = toml.to_owned();
        if !toml.contains("[admin]") {
            toml.push_str("\n[admin]\naddress = \"127.0.0.1:0\"\n");
        }
        replace(self.config(), toml);
    }

    /// Sends SIGHUP, and does not wait.
    pub fn hang_up(&self) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process"), Signal::HUP).expect("SIGHUP can be sent");
    }

    /// How many reloads had this outcome.
    #[track_caller]
    pub fn reloads(&self, outcome: &str) -> u64 {
        self.metric("tollgate_reloads_total", &[("outcome", outcome)]) as u64
    }

    /// Reloads with SIGHUP, and waits until it has this outcome.
    #[track_caller]
    pub fn hang_up_for(&self, outcome: &str) {
        let before = self.reloads(outcome);
        self.hang_up();
        eventually(&format!("a reload that is {outcome}"), || {
            (self.reloads(outcome) > before).then_some(())
        });
    }

    /// Has another configuration applied.
    #[track_caller]
    pub fn reload(&self, toml: &str) {
        self.write_config(toml);
        self.hang_up_for("applied");
    }

    /// Waits until no request uses an old configuration any more, and all of them are dropped.
    #[track_caller]
    pub fn wait_for_one_gateway(&self) {
        eventually("one gateway alone", || {
            (self.metric("tollgate_gateways", &[]) == 1.0).then_some(())
        });
    }

    /// Files, sockets and memories that the process has open.
    pub fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.pid());
        std::fs::read_dir(folder).expect("a process").count()
    }

    /// Memory of the process, in bytes.
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.expect("its memory") * 1024
    }
}

/// Puts another file in the place of one in one step, as tools do it.
pub fn replace(path: &Path, bytes: impl AsRef<[u8]>) {
    let mut new = path.to_owned();
    new.as_mut_os_string().push(".new");
    std::fs::write(&new, bytes).expect("a file");
    std::fs::rename(&new, path).expect("a rename");
}

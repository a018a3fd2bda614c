//! What runs before the program under test, in its process: limits of the shell, and mounts that only it can see.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::World;
use super::needs::{PREVIOUS_PROGRAM, mount_namespace};

impl World {
    /// Runs a shell command before the program, such as `ulimit`, in its process.
    pub fn started_by(self, command: &str) -> Self {
        Self { started_by: Some(command.to_owned()), ..self }
    }

    /// SQLite on a disk of four megabytes, in the folder `disk`. `Need::Mounts` must have been checked.
    pub fn on_small_disk(self) -> Self {
        let disk = self.dir().join("disk");
        std::fs::create_dir(&disk).unwrap();
        let disk = disk.display();
        let mount = format!("mount -t tmpfs -o size=4m tmpfs {disk}");
        self.with(&format!("storage:\n  type: sqlite3\n  config:\n    file: {disk}/countersign.db"))
            .started_by(&mount)
    }

    /// Runs another program than the one under test.
    pub fn run_by(self, program: &Path) -> Self {
        Self { program: Some(program.to_owned()), ..self }
    }

    /// The program under test or the one of `run_by`, without arguments. The process stays the same, so that signals
    /// reach the program; those that `nohup` or a shell's background ignores, which is inherited, are no longer ignored.
    pub(super) fn program(&self) -> Command {
        let under_test = Path::new(env!("CARGO_BIN_EXE_countersign"));
        let program = self.program.as_deref().unwrap_or(under_test);
        let mut command = Command::new("/usr/bin/env");
        command.arg("--default-signal=HUP,INT");
        if let Some(first) = &self.started_by {
            if first.starts_with("mount") {
                command.arg("/usr/bin/unshare");
                command.args(mount_namespace().expect("Need::Mounts was checked"));
            }
            let line = format!("PATH=/usr/sbin:/usr/bin:/sbin:/bin; {first} && exec \"$@\"");
            command.args(["/bin/sh", "-c", &line, "sh"]);
        }
        command.arg(program);
        command
    }
}

/// The program of the version before. `Need::PreviousVersion` must have been checked.
pub fn previous_program() -> PathBuf {
    std::env::var_os(PREVIOUS_PROGRAM).expect("Need::PreviousVersion was checked").into()
}

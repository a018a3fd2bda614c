//! What runs before the program under test, in its process: limits of the shell, and mounts that only it can see.

use std::process::Command;

use super::World;
use super::needs::mount_namespace;

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

    /// The program under test, without arguments.
    pub(super) fn program(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_countersign");
        let Some(first) = &self.started_by else { return Command::new(program) };
        // The process stays the same, so that signals reach the program.
        let mut command = Command::new("/usr/bin/env");
        if first.starts_with("mount") {
            command = Command::new("/usr/bin/unshare");
            command.args(mount_namespace().expect("Need::Mounts was checked"));
        }
        command.args([
            "/bin/sh",
            "-c",
            &format!("PATH=/usr/sbin:/usr/bin:/sbin:/bin; {first} && exec \"$@\""),
            "sh",
            program,
        ]);
        command
    }
}

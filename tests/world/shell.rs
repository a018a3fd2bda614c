//! Runs shell scripts that call `countersign`, with or without a terminal.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::Server;

impl Server {
    /// Runs a bash script in the server's folder, with `countersign` in the PATH and `config.yaml` as the
    /// server's configuration. Stops at the first command that fails. Standard input is empty.
    pub fn runs_script(&self, script: &str, env: &[(&str, &str)]) -> Output {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", script]);
        self.in_shell(command, env, "")
    }

    /// Runs a command line in a pseudo-terminal (made by `script`) of `columns` columns, and types `input`.
    /// Standard output of the result is what the terminal displayed.
    pub fn runs_on_terminal(
        &self,
        columns: u16,
        command_line: &str,
        env: &[(&str, &str)],
        input: &str,
    ) -> Output {
        let mut command = Command::new("script");
        let line = format!("stty cols {columns} rows 40; {command_line}");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        self.in_shell(command, &[env, &[("TERM", "xterm-256color")]].concat(), input)
    }

    fn in_shell(&self, mut command: Command, env: &[(&str, &str)], input: &str) -> Output {
        let folder = self.world.dir();
        std::fs::copy(folder.join(format!("{}.yaml", self.world.ip)), folder.join("config.yaml"))
            .unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_countersign")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        command.env_clear().env("PATH", path).env("SHELL", "/bin/sh");
        command.envs(self.world.env.iter().cloned()).envs(env.iter().copied());
        self.clock.apply_to(&mut command);
        command.current_dir(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        process.wait_with_output().unwrap()
    }
}

//! Lines of the documentation, run as their reader runs them.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Bash in an environment where `python3` has the packages of `requirements.txt`; ended after five minutes.
pub fn bash(script: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["300", "bash", "-euo", "pipefail", "-c", script]).stdin(Stdio::null());
    let mut path = vec![python_folder()];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    command.env("PATH", env::join_paths(path).unwrap());
    // A `make` that runs the tests is none of the scripts' business.
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"] {
        command.env_remove(name);
    }
    command
}

/// Runs it to its end, which must be a success; its standard output.
pub fn output(mut command: Command) -> String {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?} ended with {}\n{out}\n{err}", command.get_args(), output.status);
    out.into_owned()
}

/// Where `make test-tools` installs.
pub fn tools() -> PathBuf {
    // Beside `target/tmp`, whatever `target` is called.
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools")
}

/// The Python that has the packages of `requirements.txt`.
pub fn python() -> PathBuf {
    env::var_os("CORDBOARD_TEST_PYTHON").map_or_else(|| tools().join("venv/bin/python"), PathBuf::from)
}

fn python_folder() -> PathBuf {
    python().parent().unwrap().to_owned()
}

/// A process that is killed when it is dropped.
pub struct Background(Child);

impl Background {
    pub fn start(mut command: Command) -> Self {
        Self(command.spawn().unwrap())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // `timeout` passes this one on to what it runs; it could not pass on a SIGKILL.
        super::kill(self.0.id(), "TERM");
        let _ = self.0.wait();
    }
}

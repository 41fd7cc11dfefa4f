//! The loopback network of a run: one of its own, on which TCP does what it does on an ordinary Linux.
//!
//! A machine may have been told another congestion control than the kernel's own. BBR sets a timer for each burst, which on
//! a virtual machine costs more than the bytes, and most where they cost least: with it a proxy that splices a mebibyte
//! looks three times as dear as with CUBIC.

use std::{
    env, io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    process::{Command, ExitStatus, Stdio},
};

/// The kernel's own congestion control.
const USUAL: &str = "cubic";

/// Says that this process is in such a network.
const INSIDE: &str = "CORDBOARD_BENCH_NETWORK";

/// Loopback up, with that congestion control on its routes; then what is asked for, in this process.
const SCRIPT: &str = r#"
ip link set lo up || exit 1
for of in 127.0.0.0/8 127.0.0.1; do
  ip route replace local "$of" dev lo proto kernel scope host src 127.0.0.1 table local congctl "$CONTROL" || exit 1
done
exec "$@""#;

/// The congestion control of connections on loopback.
///
/// # Errors
/// Where there can be none.
pub fn congestion_control() -> io::Result<String> {
    // Of a connection, because that is where a route has its say.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(rustix::net::sockopt::tcp_congestion(&TcpStream::connect(listener.local_addr()?)?)?)
}

/// Goes on as the same program in a network of its own, if the one that we are in is unusual and that can be had: it needs
/// root, and `unshare` and `ip`. Returns where it goes on as it is; the report tells with what.
pub fn enter() {
    if env::var_os(INSIDE).is_some() || congestion_control().is_ok_and(|control| control == USUAL) {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let inside = || {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", SCRIPT, "sh"]).env("CONTROL", USUAL).env(INSIDE, USUAL);
        command
    };
    let tried = inside().arg("true").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status: ExitStatus| status.success()) {
        return;
    }
    let error = inside().arg(program).args(env::args_os().skip(1)).exec();
    eprintln!("no network of our own: {error}");
}

//! What is made of the command line's own description: completions for shells, and manual pages.

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Arguments, exit, print};

/// What every page is a part of.
const SOURCE: &str = concat!("cordboard ", env!("CARGO_PKG_VERSION"));

/// What the manual says beyond the options; in roff, behind those.
const MORE: &str = "\
.SH SIGNALS
.TP
\\fBSIGTERM\\fR, \\fBSIGINT\\fR
\\fBrun\\fR stops as \\fBdrain\\fR of the configuration says; a second one ends at once.
.TP
\\fBSIGHUP\\fR
\\fBrun\\fR reads its files again.
.SH EXIT STATUS
.TP
\\fB0\\fR
Stopped as asked, or done.
.TP
\\fB1\\fR
Something failed; of \\fBhealth\\fR, not ready.
.TP
\\fB2\\fR
The command line is wrong.
.TP
\\fB3\\fR
Imported, but not all of it has a counterpart.
.TP
\\fB65\\fR
What is to be imported cannot be read.
.TP
\\fB69\\fR
An address cannot be bound.
.TP
\\fB73\\fR
The output of an import is there already, or cannot be written.
.TP
\\fB78\\fR
The configuration or a policy is refused.
.SH ENVIRONMENT
.TP
\\fBNOTIFY_SOCKET\\fR, \\fBWATCHDOG_USEC\\fR
Where a service manager is told how \\fBrun\\fR is, and how often it wants to know; see sd_notify(3).
.TP
\\fBLISTEN_FDS\\fR, \\fBLISTEN_FDNAMES\\fR, \\fBLISTEN_PID\\fR
Sockets handed over for the listeners of these names, and for \\fBadmin\\fR; see sd_listen_fds(3).
.TP
\\fBXDG_CACHE_HOME\\fR
Where compiled policies are kept, unless \\fB\\-\\-code\\-cache\\fR says so.
";

/// `cordboard completions SHELL`.
pub(super) fn completions(shell: Shell) -> u8 {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "cordboard", &mut text);
    print(&String::from_utf8_lossy(&text))
}

/// `cordboard man [COMMAND...]`.
pub(super) fn man(path: &[String]) -> u8 {
    let mut command = Arguments::command();
    command.build();
    let mut found: &Command = &command;
    for name in path {
        let Some(inner) = found.find_subcommand(name) else {
            let names: Vec<_> = found.get_subcommands().map(Command::get_name).collect();
            eprintln!("cordboard: there is no command `{}`; there is {}", path.join(" "), names.join(", "));
            return exit::USAGE;
        };
        found = inner;
    }
    // As the page is found: cordboard-import-light4j(1).
    let name = std::iter::once("cordboard").chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join("-");
    let page = found.clone().display_name(&name).version(env!("CARGO_PKG_VERSION"));
    let mut text = Vec::new();
    let rendered = Man::new(page).title(name.to_uppercase()).source(SOURCE).render(&mut text);
    if let Err(error) = rendered {
        eprintln!("cordboard: the page cannot be written: {error}");
        return exit::FAILURE;
    }
    if path.is_empty() {
        text.extend_from_slice(MORE.as_bytes());
    }
    print(&String::from_utf8_lossy(&text))
}

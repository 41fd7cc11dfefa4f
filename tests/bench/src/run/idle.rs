//! Memory of sessions that say nothing: the proportional set size of the process tree before and after they are opened.
//! The kernel's part of a connection, the same for all proxies, is not in it.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use super::{ROUTED, Run, channels, threads, wait};
use crate::{
    cost,
    echo::Echo,
    frame::Script,
    peer::{Peer, free_address},
    results::Metric,
    row::Row,
    session::{self, PATIENCE},
    wrong,
};

/// How long things are left to come to rest.
const REST: Duration = Duration::from_millis(1500);
/// Descriptors that are not for sessions.
const SPARE: u64 = 300;
/// Sessions of the same kind that are there before: what comes with the first ones, code that is paged in above all, is not
/// theirs.
const FIRST: usize = 100;

impl Run<'_> {
    pub(super) fn idle(&mut self, row: &Row, peer: Peer, paired: bool) -> io::Result<()> {
        // Each session has two sockets, in the proxy and here.
        let most =
            usize::try_from(self.descriptors.saturating_sub(SPARE) / 2).unwrap_or(usize::MAX).saturating_sub(FIRST);
        let sessions = self.options.sessions.min(most);
        if sessions < self.options.sessions {
            self.results.problem(format!("only {sessions} idle sessions, for want of descriptors (ulimit -n)"));
        }
        let process = peer.start(self.tools, free_address()?, self.service)?;
        let opened = |count| {
            let (client, backend) = channels();
            let echo = paired.then(|| Echo::dial(threads(), process.address, count, &backend)).transpose()?;
            let path = |number| if paired { client(number) } else { ROUTED.to_owned() };
            let open = (0..count).map(|number| session::open(process.address, &path(number)));
            let open = open.collect::<io::Result<Vec<_>>>()?;
            wait(REST, || false);
            Ok::<_, io::Error>((open, echo))
        };
        let _first = opened(FIRST)?;
        let before = cost::pss(process.id())?;
        let (open, _echo) = opened(sessions)?;
        let after = cost::pss(process.id())?;
        open.iter().try_for_each(lives)?;
        self.results.add(row.id, peer, Metric::IdleBytes, after.saturating_sub(before) as f64 / sessions as f64);
        self.results.add(row.id, peer, Metric::Sessions, sessions as f64);
        Ok(())
    }
}

/// One message and its echo.
fn lives(mut stream: &TcpStream) -> io::Result<()> {
    let script = Script::new(16, 1);
    let [sent, echoed] = [script.sent_frame, script.echoed_frame].map(|bytes| usize::try_from(bytes).unwrap_or(0));
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&script.to_send(0)[..sent])?;
    let mut echo = vec![0; echoed];
    stream.read_exact(&mut echo)?;
    if echo == script.to_come(0)[..echoed] { Ok(()) } else { Err(wrong("an idle session echoes something else")) }
}

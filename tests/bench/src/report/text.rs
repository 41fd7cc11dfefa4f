//! What the document says about how its figures came to be.

/// Of the method.
pub(super) const METHOD: &str = "\
`make bench` builds the release, fetches the peers, runs everything and writes this page. Parts of it:
`make bench ROWS=routed-64B,idle PEERS=cordboard,nginx`, or `QUICK=1` for all of it in two minutes; those write to
`target/bench` and leave this page alone.

- **In one run, side by side.** The repetitions of a row go round the peers, so what disturbs the machine disturbs all of
  them. Figures are medians, the least and the most in parentheses. Compare within a table; absolute times are this
  machine's.
- **TCP as on an ordinary Linux.** Where a machine has another congestion control than CUBIC, the run goes to a network
  namespace of its own whose loopback has it, if it may (root); what it was stands above. With BBR each burst sets a timer,
  which on a virtual machine can cost more than the bytes.
- **The load is not the bottleneck**: frames are made and masked beforehand, several connections share an epoll thread,
  and what comes back is compared with a known stream of bytes, in order; one wrong byte ends the run of that peer. The
  row *no proxy* is the load and the echo without anything between. Load, echo and proxy share the CPUs of the machine.
- **Costs are those of the proxy's process tree.** Instructions and cycles come from the hardware's counters on every
  thread, where the machine has them and the kernel lets us. CPU time is the scheduler's, to the nanosecond; how it is
  split into user space and kernel is sampled and only roughly right.
- **Closed loop**: the next message is sent when one has come back, so latencies are those of a proxy under as much load
  as it takes. **Open loop**: messages are due at even intervals, however late the answers are, and latency is counted
  from then; nothing is omitted because the load had to wait. Its p99 is given of all and of *a usual tenth of a second*:
  the median of the p99s of all tenths, of 500 messages each. A machine that stands still for milliseconds each second,
  as virtual ones do, is most of the first one and little of the second.
- **A message** is one echoed: it passes the proxy twice. **A handshake** is connect, upgrade, one message of 64 bytes and
  its echo, a Close and its answer, and the end; its latency is that up to the 101.
- **Memory** is the proportional set size of the process tree, before and after the sessions are opened, after a pause;
  then each session has to echo. A hundred of their kind are there before. The kernel's buffers are not in it.
- **Callgrind** counts instructions in user space exactly, whatever else the machine does. A life of the process with
  hardly a message is taken off, so the start is not in it, nor are handshakes in messages.
- **Swaps**: 200 handshakes a second and 32 sessions with 100 messages a second each, in an open loop, while the router's
  component is replaced by another one every 500 ms and the proxy is told to reload. In turn: two components, both
  compiled before. New: a component that was never seen, so that each swap compiles. The policy's deadlines are raised to
  20 s, so that what is late is measured; by default a decision that takes 100 ms is refused.";

/// Of the peers.
pub(super) const PEERS: &str = "\
All have two workers, no access log, no TLS, and one service behind them.

| peer | how |
|---|---|
| Cordboard | routed: the built-in router's policy is asked for channel, service and rewriting in WebAssembly; paired: the built-in rendezvous' for role and channel. Log of sessions and own pings off, otherwise defaults. Compiled as `make release` does it, by a profile of its own work (PGO) on the rows routed, paired and handshakes; the others are as Debian and PyPI have them |
| nginx | `proxy_pass` with the upgrade's headers, `reuseport`; defaults, and `proxy_buffer_size 64k` |
| HAProxy | `mode http`, `nbthread 2`; defaults, and `splice-request` with `splice-response` (`splice-auto` splices none of this) |
| Envoy | `upgrade_configs: websocket`, `--concurrency 2`, no delay of closes; plain, and with a proxy-wasm filter that reads one header of each request |
| tokio copy relay | `copy_bidirectional` with its defaults: what passes is not looked at |
| epoll relay | edge-triggered, one buffer of 64 KiB a thread: the floor of what copying costs |
| splice relay | the same with `splice(2)` through pipes of 256 KiB |
| tungstenite relay | tokio-tungstenite at both ends in its defaults, message by message. Version 0.30 zeroes its read buffer of 128 KiB before each read |";

//! Big frames stay in the kernel, where it has pipes for them.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::io::AsyncReadExt as _;

use crate::{
    joined, limited,
    support::{
        Proxy,
        dial::within,
        upstream::Upstream,
        wire::{BINARY, CLOSE, Wire, bare, close, masked},
    },
    to,
};

/// How many ends of pipes the proxy has open.
fn pipes(proxy: &Proxy) -> usize {
    let open = fs::read_dir(format!("/proc/{}/fd", proxy.pid())).unwrap();
    let targets = open.filter_map(|descriptor| fs::read_link(descriptor.unwrap().path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("pipe:")).count()
}

/// Every byte that `from` writes arrives at `other` as it is.
async fn passes(from: &mut Wire, other: &mut Wire, bytes: &[u8]) {
    let mut seen = vec![0; bytes.len()];
    let ((), read) = tokio::join!(from.write(bytes), within("big frames", other.stream.read_exact(&mut seen)));
    read.unwrap();
    assert!(seen == bytes, "{} bytes differ", bytes.len());
}

/// Big frames of which no two are alike, and a small one.
fn frames(write: fn(u8, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let payload: Vec<u8> = (0..1_u32 << 20).map(|at| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]).collect();
    [65_535, 65_536, 65_537, 1 << 20, 100, 1_000_000, 1 << 20].map(|length| write(BINARY, &payload[..length])).concat()
}

async fn pass_both_ways_and_close((client, dialled): (&mut Wire, &mut Wire)) {
    passes(client, dialled, &frames(masked)).await;
    passes(dialled, client, &frames(bare)).await;
    passes(client, dialled, &masked(CLOSE, &close(1000, "bye"))).await;
    passes(dialled, client, &bare(CLOSE, &close(1000, "bye"))).await;
}

#[tokio::test]
async fn big_frames_pass_by_pipes_that_are_kept_for_others() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "");
    let before = pipes(&proxy);
    let mut taken = Vec::new();
    for _ in 0..3 {
        let (mut client, mut dialled) = joined(&proxy, &upstream, "", "").await;
        assert_eq!(pipes(&proxy), before + taken.last().copied().unwrap_or(0), "a new session has none");
        pass_both_ways_and_close((&mut client, &mut dialled)).await;
        taken.push(pipes(&proxy) - before);
    }
    // One at a time for each direction, on each thread that has had one of the sessions.
    assert!(taken.iter().all(|taken| *taken >= 2), "{taken:?}");
    assert!(taken.is_sorted() && taken[2] <= 3 * 2 * 2, "{taken:?}");
}

#[tokio::test]
async fn big_frames_pass_where_no_descriptor_is_left() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "");
    let before = pipes(&proxy);
    let (mut client, mut dialled) = joined(&proxy, &upstream, "", "").await;
    // What is open stays open.
    let none = Rlimit { current: Some(3), maximum: Some(3) };
    let process = Pid::from_raw(i32::try_from(proxy.pid()).unwrap());
    prlimit(process, Resource::Nofile, none).unwrap();
    pass_both_ways_and_close((&mut client, &mut dialled)).await;
    assert_eq!(pipes(&proxy), before);
}

#[tokio::test]
async fn big_frames_are_copied_where_nothing_is_spliced() {
    let upstream = Upstream::bind().await;
    let proxy = limited(&[upstream.address], "", "splice: 0");
    let before = pipes(&proxy);
    let (mut client, mut dialled) = joined(&proxy, &upstream, "", "").await;
    pass_both_ways_and_close((&mut client, &mut dialled)).await;
    assert_eq!(pipes(&proxy), before);
}

//! Bodies much larger than what is kept of them: every byte arrives, and memory stays where it was.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{answered, at_rest, exchange, request, to};
use crate::support::{Proxy, dial::within, upstream::Upstream, wire::Wire};

const MIB: usize = 1 << 20;
/// `CORDBOARD_SOAK=full`: a GiB each way.
fn size() -> usize {
    if std::env::var("CORDBOARD_SOAK").is_ok_and(|set| set == "full") { 1 << 30 } else { 128 * MIB }
}

/// Byte number `at` of the pattern: not one that a shifted copy also has.
fn byte(at: usize) -> u8 {
    let folded = (at ^ (at >> 8) ^ (at >> 17)) & 0xff;
    u8::try_from(folded).unwrap()
}

async fn send(wire: &mut Wire, size: usize) {
    let mut piece = vec![0; 64 << 10];
    for at in (0..size).step_by(piece.len()) {
        for (offset, slot) in piece.iter_mut().enumerate() {
            *slot = byte(at + offset);
        }
        wire.stream.write_all(&piece).await.unwrap();
    }
}

async fn receive(wire: &mut Wire, size: usize) {
    let early = wire.take_early();
    let mut piece = vec![0; 64 << 10];
    let mut at = 0;
    let mut check = |bytes: &[u8]| {
        for byte_ in bytes {
            assert_eq!(*byte_, byte(at), "byte {at}");
            at += 1;
        }
        at
    };
    let mut got = check(&early);
    while got < size {
        let read = within("more of the body", wire.stream.read(&mut piece)).await.unwrap();
        assert!(read > 0, "the end came after {got}");
        got = check(&piece[..read]);
    }
    assert_eq!(got, size);
}

fn memory(proxy: &Proxy) -> f64 {
    proxy.metric("cordboard_resident_memory_bytes")
}

/// Highest memory while `moving`.
async fn highest<T>(proxy: &Proxy, moving: impl Future<Output = T>) -> f64 {
    let mut moving = std::pin::pin!(moving);
    let mut highest = memory(proxy);
    loop {
        let pause = tokio::time::sleep(std::time::Duration::from_millis(20));
        tokio::select! {
            _ = &mut moving => return highest,
            () = pause => highest = highest.max(memory(proxy)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_arrive_byte_by_byte_and_are_never_kept() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let size = size();
    // Once in small, so that what is allocated once is there.
    for (size, measured) in [(MIB, false), (size, true)] {
        let (mut client, mut service) =
            exchange(&proxy, &upstream, &request("POST /", &format!("Content-Length: {size}\r\n"))).await;
        let before = memory(&proxy);
        let up = highest(&proxy, async { tokio::join!(send(&mut client, size), receive(&mut service, size)) }).await;
        let answer = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n");
        service.write(answer.as_bytes()).await;
        answered(&mut client, 200).await;
        let down = highest(&proxy, async { tokio::join!(send(&mut service, size), receive(&mut client, size)) }).await;
        if measured {
            println!(
                "{size} bytes each way: {} KiB more up, {} KiB more down",
                (up - before) / 1024.0,
                (down - before) / 1024.0
            );
            assert!(up - before < (16 * MIB) as f64 && down - before < (16 * MIB) as f64, "{before} {up} {down}");
        }
    }
    at_rest(&proxy);
}

/// A fast sender and a receiver that has stopped: what is kept is bounded by buffers, not by what is sent.
#[tokio::test(flavor = "multi_thread")]
async fn who_sends_to_one_that_does_not_read_is_not_read_either() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let mut pairs = Vec::new();
    for _ in 0..20 {
        let (mut client, mut service) =
            exchange(&proxy, &upstream, &request("POST /", "Content-Length: 1000000000\r\n")).await;
        service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
        answered(&mut client, 200).await;
        pairs.push((client, service));
    }
    let before = memory(&proxy);
    let mut taken = 0;
    for (client, service) in &mut pairs {
        for wire in [client, service] {
            // Until nothing is taken for a while: that is what all buffers on the way hold.
            let piece = [7; 65_536];
            while let Ok(Ok(length)) =
                tokio::time::timeout(std::time::Duration::from_millis(200), wire.stream.write(&piece)).await
            {
                taken += length;
            }
        }
    }
    let kept = memory(&proxy) - before;
    println!("{taken} bytes were taken and {kept} kept");
    assert!(kept < (20 * 2 * MIB) as f64, "{kept} bytes for 20 requests");
}

#![allow(clippy::unwrap_used)]

use super::*;

fn results() -> Results {
    let mut results = Results::default();
    results.machine.no_counters = Some("none here".to_owned());
    let nginx = Peer::Nginx { large: true };
    for (peer, cpu) in [(Peer::Cordboard, 11.0), (nginx, 10.0), (Peer::Haproxy { splicing: false }, 12.0)] {
        for value in [cpu, cpu + 1.0, cpu - 1.0] {
            results.add("routed-64B", peer, Metric::Cpu, value);
            results.add("routed-64B", peer, Metric::UserCpu, value / 10.0);
        }
        results.add("handshakes", peer, Metric::Cpu, cpu * cpu);
    }
    results.add("idle", Peer::Cordboard, Metric::IdleBytes, 1024.0);
    results
}

#[test]
fn numbers_have_three_digits_and_groups() {
    for (value, text) in [
        (0.0, "0"),
        (0.1234, "0.123"),
        (1.236, "1.24"),
        (12.36, "12.4"),
        (123.6, "124"),
        (1234.0, "1,234"),
        (1_234_567.0, "1,234,567"),
        (-1234.0, "-1,234"),
        (-123.0, "-123"),
    ] {
        assert_eq!(number(value), text);
    }
}

#[test]
fn a_bar_is_met_missed_or_unknown() {
    let bars = bars::all(&results());
    let verdict = |measure: &str| bars.iter().find(|bar| bar.measure == measure).unwrap().to_string();
    assert!(verdict("routed, 64B: CPU time a message").ends_with("| 1.10 | to nginx, 64 KiB buffers | met |"));
    let handshake = verdict("a handshake: CPU time");
    assert!(handshake.contains("| 1.21 |") && handshake.contains("**missed**, 1.01 times the bar"), "{handshake}");
    assert!(verdict("routed, 64B: instructions a message").ends_with("not counted on this machine |"));
    assert!(verdict("an idle session, routed: memory").ends_with("met |"));
    assert!(verdict("an idle session, paired: memory").ends_with("not measured in this run |"));
}

#[test]
fn what_stands_by_hand_is_kept_when_the_document_is_written_again() {
    let dir = std::env::temp_dir().join(format!("cordboard-bench-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join("benchmarks.md");
    write(&results(), &dir).unwrap();
    let first = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{first}\nby hand\n")).unwrap();
    write(&results(), &dir).unwrap();
    let second = fs::read_to_string(&path).unwrap();
    let charts = fs::read_dir(dir.join(CHARTS)).unwrap().count();
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(second, format!("{first}\nby hand\n"));
    assert_eq!(charts, 3, "of messages, handshakes and memory");
    assert!(second.contains("| **Cordboard** | 11.0 (10.0–12.0) |"), "{second}");
}

#[test]
fn a_chart_has_a_bar_for_each_peer() {
    let value = Summary { median: 5.0, least: 4.0, most: 6.0 };
    let bars =
        vec![plot::Bar { peer: Peer::Cordboard, value, part: 0.2 }, plot::Bar { peer: Peer::None, value, part: 1.0 }];
    let svg = chart("a < b", vec![Panel { title: "a & b".to_owned(), bars }]);
    assert_eq!(svg.matches("class=\"range\"").count(), 2);
    assert!(svg.contains("<title>a &lt; b</title>") && svg.contains("a &amp; b"), "{svg}");
}

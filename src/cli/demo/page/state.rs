//! What the admin address says, as far as the page shows it.

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Page, edit};
use crate::cli::remote;

/// How long it may take.
const WITHIN: Duration = Duration::from_secs(5);

/// All of it; `trouble` where the admin address does not answer.
pub(super) async fn read(page: &Page) -> Value {
    let (generation, metrics, file) =
        tokio::join!(fetch(page.admin, "/generation"), fetch(page.admin, "/metrics"), edit::current(&page.file));
    let generation = generation.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    match (generation, metrics) {
        (Ok(generation), Ok(metrics)) => {
            let mut state = state(&generation, &metrics, file.as_deref());
            for (name, own) in [("accepted", &page.knocks.accepted), ("refused", &page.knocks.refused)] {
                let all = state[name].as_u64().unwrap_or_default();
                state[name] = all.saturating_sub(own.load(Ordering::Relaxed)).into();
            }
            state
        }
        (Err(why), _) | (_, Err(why)) => json!({"trouble": format!("the admin address http://{}: {why}", page.admin)}),
    }
}

fn state(generation: &Value, metrics: &str, file: Option<&str>) -> Value {
    let sockets = |labels: &str| !labels.contains("mode=\"http\"");
    let refused = |labels: &str| labels.contains("outcome=\"refused\"") && sockets(labels);
    json!({
        "file": file,
        "generation": generation["generation"],
        "hash": generation["hash"],
        "alive": generation["alive"],
        "plugins": generation["plugins"],
        "pinned": generation["pinned"],
        "problems": generation["refused"]["problems"],
        // Every look at the file ends in one of them.
        "looks": sum(metrics, "cordboard_reloads_total", |_| true),
        "sessions": sum(metrics, "cordboard_sessions", sockets),
        "waiting": sum(metrics, "cordboard_legs_waiting", |_| true),
        "pairs": sum(metrics, "cordboard_pairs", |_| true),
        "routed": sum(metrics, "cordboard_sessions", |labels| {
            labels.contains("mode=\"router\"") && labels.contains("state=\"open\"")
        }),
        "accepted": sum(metrics, "cordboard_handshake_seconds_count", |_| true),
        "refused": sum(metrics, "cordboard_outcomes_total", refused),
    })
}

/// The series of one name whose labels are kept, added up.
fn sum(metrics: &str, name: &str, keep: impl Fn(&str) -> bool) -> u64 {
    let series = metrics.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    series
        .filter(|(labels, _)| (labels.is_empty() || labels.starts_with('{')) && keep(labels))
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .sum()
}

async fn fetch(admin: SocketAddr, path: &'static str) -> Result<String, String> {
    match remote::fetch(admin, Method::GET, path, None, WITHIN).await? {
        (StatusCode::OK, body) => String::from_utf8(body.into()).map_err(|error| error.to_string()),
        (status, _) => Err(format!("{path} is {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = "# HELP cordboard_sessions x\n\
        cordboard_sessions{route=\"chat\",mode=\"rendezvous\",state=\"waiting\"} 2\n\
        cordboard_sessions{route=\"ws\",mode=\"router\",state=\"open\"} 3\n\
        cordboard_sessions{route=\"page\",mode=\"http\",state=\"open\"} 7\n\
        cordboard_sessions_ended_total{route=\"ws\",mode=\"router\",outcome=\"refused\"} 11\n\
        cordboard_outcomes_total{mode=\"rendezvous\",outcome=\"refused\"} 5\n\
        cordboard_outcomes_total{mode=\"http\",outcome=\"refused\"} 13\n\
        cordboard_reloads_total{result=\"applied\"} 1\n\
        cordboard_reloads_total{result=\"refused\"} 1\n\
        cordboard_handshake_seconds_sum 0.5\n\
        cordboard_handshake_seconds_count 17\n\
        cordboard_pairs 1\n";

    #[test]
    fn sessions_and_decisions_are_those_of_websockets() {
        let generation = json!({"generation": 4, "refused": {"problems": ["no"]}});
        let state = state(&generation, METRICS, Some("v"));
        for (name, expected) in [
            ("sessions", 5),
            ("routed", 3),
            ("pairs", 1),
            ("waiting", 0),
            ("looks", 2),
            ("accepted", 17),
            ("refused", 5),
            ("generation", 4),
        ] {
            assert_eq!(state[name], expected, "{name}");
        }
        assert_eq!((&state["problems"], &state["file"]), (&json!(["no"]), &json!("v")));
    }
}

//! What the admin address says, as far as the page shows it.

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};

use super::{Page, edit};

/// Longest page of the admin address, in bytes.
const MAX_PAGE: usize = 4 << 20;
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
    let asked = async {
        let stream = TcpStream::connect(admin).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let request = Request::get(path).header(header::HOST, admin.to_string()).body(Empty::<Bytes>::new());
        let request = request.map_err(|error| error.to_string())?;
        let answer = async move {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let status = response.status();
            let body =
                Limited::new(response.into_body(), MAX_PAGE).collect().await.map_err(|error| error.to_string())?;
            if !status.is_success() {
                return Err(format!("{path} is {status}"));
            }
            String::from_utf8(body.to_bytes().into()).map_err(|error| error.to_string())
        };
        // The connection ends with its one answer.
        tokio::join!(answer, connection).0
    };
    timeout(WITHIN, asked).await.unwrap_or_else(|_| Err(format!("{path} did not come in time")))
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

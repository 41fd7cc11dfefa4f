//! Configurations of the peers. Each is the shortest that does what is compared: upgrades to one service, two workers,
//! no access log, and limits that nine thousand sessions do not reach.

use std::{fs, io, net::SocketAddr, path::PathBuf, process::Command};

use super::{
    Peer, Tools, WORKERS,
    process::{descriptors, free_address},
};
use crate::wrong;

/// The policy of our router.
const BUILT_IN: &str = "component: 'builtin:router'";

/// How a peer is run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) command: Command,
    /// Where it will listen.
    pub(super) listen: SocketAddr,
    /// Where what it prints goes.
    pub(super) log: PathBuf,
}

impl Plan {
    pub(crate) fn new(peer: Peer, tools: &Tools, listen: SocketAddr, service: SocketAddr) -> io::Result<Self> {
        let dir = tools.dir(peer.id())?;
        let put = |name: &str, content: String| -> io::Result<PathBuf> {
            fs::write(dir.join(name), content)?;
            Ok(dir.join(name))
        };
        let command = match peer {
            Peer::None => return Err(wrong("no proxy is no process")),
            Peer::Cordboard | Peer::Copying => {
                let splicing = peer == Peer::Cordboard;
                return Self::cordboard(tools, peer.id(), listen, free_address()?, service, BUILT_IN, splicing, "");
            }
            Peer::Filtered { reads } => {
                let component = tools.filter()?.display().to_string();
                let filter = format!("filter: {{ component: '{component}', config: {{ reads: {reads} }} }}");
                return Self::cordboard(tools, peer.id(), listen, free_address()?, service, BUILT_IN, true, &filter);
            }
            Peer::Nginx { large } => {
                let file = put("nginx.conf", nginx(listen, service, large))?;
                let mut command = tools.command("nginx")?;
                command.arg("-p").arg(&dir).arg("-e").arg("stderr").arg("-c").arg(file);
                command
            }
            Peer::Haproxy { splicing } => {
                let file = put("haproxy.cfg", haproxy(listen, service, splicing))?;
                let mut command = tools.command("haproxy")?;
                command.arg("-db").arg("-f").arg(file);
                command
            }
            Peer::Envoy { filter: with } => {
                let wasm = if with { Some(dir.join("filter.wasm")) } else { None };
                if let Some(path) = &wasm {
                    fs::write(path, filter()?)?;
                }
                let file =
                    put("envoy.yaml", envoy(listen, service, wasm.as_deref().map(|path| path.display().to_string())))?;
                let mut command = tools.command("envoy")?;
                command.args(["--disable-hot-restart", "--log-level", "error", "--concurrency", &WORKERS.to_string()]);
                command.arg("-c").arg(file);
                command
            }
            Peer::Relay(kind) => {
                let mut command = tools.relays();
                command.args(["relay", kind.name(), "--workers", &WORKERS.to_string()]);
                command.args(["--listen", &listen.to_string(), "--to", &service.to_string()]);
                command
            }
        };
        Ok(Self { command, listen, log: dir.join("output.log") })
    }

    /// Ours, in the folder `name`, with this policy for its router, as keys of a plugin in YAML, and with this one of
    /// `plugins` on its routes, if any, whose name is `filter`.
    #[allow(clippy::too_many_arguments)] // each is a part of the configuration
    pub(crate) fn cordboard(
        tools: &Tools,
        name: &str,
        listen: SocketAddr,
        admin: SocketAddr,
        service: SocketAddr,
        router: &str,
        splicing: bool,
        filter: &str,
    ) -> io::Result<Self> {
        let dir = tools.dir(name)?;
        let file = dir.join("cordboard.yaml");
        fs::write(&file, cordboard([listen, admin, service], router, splicing, filter))?;
        let mut command = tools.cordboard();
        command.arg("run").arg("--config").arg(file);
        Ok(Self { command, listen, log: dir.join("output.log") })
    }

    /// The same under callgrind, all processes of it.
    pub(crate) fn under_callgrind(mut self) -> Self {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--trace-children=yes"]);
        command.arg(self.command.get_program()).args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            value.map(|value| command.env(name, value));
        }
        self.command = command;
        self
    }
}

/// Ours. `/ws` is routed, where channel, service and rewriting are asked of the router's policy; `/pair` joins two that
/// dial in. No pings of our own, because the peers have none and what comes back is compared byte for byte.
fn cordboard([listen, admin, service]: [SocketAddr; 3], router: &str, splicing: bool, filter: &str) -> String {
    let splice = if splicing { "" } else { ", splice: 0" };
    let also = if filter.is_empty() { "" } else { ", filter" };
    format!(
        "listeners: [{{ name: main, address: '{listen}' }}]
admin: {{ address: '{admin}' }}
log: {{ sessions: false, level: warn }}
reload: {{ watch: off }}
workers: {WORKERS}
plugins:
  rendezvous: {{ component: 'builtin:rendezvous' }}
  router: {{ {router}, config: {{ pathPrefixService: {{ /ws/echo: echo }} }} }}
  {filter}
routes:
  - name: pair
    match: {{ path: /pair }}
    mode: rendezvous
    plugins: [rendezvous{also}]
    rendezvous: {{ pairing_timeout: 10m }}
    limits: &limits {{ ping_every: 0{splice} }}
  - {{ name: sockets, match: {{ path: /ws }}, mode: router, plugins: [router{also}], limits: *limits }}
services:
  echo: {{ endpoints: ['ws://{service}'] }}
drain: {{ grace: 0, spread: 0 }}
"
    )
}

fn nginx(listen: SocketAddr, service: SocketAddr, large: bool) -> String {
    // The user of the workers matters only to root.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let buffers = if large { "proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;" } else { "" };
    format!(
        "{user}
daemon off;
worker_processes {WORKERS};
worker_rlimit_nofile {limit};
pid nginx.pid;
error_log stderr error;
events {{ worker_connections {limit}; }}
http {{
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
    server {{
        listen {listen} reuseport;
        location / {{
            proxy_pass http://{service};
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
            {buffers}
        }}
    }}
}}
",
        limit = descriptors()
    )
}

/// More than are in use at once by any row; by default two descriptors are set aside for each fourth connection.
const PIPES: u64 = 256;

fn haproxy(listen: SocketAddr, service: SocketAddr, splicing: bool) -> String {
    let splicing = if splicing { "option splice-request\n    option splice-response" } else { "" };
    format!(
        "global
    nbthread {WORKERS}
    maxconn {most}
    maxpipes {PIPES}
defaults
    mode http
    no log
    maxconn {most}
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
    {splicing}
frontend main
    bind {listen}
    default_backend service
backend service
    server service {service}
",
        most = descriptors() / 2 - PIPES - 100
    )
}

fn envoy(listen: SocketAddr, service: SocketAddr, wasm: Option<String>) -> String {
    let filter = wasm.map_or(String::new(), |path| {
        format!(
            "
          - name: envoy.filters.http.wasm
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: policy
                vm_config:
                  runtime: envoy.wasm.runtime.v8
                  code: {{ local: {{ filename: '{path}' }} }}"
        )
    });
    let address = |address: SocketAddr| {
        format!("{{ socket_address: {{ address: '{}', port_value: {} }} }}", address.ip(), address.port())
    };
    format!(
        "static_resources:
  listeners:
  - name: main
    address: {listen}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          stream_idle_timeout: 0s
          delayed_close_timeout: 0s
          upgrade_configs: [{{ upgrade_type: websocket }}]
          route_config:
            virtual_hosts:
            - {{ name: all, domains: ['*'], routes: [{{ match: {{ prefix: / }}, route: {{ cluster: service, timeout: 0s }} }}] }}
          http_filters:{filter}
          - name: envoy.filters.http.router
            typed_config: {{ '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
  clusters:
  - name: service
    type: STATIC
    connect_timeout: 5s
    circuit_breakers: {{ thresholds: [{{ max_connections: 100000, max_pending_requests: 100000, max_requests: 100000 }}] }}
    load_assignment:
      cluster_name: service
      endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {service} }} }}] }}]
overload_manager:
  resource_monitors:
  - name: envoy.resource_monitors.global_downstream_max_connections
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig
      max_active_downstream_connections: 100000
",
        listen = address(listen),
        service = address(service)
    )
}

/// A filter for proxy-wasm 0.2.1 that reads the path of each request, and nothing more.
fn filter() -> io::Result<Vec<u8>> {
    const TEXT: &str = r#"(module
        (import "env" "proxy_get_header_map_value"
            (func $get (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 2)
        (data (i32.const 16) ":path")
        ;; What the host hands over is put from here on; each request begins anew.
        (global $free (mut i32) (i32.const 1024))
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
            (local $at i32)
            (local.set $at (global.get $free))
            (global.set $free (i32.and (i32.add (i32.add (local.get $at) (local.get $size)) (i32.const 7)) (i32.const -8)))
            (local.get $at))
        (func (export "proxy_on_context_create") (param i32 i32))
        (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
        (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (global.set $free (i32.const 1024))
            ;; The map of request headers; where to put address and size.
            (drop (call $get (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 0) (i32.const 4)))
            (i32.const 0))
        (func (export "proxy_on_done") (param i32) (result i32) (i32.const 1))
        (func (export "proxy_on_delete") (param i32)))"#;
    wat::parse_str(TEXT).map_err(|error| wrong(format!("the filter: {error}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_a_module_that_asks_for_one_header() {
        let module = filter().unwrap();
        assert!(module.starts_with(b"\0asm"));
        assert!(String::from_utf8_lossy(&module).contains("proxy_get_header_map_value"));
    }

    #[test]
    fn every_configuration_names_where_it_listens_and_what_is_behind() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (listen, service) = (address(12_345), address(23_456));
        for text in [
            cordboard([listen, address(9), service], BUILT_IN, false, ""),
            nginx(listen, service, true),
            haproxy(listen, service, true),
            envoy(listen, service, Some("filter.wasm".to_owned())),
        ] {
            assert!(text.contains("12345") && text.contains("23456") && !text.contains("{{"), "{text}");
        }
    }
}

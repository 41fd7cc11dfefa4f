//! `cordboard demo`: the proxy with something to talk to, for a first try.
//!
//! In one process run the proxy, an [`echo`] service for its router, a [`backend`] for its rendezvous and a [`page`] for
//! a browser. The embedded configuration is written to a fresh folder, so that editing it shows a reload; the folder goes
//! at the end. A default port that is taken is replaced by a free one, which only the demo does: `cordboard run` takes
//! what it is told or fails. Everything listens on loopback alone and ends with the proxy.
//!
//! With a configuration of the user's there is no page: its routes are not known, and its file is not the demo's.

mod backend;
mod echo;
mod folder;
mod page;
mod screen;
mod service;

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_util::task::AbortOnDropHandle;

use self::{folder::Folder, page::Page, screen::Screen};
use super::{code_cache_dir, descriptors, exit, refused, run};
use crate::{
    app::{App, Options, StartError},
    candidate::Paths,
    handover::Sockets,
};

const EMBEDDED: &str = include_str!("../../config/demo.yaml");
/// The ports that the embedded configuration and the documentation name.
const PROXY: u16 = 8080;
const ADMIN: u16 = 9901;
const ECHO: u16 = 9001;
const BACKEND: u16 = 9002;
const PAGE: u16 = 9003;
/// How often another port is tried when somebody was faster.
const TRIES: usize = 5;

pub(super) fn demo(config: Option<PathBuf>, values: Option<PathBuf>) -> u8 {
    let demo = match Demo::prepare(config, values) {
        Ok(demo) => demo,
        Err(error) => return failed(error),
    };
    let workers = match run::prepare(&demo.paths()) {
        Ok(parsed) => parsed.workers,
        Err(code) => return code,
    };
    descriptors::raise();
    run::serve(workers, demo.start())
}

/// The configuration file that is used.
enum ConfigFile {
    /// The user's, which stays as it is.
    Own(PathBuf),
    /// The embedded one, removed at the end.
    Embedded(Folder),
}

impl ConfigFile {
    fn path(&self) -> &Path {
        match self {
            Self::Own(path) => path,
            Self::Embedded(folder) => folder.config(),
        }
    }
}

/// What holds its addresses and does not accept yet.
struct Demo {
    config: ConfigFile,
    values: Option<PathBuf>,
    echo: TcpListener,
    backend: TcpListener,
    /// With the embedded configuration only.
    page: Option<TcpListener>,
    /// Default ports that were taken, each with what is used instead.
    moved: Vec<(u16, u16)>,
}

/// What lives as long as the proxy; dropped, it ends its connections.
struct Services {
    _echo: AbortOnDropHandle<()>,
    _backend: AbortOnDropHandle<()>,
    _page: Option<AbortOnDropHandle<()>>,
    _config: ConfigFile,
}

impl Demo {
    fn prepare(config: Option<PathBuf>, values: Option<PathBuf>) -> io::Result<Self> {
        let mut moved = Vec::new();
        let echo = listen(ECHO, &mut moved)?;
        let backend = listen(BACKEND, &mut moved)?;
        let (config, page) = match config {
            Some(path) => (ConfigFile::Own(path), None),
            None => (ConfigFile::Embedded(Folder::create()?), Some(listen(PAGE, &mut moved)?)),
        };
        let mut demo = Self { config, values, echo, backend, page, moved };
        demo.choose_ports()?;
        Ok(demo)
    }

    fn paths(&self) -> Paths {
        Paths { config: self.config.path().to_owned(), values: self.values.clone() }
    }

    /// Writes the embedded configuration with ports that are free now.
    fn choose_ports(&mut self) -> io::Result<()> {
        let (ConfigFile::Embedded(folder), Some(page)) = (&self.config, &self.page) else { return Ok(()) };
        self.moved.retain(|(wanted, _)| ![PROXY, ADMIN].contains(wanted));
        // Both are held until both are known, lest they be the same.
        let (proxy, admin) = (listen(PROXY, &mut self.moved)?, listen(ADMIN, &mut self.moved)?);
        let mut text = EMBEDDED.to_owned();
        let services = [(ECHO, &self.echo), (BACKEND, &self.backend), (PAGE, page)];
        for (wanted, listener) in [(PROXY, &proxy), (ADMIN, &admin)].into_iter().chain(services) {
            let port = listener.local_addr()?.port();
            text = text.replace(&format!("127.0.0.1:{wanted}"), &format!("127.0.0.1:{port}"));
        }
        folder.write(&text)
    }

    async fn start(mut self) -> Result<(App, Services), u8> {
        let app = self.start_proxy().await?;
        let address = app.addresses().first().map(|(_, address)| reachable(*address));
        let [echo, backend] = [self.echo, self.backend].map(tokio_listener);
        let (echo, backend) = (echo.map_err(failed)?, backend.map_err(failed)?);
        let page = self.page.map(tokio_listener).transpose().map_err(failed)?;
        let screen = Screen {
            proxy: address.unwrap_or_else(|| loopback(PROXY)),
            admin: app.admin(),
            echo: echo.local_addr().map_err(failed)?,
            backend: backend.local_addr().map_err(failed)?,
            page: page.as_ref().map(tokio::net::TcpListener::local_addr).transpose().map_err(failed)?,
            config: self.config.path(),
            moved: &self.moved,
        };
        // A closed standard output is no reason to stop.
        if let Err(error) = io::stdout().write_all(screen.text().as_bytes()) {
            tracing::warn!(%error, "the lines to try could not be printed");
        }
        let proxy = screen.proxy;
        let drain = &app.control().board.drain;
        let page = page.zip(app.admin()).map(|(socket, admin)| {
            let page = Page::new(proxy, admin, self.config.path().to_owned(), drain.clone())?;
            let serve = service::serve("page", socket, move |stream| page::converse(stream, Arc::clone(&page)));
            Ok(drain.spawn_beside(serve))
        });
        let page = page.transpose().map_err(failed)?;
        let services = Services {
            _echo: drain.spawn_beside(service::serve("echo service", echo, echo::converse)),
            _backend: drain
                .spawn_beside(service::serve("backend", backend, move |stream| backend::converse(stream, proxy))),
            _page: page,
            _config: self.config,
        };
        Ok((app, services))
    }

    async fn start_proxy(&mut self) -> Result<App, u8> {
        let mut tries = 0;
        loop {
            tries += 1;
            let options =
                Options { paths: self.paths(), code_cache: code_cache_dir(), handed_over: Sockets::default() };
            match App::start(options).await {
                Ok(app) => return Ok(app),
                Err(error @ StartError::Bind(_)) if matches!(self.config, ConfigFile::Embedded(_)) && tries < TRIES => {
                    tracing::info!(%error, "choosing other ports");
                    self.choose_ports().map_err(failed)?;
                }
                Err(error) => return Err(refused(&error)),
            }
        }
    }
}

#[allow(clippy::needless_pass_by_value)] // so that it fits `map_err`
fn failed(error: io::Error) -> u8 {
    eprintln!("cordboard: the demo could not be started: {error}");
    exit::FAILURE
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// What a listener on every address is dialled by.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { loopback(address.port()) } else { address }
}

/// Holds the wanted port of loopback, or a free one and says so in `moved`.
fn listen(wanted: u16, moved: &mut Vec<(u16, u16)>) -> io::Result<TcpListener> {
    match TcpListener::bind(loopback(wanted)) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let listener = TcpListener::bind(loopback(0))?;
            moved.push((wanted, listener.local_addr()?.port()));
            Ok(listener)
        }
        bound => bound,
    }
}

fn tokio_listener(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_configuration_names_every_default_port() {
        for port in [PROXY, ADMIN, ECHO, BACKEND, PAGE] {
            assert!(EMBEDDED.contains(&format!("127.0.0.1:{port}")), "{port}");
        }
    }

    #[test]
    fn a_taken_port_is_replaced_and_said() {
        let taken = TcpListener::bind(loopback(0)).unwrap();
        let wanted = taken.local_addr().unwrap().port();
        let mut moved = Vec::new();
        let other = listen(wanted, &mut moved).unwrap().local_addr().unwrap().port();
        assert_ne!(other, wanted);
        assert_eq!(moved, [(wanted, other)]);
    }
}

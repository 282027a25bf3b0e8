//! The admin plane: HTTP on its own port and thread, for people, scrapers and probes.
//!
//! Not part of the data path: it reads what the workers have recorded, which stops none of them, and costs nothing while
//! nobody asks. It changes nothing either; settings are changed by CONFIG SET.
//!
//! Invariants: (1) one thread runs a current-thread runtime; reports are made on another (`engine::state::reporter`), so that
//! probes are answered meanwhile; (2) connections, the size of a request's head
//! and every wait are bounded, and connections that send nothing keep nobody else out; (3) an address beyond this machine needs a token, which the configuration has checked.
//!
//! Thread safety: `Admin` is the main thread's; it shares the instance.

mod access;
mod figures;
mod page;
mod places;
mod routes;

use crate::listen;
use crate::sockets::Sockets;
use axum::Router;
use engine::Instance;
use engine::config::Setting;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use places::Places;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Notify;

const ADMIN_PORT: Setting<u16> = Setting::of("admin-port");

/// Connections at a time: scrapers and people need a handful. When there are more, those that are silent make room.
const CONNECTIONS_MAX: usize = 256;
/// The head of a request must have come by then, and the next one of a kept connection: longer than the 15 s between two
/// scrapes, so that a scraper need not connect anew. Whoever holds places in silence keeps nobody waiting, see `places`.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection is closed after this long: nobody reads an answer for longer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(600);
/// Largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Pause after an error of accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The port that nobody asked for: if it is taken, the server starts without an admin plane.
const DEFAULT_PORT: u16 = 8080;

/// A running admin plane.
pub struct Admin {
    pub address: SocketAddr,
    stop: Arc<Notify>,
    thread: JoinHandle<()>,
}

impl Admin {
    /// Stops it and waits for its thread.
    pub fn stop(self) {
        self.stop.notify_one();
        let _ = self.thread.join();
    }
}

/// Starts the admin plane, unless `admin-port` is 0. The page shows the port of `sockets`.
///
/// # Errors
/// The address cannot be used. On the default port that is only a warning: another program that has it must not keep the
/// server from starting.
pub fn start(instance: &Arc<Instance>, sockets: &Arc<Sockets>) -> io::Result<Option<Admin>> {
    let (bind, port) = (instance.settings.text("admin-bind"), instance.settings.read(ADMIN_PORT));
    if port == 0 {
        return Ok(None);
    }
    match start_on(instance, &bind, port, sockets) {
        Ok(admin) => {
            tracing::info!("Admin plane on http://{}/ (metrics, health, profile)", admin.address);
            Ok(Some(admin))
        }
        Err(error) if port == DEFAULT_PORT => {
            tracing::warn!(
                "No admin plane: {bind}:{port} cannot be used ({error}). Choose another port with 'admin-port', or say \
                 'admin-port 0'."
            );
            Ok(None)
        }
        Err(error) => {
            let hint = listen::advice(error.kind(), "admin-port");
            let text = format!("cannot open the admin port {bind}:{port}: {error}{hint}");
            Err(io::Error::new(error.kind(), text))
        }
    }
}

fn start_on(instance: &Arc<Instance>, bind: &str, port: u16, sockets: &Arc<Sockets>) -> io::Result<Admin> {
    let host = bind.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    let listener = TcpListener::bind(&addresses[..])?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    instance.reporter.of(instance);
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let router = routes::router(Arc::clone(instance), Arc::clone(sockets));
    let thread = std::thread::Builder::new().name("admin".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = serve(listener, router) => {}
                () = stopped.notified() => {}
            }
        });
    })?;
    Ok(Admin { address, stop, thread })
}

async fn serve(listener: TcpListener, router: Router) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("The admin port cannot be served: {error}"),
    };
    let places = Places::new(CONNECTIONS_MAX);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("Accepting on the admin port failed: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // After accepting: silent connections make room only for one that has come.
        let place = places.take().await;
        let (router, answered) = (TowerToHyperService::new(router.clone()), Arc::clone(&place));
        let service = service_fn(move |request| {
            let (answering, answer) = (answered.answering(), router.call(request));
            async move {
                let answer = answer.await;
                drop(answering);
                answer
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            tokio::select! {
                // A client that goes away is none of our errors.
                _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection) => {}
                () = place.asked_to_leave() => {}
            }
        });
    }
}

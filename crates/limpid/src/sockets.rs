//! The listening sockets that are open, and how CONFIG SET changes them while the server runs.
//!
//! Not how one is opened (`listen`), and not the serving: the first worker waits for them in its poll and accepts.
//!
//! Invariants:
//! 1. What is open is what `bind` and `port` say, or, after an error, what they said before.
//! 2. Clients that are connected keep their connections, whatever is closed.
//! 3. When a change returns, old addresses refuse and new ones accept: the sockets are changed by the thread that asks,
//!    not later by the one that accepts.
//!
//! Thread safety: shared; one lock, a leaf, held for one accept or one change.

use crate::listen::{self, Listener, Peer};
use engine::config::{Setting, Settings};
use engine::state::clients::Origin;
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use parking_lot::Mutex;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

/// 0 listens on no TCP port.
const PORT: Setting<u16> = Setting::of("port");
const TCP_BACKLOG: Setting<u32> = Setting::of("tcp-backlog");
/// 0 leaves the permissions to umask.
const UNIXSOCKETPERM: Setting<u32> = Setting::of("unixsocketperm");

/// The most sockets there are, and so the tokens they need: 16 addresses of `bind` and a unix socket.
pub const SOCKETS_MAX: usize = 17;

/// The unix socket's number; those of TCP follow.
const UNIX: usize = 0;

/// Which poll waits for the sockets.
struct Place {
    registry: Registry,
    first_token: usize,
}

struct Open {
    place: Option<Place>,
    unix: Option<Listener>,
    tcp: Vec<Listener>,
    /// What `bind` and `port` said when these were opened.
    bind: Vec<String>,
    asked_port: u16,
    /// 0 without TCP. Another than `asked_port` if the system chose it.
    port: u16,
}

/// See the module's text.
pub struct Sockets {
    open: Mutex<Open>,
    port: AtomicU16,
    backlog: u32,
}

impl Sockets {
    /// Opens every socket that the settings ask for.
    ///
    /// # Errors
    /// An address that cannot be listened on, or none at all.
    pub fn open(settings: &Settings) -> io::Result<Sockets> {
        let (bind, asked_port, backlog) =
            (settings.words("bind"), settings.read(PORT), settings.read(TCP_BACKLOG));
        let path = settings.text("unixsocket");
        let wants_tcp = asked_port != 0 || path.is_empty();
        let tcp = if wants_tcp { listen::bind_all(&bind, asked_port, backlog)? } else { Vec::new() };
        let port = port_of(&tcp)?;
        let unix = match path.is_empty() {
            true => None,
            false => {
                let permissions = settings.read(UNIXSOCKETPERM);
                Some(listen::bind_unix(PathBuf::from(path), (permissions != 0).then_some(permissions))?)
            }
        };
        if tcp.is_empty() && unix.is_none() {
            return Err(io::Error::other("no address to listen on: set bind and port, or unixsocket"));
        }
        let tcp = tcp.into_iter().map(Listener::Tcp).collect();
        let open = Mutex::new(Open { place: None, unix, tcp, bind, asked_port, port });
        Ok(Sockets { open, port: AtomicU16::new(port), backlog })
    }

    /// The TCP port, 0 without one.
    pub fn port(&self) -> u16 {
        self.port.load(Relaxed)
    }

    /// Has the poll of `registry` wait for the sockets from now on. Their tokens are `first_token` and up to
    /// [`SOCKETS_MAX`] in all.
    pub fn wait_with(&self, registry: &Registry, first_token: usize) -> io::Result<()> {
        let mut open = self.open.lock();
        open.place = Some(Place { registry: registry.try_clone()?, first_token });
        open.register(true)
    }

    /// Accepts one client of the socket with this number; None when nobody waits there, or when it is gone.
    ///
    /// # Errors
    /// See [`Listener::accept`].
    pub fn accept(&self, number: usize) -> io::Result<Option<(Peer, Origin)>> {
        let open = self.open.lock();
        let listener = if number == UNIX { open.unix.as_ref() } else { open.tcp.get(number - 1) };
        listener.map_or(Ok(None), Listener::accept)
    }

    /// Listens where `bind` and `port` say now.
    ///
    /// # Errors
    /// What the client is told; the log has the reason. The sockets are as they were.
    pub fn follow(&self, settings: &Settings) -> Result<(), String> {
        let (bind, asked_port) = (settings.words("bind"), settings.read(PORT));
        let mut open = self.open.lock();
        let port = if asked_port == open.asked_port { open.port } else { asked_port };
        let changed = if bind != open.bind {
            self.rebind(&mut open, &bind, port)
        } else if asked_port != open.asked_port {
            self.change_port(&mut open, port)
        } else {
            return Ok(());
        };
        self.port.store(open.port, Relaxed);
        changed?;
        (open.bind, open.asked_port) = (bind, asked_port);
        Ok(())
    }

    /// Closes them all and removes the unix socket's file: at the end, because the settings keep this alive.
    pub fn close(&self) {
        let mut open = self.open.lock();
        open.unix = None;
        open.tcp.clear();
    }

    /// The old port is let go only when the new one is had.
    fn change_port(&self, open: &mut Open, port: u16) -> Result<(), String> {
        let reason = |error: io::Error| {
            tracing::warn!("CONFIG SET port: {error}");
            "Unable to listen on this port. Check server logs.".to_owned()
        };
        let tcp = self.listen(&open.bind, port).map_err(reason)?;
        open.replace(tcp, port).map_err(reason)
    }

    /// The old addresses are let go first: `0.0.0.0` and `127.0.0.1` cannot both be had on one port.
    fn rebind(&self, open: &mut Open, bind: &[String], port: u16) -> Result<(), String> {
        let before = open.port;
        let changed = open.replace(Vec::new(), 0).and_then(|()| {
            let tcp = self.listen(bind, port)?;
            open.replace(tcp, port)
        });
        let Err(error) = changed else { return Ok(()) };
        tracing::warn!("CONFIG SET bind: {error}");
        let restored = self.listen(&open.bind, before).and_then(|tcp| open.replace(tcp, before));
        if let Err(error) = restored {
            tracing::error!("Nobody can connect over TCP any more, the old addresses are lost too: {error}");
        }
        Err("Failed to bind to specified addresses.".to_owned())
    }

    fn listen(&self, bind: &[String], port: u16) -> io::Result<Vec<TcpListener>> {
        // At run time, 0 closes; only at start it may mean a port of the system's choice.
        if port == 0 { Ok(Vec::new()) } else { listen::bind_all(bind, port, self.backlog) }
    }
}

impl Open {
    /// Closes the TCP sockets and waits for `tcp` in their place.
    fn replace(&mut self, tcp: Vec<TcpListener>, port: u16) -> io::Result<()> {
        if let Some(place) = &self.place {
            for listener in &mut self.tcp {
                place.registry.deregister(listener.source())?;
            }
        }
        self.tcp = tcp.into_iter().map(Listener::Tcp).collect();
        self.port = port;
        self.register(false)
    }

    fn register(&mut self, with_unix: bool) -> io::Result<()> {
        let Some(place) = &self.place else { return Ok(()) };
        let unix = self.unix.iter_mut().filter(|_| with_unix).map(|listener| (UNIX, listener));
        for (number, listener) in unix.chain(self.tcp.iter_mut().enumerate().map(|(n, l)| (n + 1, l))) {
            let token = Token(place.first_token + number);
            place.registry.register(listener.source(), token, Interest::READABLE)?;
        }
        Ok(())
    }
}

/// The port of the first socket, 0 without one.
fn port_of(tcp: &[TcpListener]) -> io::Result<u16> {
    tcp.first().map_or(Ok(0), |listener| Ok(listener.local_addr()?.port()))
}

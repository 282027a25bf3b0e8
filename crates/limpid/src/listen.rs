//! Listening sockets, and what is decided about a client before it is served: room, protection, socket options.
//!
//! Not the serving: an accepted socket is handed to a worker. Not which of them are open: `sockets` holds those.
//!
//! Thread safety: none of its own.

use engine::Instance;
use engine::config::Setting;
use engine::state::clients::Origin;
use engine::state::session::REQUIRES_PASSWORD;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const MAXCLIENTS: Setting<usize> = Setting::of("maxclients");
const PROTECTED_MODE: Setting<bool> = Setting::of("protected-mode");

/// A socket that accepts clients.
pub enum Listener {
    Tcp(TcpListener),
    Unix { listener: UnixListener, path: PathBuf, file: PathBuf },
}

/// An accepted client's socket.
pub enum Peer {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsFd for Peer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Peer::Tcp(stream) => stream.as_fd(),
            Peer::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Peer {
    pub fn raw_fd(&self) -> i32 {
        self.as_fd().as_raw_fd()
    }

    /// The part of the socket that mio can wait for.
    pub fn source(&mut self) -> &mut dyn mio::event::Source {
        match self {
            Peer::Tcp(stream) => stream,
            Peer::Unix(stream) => stream,
        }
    }
}

/// Listens on `port` of every address of `bind`; with port 0 the system chooses one, the same for all.
///
/// # Errors
/// An address that cannot be bound, with its text; nothing listens then. An optional address (`-::1`) that this machine
/// lacks is passed over.
pub fn bind_all(bind: &[String], port: u16, backlog: u32) -> io::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for address in bind {
        let (name, is_optional) = match address.strip_prefix('-') {
            Some(name) => (name, true),
            None => (address.as_str(), false),
        };
        let wanted = match listeners.first() {
            Some(first) if port == 0 => first.local_addr()?.port(),
            _ => port,
        };
        match bind_tcp(name, wanted, backlog) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_optional && is_missing(&error) => {
                tracing::debug!("Not listening on {name}: {error}");
            }
            Err(error) => {
                let hint = advice(error.kind(), "port");
                let text =
                    format!("Could not create server TCP listening socket {name}:{wanted}: {error}{hint}");
                return Err(io::Error::new(error.kind(), text));
            }
        }
    }
    Ok(listeners)
}

/// Whether an address cannot be bound because the machine lacks it, and not because somebody else has its port.
fn is_missing(error: &io::Error) -> bool {
    !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

/// Listens on the unix socket at `path`.
///
/// # Errors
/// It cannot be opened, with its path.
pub fn bind_unix(path: PathBuf, permissions: Option<u32>) -> io::Result<Listener> {
    let explain = |error: io::Error| {
        io::Error::new(error.kind(), format!("Could not open unix socket {}: {error}", path.display()))
    };
    // A socket file that nobody answers on is left over from a crash.
    if path.exists() && std::os::unix::net::UnixStream::connect(&path).is_err() {
        std::fs::remove_file(&path).map_err(explain)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(&path)?).map_err(explain)?;
    if let Some(mode) = permissions {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).map_err(explain)?;
    }
    socket.listen(511)?;
    socket.set_nonblocking(true)?;
    // Where it is removed at the end, wherever `dir` leads until then.
    let file = std::path::absolute(&path)?;
    Ok(Listener::Unix { listener: UnixListener::from_std(socket.into()), path, file })
}

/// What to do about an address that cannot be listened on, to be put behind the error. `directive` chooses the port.
pub fn advice(kind: io::ErrorKind, directive: &str) -> String {
    match kind {
        io::ErrorKind::AddrInUse => format!(
            ". Another process listens there (`ss -ltnp` names it): stop it, or choose another port with '{directive}'."
        ),
        io::ErrorKind::PermissionDenied => {
            format!(". Ports below 1024 need a privilege: choose another one with '{directive}'.")
        }
        io::ErrorKind::AddrNotAvailable => {
            ". This machine does not have that address (`ip address` lists those it \
                                            has): a leading '-' in 'bind' passes over what is missing."
                .to_owned()
        }
        _ => String::new(),
    }
}

fn bind_tcp(name: &str, port: u16, backlog: u32) -> io::Result<TcpListener> {
    let name = match name {
        "*" => "0.0.0.0",
        "::*" => "::",
        name => name,
    };
    let address =
        (name, port).to_socket_addrs()?.next().ok_or_else(|| io::Error::other("no such address"))?;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(511))?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix { file, .. } = self {
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Listener {
    pub fn source(&mut self) -> &mut dyn mio::event::Source {
        match self {
            Listener::Tcp(listener) => listener,
            Listener::Unix { listener, .. } => listener,
        }
    }

    /// Accepts one client; None when nobody waits.
    ///
    /// # Errors
    /// The process has no descriptors left, or the like; worth a pause.
    pub fn accept(&self) -> io::Result<Option<(Peer, Origin)>> {
        let accepted = match self {
            Listener::Tcp(listener) => listener.accept().and_then(|(stream, peer)| {
                let local = stream.local_addr()?;
                Ok((Peer::Tcp(stream), Origin::Tcp { peer, local }))
            }),
            Listener::Unix { listener, path, .. } => listener
                .accept()
                .map(|(stream, _)| (Peer::Unix(stream), Origin::Unix { path: path.display().to_string() })),
        };
        match accepted {
            Ok(client) => Ok(Some(client)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            // The client gave up between its SYN and our accept.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => self.accept(),
            Err(error) => Err(error),
        }
    }
}

/// The error that a client is turned away with, if it is.
pub fn refusal(instance: &Instance, origin: &Origin) -> Option<&'static str> {
    if instance.clients.len() >= instance.settings.read(MAXCLIENTS) {
        return Some("-ERR max number of clients reached\r\n");
    }
    let is_remote = |peer: &SocketAddr| !peer.ip().to_canonical().is_loopback();
    let Origin::Tcp { peer, .. } = origin else { return None };
    (instance.settings.read(PROTECTED_MODE) && !instance.settings.read(REQUIRES_PASSWORD) && is_remote(peer)).then_some(
        "-DENIED Running in protected mode because protected mode is enabled and no password is set for the \
         default user. In this mode connections are only accepted from the loopback interface. To connect from \
         other computers, set a password with 'requirepass', or bind to chosen addresses and send CONFIG SET \
         protected-mode no from the loopback interface.\r\n",
    )
}

/// Tells a client why it is turned away and closes it.
pub fn turn_away(instance: &Instance, peer: Peer, why: &str) {
    instance.counters.rejected_connections.fetch_add(1, Relaxed);
    // One attempt: a client that cannot take a line right after connecting is not waited for.
    let _ = match peer {
        Peer::Tcp(mut stream) => stream.write(why.as_bytes()),
        Peer::Unix(mut stream) => stream.write(why.as_bytes()),
    };
}

/// Sets what every client's socket needs.
pub fn prepare(peer: &Peer, keepalive_seconds: u32) {
    let Peer::Tcp(stream) = peer else { return };
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    if keepalive_seconds > 0 {
        let third = Duration::from_secs(u64::from(keepalive_seconds / 3).max(1));
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(keepalive_seconds.into()))
            .with_interval(third)
            .with_retries(3);
        let _ = socket.set_tcp_keepalive(&keepalive);
    }
}

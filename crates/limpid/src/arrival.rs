//! When bytes arrived: the kernel's receive timestamps (socket(7), SO_TIMESTAMPNS).
//!
//! Not used for every read: asking for the timestamp makes a read dearer. A worker asks when it comes back from a long
//! cycle, because only then can a request have waited in the socket for long; otherwise the moment `poll` returned is
//! the stated lower bound of a request's arrival.
//!
//! Invariant: a timestamp that the wall clock contradicts (it was set meanwhile) counts as "now".
//!
//! Thread safety: free functions.

use crate::listen::Peer;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};
use observe::os::clock::{self, Ticks};
use std::io::IoSliceMut;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A request that waited longer than this did not: the clock was set.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Asks the kernel to stamp what arrives at this socket. Without it, reads are simply not stamped.
pub fn stamp(peer: &Peer) {
    let _ = setsockopt(peer, ReceiveTimestampns, &true);
}

/// Reads as `recv` does, with the moment the bytes arrived, if the kernel knows it.
///
/// # Errors
/// Those of recvmsg(2).
pub fn receive(peer: &Peer, buffer: &mut [u8]) -> Result<(usize, Option<Ticks>), nix::errno::Errno> {
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let mut slices = [IoSliceMut::new(buffer)];
    let message =
        recvmsg::<SockaddrStorage>(peer.raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty())?;
    let mut arrived = None;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmTimestampns(at) = part {
            arrived =
                waited(at.tv_sec(), at.tv_nsec()).map(|waited| clock::now().before(waited.as_nanos() as u64));
        }
    }
    Ok((message.bytes, arrived))
}

/// How long ago a moment of the wall clock was.
fn waited(seconds: i64, nanoseconds: i64) -> Option<Duration> {
    let at = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanoseconds).ok()?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    now.checked_sub(at).filter(|waited| *waited < WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::thread::sleep;

    /// Bytes that lie in their socket for `waiting`, and when the kernel says they came.
    fn receive_after(waiting: Duration) -> Option<Ticks> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let mut client =
            std::net::TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        let (server, _) = listener.accept().expect("accept");
        let peer = Peer::Tcp(mio::net::TcpStream::from_std(server));
        stamp(&peer);
        client.write_all(b"PING").expect("write");
        sleep(waiting);
        let mut buffer = [0; 16];
        let (received, arrived) = receive(&peer, &mut buffer).expect("receive");
        assert_eq!(received, 4);
        arrived
    }

    #[test]
    fn bytes_that_waited_in_the_socket_show_it() {
        let waiting = Duration::from_millis(30);
        // The kernel switches stamping on some moment after the first socket on the machine asks for it.
        let keeps_it_on = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind");
        setsockopt(&keeps_it_on, ReceiveTimestampns, &true).expect("an option of Linux");
        let arrived = (0..100).find_map(|_| receive_after(waiting)).expect("the kernel stamps TCP");
        let waited_ns = clock::now().ns_since(arrived);
        assert!(waited_ns >= 29_000_000, "only {waited_ns} ns although the bytes lay there for 30 ms");
    }
}

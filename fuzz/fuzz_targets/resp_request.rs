//! Any bytes as a request stream: no panic, the same requests however the stream is cut, memory in proportion
//! to what was received.
//!
//! Input: one byte of options, one byte with the number of cuts, two bytes for each, then the stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{Args, Limits, Parsed, ProtocolError, RequestParser};

type Requests = Vec<Vec<Vec<u8>>>;

fuzz_target!(|data: &[u8]| {
    let Some((&[options, cut_count], rest)) = data.split_first_chunk() else { return };
    let Some((cut_bytes, stream)) = rest.split_at_checked(usize::from(cut_count % 16) * 2) else { return };
    let limits = Limits { bulk_bytes_max: 1 << (options >> 3), authenticated: options & 1 == 0 };
    let mut cuts: Vec<usize> = cut_bytes
        .chunks_exact(2)
        .map(|pair| usize::from(u16::from_le_bytes([pair[0], pair[1]])) % (stream.len() + 1))
        .collect();
    cuts.sort_unstable();

    let whole = feed(stream, &[], &limits, 0);
    let in_pieces = feed(stream, &cuts, &limits, usize::from(options >> 1 & 3));
    assert_eq!(in_pieces, whole, "the cuts {cuts:?} matter");
});

/// The requests of `stream`, fed in pieces that end at `cuts`, and how it ended: an error, or bytes left.
fn feed(
    stream: &[u8],
    cuts: &[usize],
    limits: &Limits,
    junk: usize,
) -> (Requests, Result<usize, ProtocolError>) {
    let mut parser = RequestParser::new();
    let (mut tail, mut found, mut taken) = (Vec::new(), Requests::new(), 0);
    for &cut in cuts.iter().chain([&stream.len()]) {
        let mut buffer = vec![b'$'; junk];
        buffer.append(&mut tail);
        buffer.extend_from_slice(&stream[taken..cut]);
        taken = cut;
        let mut position = junk;
        loop {
            let mut spans = Vec::new();
            match parser.parse(&buffer, &mut position, &mut spans, limits) {
                Ok(Parsed::Request) => {
                    assert!(!spans.is_empty() && parser.is_idle() && parser.memory_bytes() == 0);
                    found.push(Args::new(&buffer, &spans).iter().map(<[u8]>::to_vec).collect());
                }
                Ok(Parsed::Rewritten(args)) => {
                    assert!(spans.is_empty() && !args.is_empty());
                    found.push(args.as_args().iter().map(<[u8]>::to_vec).collect());
                }
                Ok(Parsed::Incomplete) => {
                    assert!(spans.is_empty());
                    break;
                }
                Err(error) => return (found, Err(error)),
            }
        }
        assert_eq!(parser.is_idle(), position == buffer.len());
        assert!(parser.memory_bytes() <= 64 + 3 * (buffer.len() - position));
        tail = buffer.split_off(position);
    }
    (found, Ok(tail.len()))
}

//! Properties of the request parser over whole streams: how the bytes were cut does not matter, no bytes make
//! it panic, and its memory is bounded by what it was given. Proptest prints the failing case and its seed.

use proptest::collection::vec;
use proptest::prelude::*;
use wire::{Args, Limits, Parsed, RequestParser};

const LIMITS: Limits = Limits { bulk_bytes_max: 1 << 20, authenticated: true };

type Requests = Vec<Vec<Vec<u8>>>;

/// Feeds `stream` in pieces that end at `cuts`, as a connection does: what a piece leaves over is moved to the
/// front of another buffer, behind `junk` bytes, and the next piece is appended. Returns the requests and how
/// it ended: an error's text, or how many bytes were left.
fn feed(stream: &[u8], cuts: &[usize], limits: &Limits, junk: usize) -> (Requests, String) {
    let mut parser = RequestParser::new();
    let mut tail: Vec<u8> = Vec::new();
    let mut found = Requests::new();
    let mut taken = 0;
    for &cut in cuts.iter().chain([&stream.len()]) {
        let mut buffer = vec![b'*'; junk];
        buffer.extend_from_slice(&tail);
        buffer.extend_from_slice(&stream[taken..cut]);
        taken = cut;
        let mut position = junk;
        loop {
            let mut spans = Vec::new();
            match parser.parse(&buffer, &mut position, &mut spans, limits) {
                Ok(Parsed::Request) => {
                    assert!(parser.is_idle());
                    found.push(Args::new(&buffer, &spans).iter().map(<[u8]>::to_vec).collect());
                }
                Ok(Parsed::Rewritten(args)) => {
                    assert!(spans.is_empty());
                    found.push(args.as_args().iter().map(<[u8]>::to_vec).collect());
                }
                Ok(Parsed::Incomplete) => break,
                Err(error) => {
                    assert!(parser.is_idle() && spans.is_empty());
                    return (found, error.to_string());
                }
            }
            assert!(found.last().is_some_and(|request| !request.is_empty()), "an empty request came out");
        }
        assert!(position >= junk && position <= buffer.len());
        // An argument takes six bytes at least, and its span eight; a vector may have twice what it needs.
        assert!(parser.memory_bytes() <= 64 + 3 * (buffer.len() - position), "more memory than received");
        assert_eq!(parser.is_idle(), position == buffer.len());
        tail = buffer.split_off(position);
    }
    (found, format!("{} left", tail.len()))
}

fn encode(request: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", request.len()).into_bytes();
    for argument in request {
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn cut_points(len: usize, cuts: &[prop::sample::Index]) -> Vec<usize> {
    let mut points: Vec<usize> = cuts.iter().map(|cut| cut.index(len + 1)).collect();
    points.sort_unstable();
    points
}

/// A stream that is nearly right: whole requests, empty ones, inline lines, and damaged pieces between them.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let argument = prop_oneof![8 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 990..1100)];
    let request = vec(argument, 1..14).prop_map(|request| encode(&request));
    let inline = "[ a-z\"'\\\\\\t\\x0bxn0-9A-F]{0,30}\r?\n".prop_map(String::into_bytes);
    let odd = prop_oneof![
        Just(b"*0\r\n".to_vec()),
        Just(b"*-1\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"*1\r\n$1048577\r\n".to_vec()),
        Just(b"*3\r\n$1000\r\n".to_vec()),
        Just(b"*1\r\n$\r\n".to_vec()),
        vec(any::<u8>(), 0..6),
        "[*$0-9\r\n-]{0,12}".prop_map(String::into_bytes),
    ];
    let piece = prop_oneof![6 => request, 3 => inline, 1 => odd];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_cuts_do_not_matter(
        stream in streams(),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
        junk in 0_usize..20,
        authenticated: bool,
    ) {
        let limits = Limits { authenticated, ..LIMITS };
        let whole = feed(&stream, &[], &limits, 0);
        prop_assert_eq!(&feed(&stream, &cut_points(stream.len(), &cuts), &limits, junk), &whole);
        let every_byte: Vec<usize> = (0..stream.len()).collect();
        prop_assert_eq!(&feed(&stream, &every_byte, &limits, junk), &whole);
    }

    #[test]
    fn what_was_encoded_comes_out(requests in vec(vec(vec(any::<u8>(), 0..60), 1..30), 0..6)) {
        let stream: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
        prop_assert_eq!(feed(&stream, &[], &LIMITS, 3), (requests, "0 left".to_string()));
    }

    #[test]
    fn garbage_is_survived(stream in vec(any::<u8>(), 0..2000), cuts in vec(any::<prop::sample::Index>(), 0..5)) {
        let whole = feed(&stream, &[], &LIMITS, 0);
        prop_assert_eq!(feed(&stream, &cut_points(stream.len(), &cuts), &LIMITS, 1), whole);
    }
}

#[test]
fn a_million_arguments_in_pieces_are_parsed_once() {
    let request = vec![b"x".to_vec(); 1_000_000];
    let stream = encode(&request);
    let cuts: Vec<usize> = (0..stream.len()).step_by(64 * 1024).collect();
    let mut parser = RequestParser::new();
    let mut spans = Vec::new();
    let mut position = 0;
    for &cut in &cuts {
        assert_eq!(parser.parse(&stream[..cut], &mut position, &mut spans, &LIMITS), Ok(Parsed::Incomplete));
    }
    assert_eq!(parser.parse(&stream, &mut position, &mut spans, &LIMITS), Ok(Parsed::Request));
    assert_eq!((spans.len(), position, parser.memory_bytes()), (1_000_000, stream.len(), 0));
    assert!(Args::new(&stream, &spans).iter().all(|argument| argument == b"x"));
}

#[test]
fn a_line_without_an_end_is_refused_at_the_same_byte_however_it_is_cut() {
    for prefix in ["", "*", "*1\r\n$"] {
        for excess in [0, 1] {
            let line_len = 64 * 1024 + excess - usize::from(!prefix.is_empty());
            let stream = [prefix.as_bytes(), &b"1".repeat(line_len)].concat();
            let whole = feed(&stream, &[], &LIMITS, 0);
            let cuts: Vec<usize> = (0..stream.len()).step_by(777).collect();
            assert_eq!(feed(&stream, &cuts, &LIMITS, 9), whole);
            assert_eq!(whole.1.contains("too big"), excess == 1, "{prefix:?} {excess} {}", whole.1);
        }
    }
}

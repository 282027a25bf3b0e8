//! The arguments of one request, borrowed from the buffer they arrived in, or owned when they must outlive it.
//!
//! Not a parser: `resp.rs` makes the spans, and nothing here looks at what an argument means.
//!
//! Invariants
//! 1. A span of an [`Args`] lies inside its buffer; one that does not reads as an empty argument.
//! 2. The first argument is the command's name.
//!
//! Thread safety: [`Args`] is `Copy` and borrowed; [`OwnedArgs`] is `Send` and may be parked with a connection.

use std::ops::Index;

/// Where one argument lies in its buffer. 32 bits reach 4 GiB, more than any request may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// The bytes of `buffer` that this span covers; empty when it reaches outside.
    #[inline]
    pub fn of(self, buffer: &[u8]) -> &[u8] {
        // Widened first: the sum of two u32 cannot overflow a 64-bit usize.
        let start = self.start as usize;
        buffer.get(start..start.wrapping_add(self.len as usize)).unwrap_or_default()
    }
}

/// The arguments of one request, command name first.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    buffer: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// Arguments that lie at `spans` of `buffer`.
    #[inline]
    pub fn new(buffer: &'a [u8], spans: &'a [Span]) -> Self {
        Self { buffer, spans }
    }

    /// Number of arguments, the command's name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no argument at all, not even a name.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `i`, or `None` behind the last.
    #[inline]
    pub fn get(&self, i: usize) -> Option<&'a [u8]> {
        self.spans.get(i).map(|span| span.of(self.buffer))
    }

    /// Argument `i` with the buffer's lifetime; empty behind the last.
    #[inline]
    pub fn at(&self, i: usize) -> &'a [u8] {
        self.get(i).unwrap_or_default()
    }

    /// The arguments in order.
    #[inline]
    pub fn iter(&self) -> ArgsIter<'a> {
        ArgsIter { buffer: self.buffer, spans: self.spans.iter() }
    }

    /// The arguments without the first `i`; empty when there are not so many.
    #[inline]
    pub fn from(&self, i: usize) -> Args<'a> {
        Args { buffer: self.buffer, spans: self.spans.get(i..).unwrap_or_default() }
    }

    /// The first `n` arguments; all when there are not so many.
    #[inline]
    pub fn first(&self, n: usize) -> Args<'a> {
        Args { buffer: self.buffer, spans: self.spans.get(..n).unwrap_or(self.spans) }
    }

    /// Bytes of all arguments, without the protocol's framing.
    pub fn bytes_len(&self) -> usize {
        self.spans.iter().map(|span| span.len as usize).sum()
    }

    /// Heap bytes that [`Args::to_owned`] takes.
    pub fn owned_bytes(&self) -> usize {
        self.bytes_len() + self.len() * size_of::<Span>()
    }

    /// A copy that holds just the arguments' bytes.
    pub fn to_owned(&self) -> OwnedArgs {
        let mut owned = OwnedArgs::with_capacity(self.len(), self.bytes_len());
        self.iter().for_each(|argument| owned.push(argument));
        owned
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    /// Argument `i`.
    ///
    /// # Panics
    /// Behind the last argument, as a slice does: dispatch has checked the arity before a body runs.
    #[inline]
    fn index(&self, i: usize) -> &[u8] {
        self.spans[i].of(self.buffer)
    }
}

impl std::fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(String::from_utf8_lossy)).finish()
    }
}

impl<'a> IntoIterator for Args<'a> {
    type Item = &'a [u8];
    type IntoIter = ArgsIter<'a>;

    fn into_iter(self) -> ArgsIter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Args<'a> {
    type Item = &'a [u8];
    type IntoIter = ArgsIter<'a>;

    fn into_iter(self) -> ArgsIter<'a> {
        self.iter()
    }
}

/// Iterator over [`Args`].
#[derive(Clone)]
pub struct ArgsIter<'a> {
    buffer: &'a [u8],
    spans: std::slice::Iter<'a, Span>,
}

impl<'a> Iterator for ArgsIter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.spans.next().map(|span| span.of(self.buffer))
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl DoubleEndedIterator for ArgsIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.spans.next_back().map(|span| span.of(self.buffer))
    }
}

impl ExactSizeIterator for ArgsIter<'_> {}

/// Arguments that own their bytes: queued by MULTI, parked while they wait, or rewritten by the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedArgs {
    /// Empty, with room for `arguments` of `bytes` bytes together.
    pub fn with_capacity(arguments: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), spans: Vec::with_capacity(arguments) }
    }

    /// A copy of `slices`, command name first.
    pub fn from_slices<S: AsRef<[u8]>>(slices: &[S]) -> Self {
        let bytes = slices.iter().map(|slice| slice.as_ref().len()).sum();
        let mut owned = Self::with_capacity(slices.len(), bytes);
        slices.iter().for_each(|slice| owned.push(slice.as_ref()));
        owned
    }

    /// Appends one argument.
    ///
    /// # Panics
    /// When all arguments together exceed 4 GiB: the parser refuses such a request long before.
    pub fn push(&mut self, argument: &[u8]) {
        let start = u32::try_from(self.bytes.len()).expect("arguments exceed 4 GiB");
        let len = u32::try_from(argument.len()).expect("argument exceeds 4 GiB");
        self.bytes.extend_from_slice(argument);
        self.spans.push(Span { start, len });
    }

    /// The arguments, borrowed.
    #[inline]
    pub fn as_args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.spans)
    }

    /// Number of arguments.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no argument.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Heap bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Span>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(pairs: &[(u32, u32)]) -> Vec<Span> {
        pairs.iter().map(|&(start, len)| Span { start, len }).collect()
    }

    #[test]
    fn arguments_are_read_in_place() {
        let spans = spans(&[(0, 3), (4, 3), (8, 0)]);
        let args = Args::new(b"SET key ", &spans);
        assert_eq!(args.len(), 3);
        assert_eq!(&args[0], b"SET");
        assert_eq!(args.at(1), b"key");
        assert_eq!(args.get(2), Some(&b""[..]));
        assert_eq!(args.get(3), None);
        assert_eq!(args.at(3), b"");
        assert_eq!(args.from(1).iter().collect::<Vec<_>>(), [&b"key"[..], b""]);
        assert!(args.from(9).is_empty());
        assert_eq!(args.first(2).len(), 2);
        assert_eq!(args.first(7).len(), 3);
        assert_eq!(args.bytes_len(), 6);
        assert_eq!(format!("{args:?}"), r#"["SET", "key", ""]"#);
    }

    #[test]
    #[should_panic(expected = "index out of bounds")]
    fn indexing_behind_the_last_argument_panics() {
        let spans = spans(&[(0, 3)]);
        let _ = &Args::new(b"GET", &spans)[1];
    }

    #[test]
    fn a_span_outside_the_buffer_is_empty() {
        let spans = spans(&[(2, 9), (u32::MAX, u32::MAX)]);
        let args = Args::new(b"GET", &spans);
        assert_eq!((args.at(0), args.at(1)), (&b""[..], &b""[..]));
    }

    #[test]
    fn owned_arguments_hold_only_their_bytes() {
        let spans = spans(&[(10, 3), (2, 4)]);
        let owned = Args::new(b"..key1....GET", &spans).to_owned();
        assert_eq!(owned, OwnedArgs::from_slices(&["GET", "key1"]));
        assert_eq!(owned.as_args().at(1), b"key1");
        assert_eq!(owned.memory_bytes(), 7 + 2 * 8);
        assert_eq!(owned.memory_bytes(), owned.as_args().owned_bytes());
        assert_eq!((owned.len(), owned.is_empty()), (2, false));
    }
}

//! DEBUG DIGEST and DIGEST-VALUE: twenty bytes that are equal for equal data, by the algorithm of Redis, so that
//! suites can compare a server with another one.
//!
//! A value's digest *mixes in* its type and its bytes and *adds* a mark if it has a deadline (not which); a key's mixes
//! in its name first; the data's adds those of all keys, so that their order does not matter. To add is to combine the
//! SHA-1 of the bytes by exclusive or, to mix in is to add and to take the SHA-1 of the result.
//!
//! Not a protection against anybody: SHA-1 is here for its fame.
//!
//! Thread safety: plain values.

use keyspace::EntryRef;

/// See the module's text.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Digest([u8; 20]);

/// The type's number of a string.
const STRING: u32 = 0;

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        self.0.iter_mut().zip(sha1(bytes)).for_each(|(mine, more)| *mine ^= more);
    }

    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = sha1(&self.0);
    }

    fn mix_value(&mut self, entry: &EntryRef<'_>) {
        self.mix(&STRING.to_be_bytes());
        self.mix(entry.value().bytes());
        if entry.expiry_ms().is_some() {
            self.add(b"!!expire!!");
        }
    }

    pub(super) fn of_value(entry: &EntryRef<'_>) -> Digest {
        let mut digest = Digest::default();
        digest.mix_value(entry);
        digest
    }

    /// Takes up a database that has keys, before those.
    pub(super) fn begin_database(&mut self, number: usize) {
        self.mix(&(number as u32).to_be_bytes());
    }

    pub(super) fn add_key(&mut self, entry: &EntryRef<'_>) {
        let mut digest = Digest::default();
        digest.mix(entry.key());
        digest.mix_value(entry);
        self.add(&digest.0);
    }

    pub(super) fn hexadecimal(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// FIPS 180-4, section 6.1.
fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut blocks = bytes.chunks_exact(64);
    blocks.by_ref().for_each(|block| compress(&mut state, block));
    let rest = blocks.remainder();
    let mut tail = [0; 128];
    tail[..rest.len()].copy_from_slice(rest);
    tail[rest.len()] = 0x80;
    // The mark and the length, eight bytes, must fit behind the rest.
    let end = if rest.len() + 9 > 64 { 128 } else { 64 };
    tail[end - 8..end].copy_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
    tail[..end].chunks_exact(64).for_each(|block| compress(&mut state, block));
    let mut digest = [0; 20];
    digest.chunks_exact_mut(4).zip(state).for_each(|(part, word)| part.copy_from_slice(&word.to_be_bytes()));
    digest
}

fn compress(state: &mut [u32; 5], block: &[u8]) {
    let mut words = [0_u32; 80];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    for t in 16..80 {
        words[t] = (words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16]).rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (t, word) in words.iter().enumerate() {
        let (mixed, constant) = match t / 20 {
            0 => ((b & c) | (!b & d), 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6_u32),
        };
        let next =
            a.rotate_left(5).wrapping_add(mixed).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
        (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
    }
    state.iter_mut().zip([a, b, c, d, e]).for_each(|(word, more)| *word = word.wrapping_add(more));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standard's examples, and lengths around a block.
    #[test]
    fn sha1_is_sha1() {
        let hex = |bytes: &[u8]| Digest(sha1(bytes)).hexadecimal();
        assert_eq!(hex(b""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(hex(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let two = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(hex(two), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
        assert_eq!(hex(&b"a".repeat(1_000_000)), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    }
}

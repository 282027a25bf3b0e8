//! What the recording does not tell, invented: sizes, times to live and values.
//!
//! A size is drawn from the object's type (a product is not a price) and the object itself, both through a hash, so
//! it is the same in every run. Nothing here pretends to be measured; the demo's output says so.
//!
//! Thread safety: stateless.

use crate::bench::mix64;

/// The median size of a type is between these powers of two: 128 B to 2 KiB, as cached rows and small documents are.
const TYPE_SIZE_LOG2: std::ops::Range<f64> = 7.0..11.0;
/// An object is up to this power of two smaller or larger than its type's median.
const OBJECT_SIZE_LOG2: f64 = 1.0;
/// Times to live that types have. The play takes seconds, so only the shortest are seen to expire.
const TTL_SECONDS: [u32; 4] = [5, 30, 120, 600];

/// What values are filled with; 4 KiB hold the largest value of the recording.
const FILLER_BYTES: usize = 4096;

/// The invented size of the value of an object, in bytes.
pub fn size_bytes(object: u32, kind: u32) -> u32 {
    let type_log2 =
        TYPE_SIZE_LOG2.start + unit(u64::from(kind)) * (TYPE_SIZE_LOG2.end - TYPE_SIZE_LOG2.start);
    let object_log2 = (unit(!u64::from(object)) * 2.0 - 1.0) * OBJECT_SIZE_LOG2;
    (type_log2 + object_log2).exp2() as u32
}

/// The invented time to live of an object of this type.
pub fn ttl_seconds(kind: u32) -> u32 {
    TTL_SECONDS[(mix64(!u64::from(kind)) % TTL_SECONDS.len() as u64) as usize]
}

fn unit(seed: u64) -> f64 {
    (mix64(seed) >> 11) as f64 / (1u64 << 53) as f64
}

/// Writes values.
pub struct ValueWriter {
    filler: Vec<u8>,
}

impl Default for ValueWriter {
    fn default() -> Self {
        Self { filler: (0..FILLER_BYTES as u64).map(|at| b'a' + (mix64(at) % 26) as u8).collect() }
    }
}

impl ValueWriter {
    /// Replaces `value` by `size_bytes` bytes: a JSON document with the key in it when there is room, else letters.
    pub fn write(&self, value: &mut Vec<u8>, key: &[u8], size_bytes: usize) {
        const OPEN: &[u8] = b"{\"key\":\"";
        const MIDDLE: &[u8] = b"\",\"data\":\"";
        const CLOSE: &[u8] = b"\"}";
        value.clear();
        let is_json_safe = key.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
        let frame_bytes = OPEN.len() + key.len() + MIDDLE.len() + CLOSE.len();
        if !is_json_safe || size_bytes < frame_bytes {
            self.fill(value, size_bytes);
            return;
        }
        for part in [OPEN, key, MIDDLE] {
            value.extend_from_slice(part);
        }
        self.fill(value, size_bytes - frame_bytes);
        value.extend_from_slice(CLOSE);
    }

    fn fill(&self, value: &mut Vec<u8>, mut count: usize) {
        while count > 0 {
            let part = self.filler.get(..count).unwrap_or(&self.filler);
            value.extend_from_slice(part);
            count -= part.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_deterministic_and_in_range() {
        for object in 0..10_000u32 {
            let size = size_bytes(object, object % 32);
            assert_eq!(size, size_bytes(object, object % 32));
            assert!((64..=4096).contains(&size), "{size}");
        }
        assert!(TTL_SECONDS.contains(&ttl_seconds(17)));
    }

    #[test]
    fn values_are_json_of_the_exact_size() {
        let writer = ValueWriter::default();
        let mut value = Vec::new();
        for size in [27, 64, 500, 10_000] {
            writer.write(&mut value, b"obj:1:2", size);
            assert_eq!(value.len(), size);
            let json: serde_json::Value = serde_json::from_slice(&value).unwrap();
            assert_eq!(json["key"], "obj:1:2");
        }
        for (key, size) in [(&b"obj:1:2"[..], 0), (b"obj:1:2", 26), (b"quote\"", 100), (b"\xff", 100)] {
            writer.write(&mut value, key, size);
            assert_eq!(value.len(), size);
        }
    }
}

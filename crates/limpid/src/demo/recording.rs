//! The recording that travels in the binary: what objects a web shop read from its database on a busy day.
//!
//! By headissue GmbH, Jens Wilke, CC BY 4.0; see `data/README.md`. Layout of an access, big-endian:
//!
//! ```text
//!  31      27 26                                  9 8                0
//! +----------+-------------------------------------+------------------+
//! |   type   |                 id                  |      index       |
//! +----------+-------------------------------------+------------------+
//! ```
//!
//! Thread safety: immutable once decoded; every player thread has its own cursor.

use std::collections::HashMap;
use std::io::Read;

use foldhash::fast::FixedState;
use lzma_rust2::XzReader;

use super::object;

/// Some 770 KiB for 5 million accesses.
const COMPRESSED: &[u8] = include_bytes!("../../../../data/orm-busy.trace.xz");

/// How the demo names where the traffic comes from.
pub const ATTRIBUTION: &str = "orm-busy of the cache2k traces, by headissue GmbH, Jens Wilke, CC BY 4.0";

/// An object of the recording under the name the demo gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// `obj:<type>:<id>:<index>`.
    pub key: String,
    /// Invented.
    pub size_bytes: u32,
    /// Invented.
    pub ttl_seconds: u32,
}

impl Object {
    fn new(packed: u32) -> Self {
        let (kind, id, index) = (packed >> 27, (packed >> 9) & 0x3_ffff, packed & 0x1ff);
        Self {
            key: format!("obj:{kind}:{id}:{index}"),
            size_bytes: object::size_bytes(packed, kind),
            ttl_seconds: object::ttl_seconds(kind),
        }
    }
}

/// The decoded recording.
#[derive(Debug)]
pub struct Recording {
    /// Every access, in order, as an index into `objects`.
    pub accesses: Vec<u32>,
    /// In order of their first access.
    pub objects: Vec<Object>,
}

impl Recording {
    /// Decodes the embedded recording: about 0.2 s.
    ///
    /// # Errors
    /// When the embedded bytes are damaged.
    pub fn load() -> std::io::Result<Self> {
        let mut bytes = Vec::new();
        XzReader::new(COMPRESSED, false).read_to_end(&mut bytes)?;
        Ok(Self::decode(&bytes))
    }

    fn decode(bytes: &[u8]) -> Self {
        let words = bytes.as_chunks::<4>().0;
        let mut numbers: HashMap<u32, u32, FixedState> = HashMap::default();
        let mut recording = Self { accesses: Vec::with_capacity(words.len()), objects: Vec::new() };
        for &word in words {
            let packed = u32::from_be_bytes(word);
            let number = *numbers.entry(packed).or_insert_with(|| {
                recording.objects.push(Object::new(packed));
                recording.objects.len() as u32 - 1
            });
            recording.accesses.push(number);
        }
        recording
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_is_unpacked_as_drawn() {
        let recording = Recording::decode(&[0xf0, 0, 0, 1, 0x88, 0, 0x02, 0, 0xf0, 0, 0, 1, 0xff, 0xff]);
        let keys: Vec<&str> = recording.objects.iter().map(|object| object.key.as_str()).collect();
        assert_eq!(keys, ["obj:30:0:1", "obj:17:1:0"]);
        assert_eq!(recording.accesses, [0, 1, 0]);
    }

    #[test]
    fn the_recording_is_what_its_readme_says() {
        let recording = Recording::load().unwrap();
        assert_eq!(recording.accesses.len(), 5_000_000);
        assert_eq!(recording.objects.len(), 76_349);
        let types: std::collections::HashSet<&str> =
            recording.objects.iter().filter_map(|object| object.key.split(':').nth(1)).collect();
        assert_eq!(types.len(), 30);
        // The default `maxmemory` of the demo is chosen for this much data.
        let megabytes: u64 =
            recording.objects.iter().map(|object| u64::from(object.size_bytes)).sum::<u64>() >> 20;
        assert!((55..75).contains(&megabytes), "{megabytes} MiB");
        let mut counts = vec![0u32; recording.objects.len()];
        recording.accesses.iter().for_each(|&number| counts[number as usize] += 1);
        let hottest = (0..counts.len()).max_by_key(|&number| counts[number]).unwrap();
        assert_eq!((recording.objects[hottest].key.as_str(), counts[hottest]), ("obj:7:7:0", 27_210));
    }
}

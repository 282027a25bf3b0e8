//! Where the player's steps come from: the embedded recording or a user's CSV.
//!
//! Thread safety: `Traffic` is shared; each player thread has its own cursor over all of it.

use std::path::PathBuf;

use super::csv::{CsvError, CsvReader, Step, Verb};
use super::recording::{ATTRIBUTION, Recording};

/// What is played.
pub enum Traffic {
    Recording(Recording),
    Csv(PathBuf),
}

impl Traffic {
    /// A cursor at the first step.
    ///
    /// # Errors
    /// When the CSV cannot be opened.
    pub fn cursor(&self) -> Result<Cursor<'_>, CsvError> {
        Ok(match self {
            Self::Recording(recording) => Cursor::Recording { recording, next: 0 },
            Self::Csv(path) => Cursor::Csv(CsvReader::open(path)?),
        })
    }

    /// How many steps there are, when that is known beforehand.
    pub fn steps(&self) -> Option<u64> {
        match self {
            Self::Recording(recording) => Some(recording.accesses.len() as u64),
            Self::Csv(_) => None,
        }
    }

    /// What it is and how much of it is real.
    pub fn description(&self) -> String {
        match self {
            Self::Recording(recording) => format!(
                "the database objects that a web shop read on a busy day ({ATTRIBUTION}): {} accesses to {} objects.\n\
                 Keys and their order are real; value sizes and times to live are invented, for the recording has none.",
                crate::bench::grouped(recording.accesses.len() as u64),
                crate::bench::grouped(recording.objects.len() as u64),
            ),
            Self::Csv(path) => format!("{} (values are made up to the given sizes)", path.display()),
        }
    }
}

/// A place in the traffic.
pub enum Cursor<'a> {
    Recording { recording: &'a Recording, next: usize },
    Csv(CsvReader),
}

impl Cursor<'_> {
    /// The next step, or `None` at the end.
    ///
    /// # Errors
    /// When the CSV cannot be read on, or a line is wrong.
    #[inline]
    pub fn next(&mut self) -> Result<Option<Step<'_>>, CsvError> {
        match self {
            Self::Csv(reader) => reader.next(),
            Self::Recording { recording, next } => {
                let number = recording.accesses.get(*next);
                *next += 1;
                Ok(number.and_then(|&number| recording.objects.get(number as usize)).map(|object| Step {
                    verb: Verb::Get,
                    key: object.key.as_bytes(),
                    size_bytes: Some(object.size_bytes),
                    ttl_seconds: Some(object.ttl_seconds),
                }))
            }
        }
    }
}

//! What INFO and MEMORY may ask of jemalloc.
//!
//! Not the counting of used memory, which is `keyspace::memory`: these are jemalloc's own figures, pages included.
//! Giving pages back on demand (MEMORY PURGE) is absent: jemalloc does it by itself within ten seconds, and its control
//! interface for it is not a safe one.
//!
//! Thread safety: jemalloc's control interface takes its own locks; an answer costs some ten microseconds.

use commands::instance::{Allocator, AllocatorFigures};
use tikv_jemalloc_ctl::stats_print::{Options, stats_print};
use tikv_jemalloc_ctl::{Result, epoch, stats, version};

/// jemalloc, as the instance asks it.
pub const JEMALLOC: Allocator = Allocator { name, figures, report };

/// Name and version without the commit: `jemalloc-5.3.1`.
fn name() -> String {
    let text = version::read().unwrap_or_default();
    format!("jemalloc-{}", text.split('-').next().unwrap_or_default())
}

fn figures() -> AllocatorFigures {
    let read = || -> Result<AllocatorFigures> {
        // Statistics are of the last epoch; this begins a new one.
        epoch::advance()?;
        Ok(AllocatorFigures {
            allocated: stats::allocated::read()? as u64,
            active: stats::active::read()? as u64,
            resident: stats::resident::read()? as u64,
        })
    };
    read().unwrap_or_default()
}

/// All arenas together, without the tables of size classes.
fn report() -> String {
    let mut text = Vec::new();
    let mut options = Options::default();
    options.skip_per_arena = true;
    options.skip_bin_size_classes = true;
    options.skip_large_size_classes = true;
    match stats_print(&mut text, options) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => format!("jemalloc gave no report: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jemalloc_knows_itself() {
        let figures = figures();
        assert!(0 < figures.allocated && figures.allocated <= figures.active && figures.active <= figures.resident);
        assert!(name().starts_with("jemalloc-5."), "{}", name());
        assert!(report().contains("Allocated: "));
    }
}

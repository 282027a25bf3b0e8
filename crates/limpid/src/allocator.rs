//! What INFO and MEMORY may ask of jemalloc.
//!
//! Not the counting of used memory, which is `keyspace::memory`: these are jemalloc's own figures, pages included.
//!
//! Thread safety: jemalloc's control interface takes its own locks; an answer costs some ten microseconds.

use engine::state::instance::{Allocator, AllocatorFigures};
use std::ptr::null_mut;
use tikv_jemalloc_ctl::stats_print::{Options, stats_print};
use tikv_jemalloc_ctl::{Result, epoch, stats, version};

/// jemalloc, as the instance asks it.
pub const JEMALLOC: Allocator = Allocator { name, figures, purge, report };

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

/// Gives the unused pages of all arenas back; jemalloc does so by itself, but within ten seconds.
fn purge() {
    // 4096 is MALLCTL_ARENAS_ALL.
    let name = c"arena.4096.purge";
    // SAFETY: the name ends with a zero byte; this control takes and returns nothing, hence no pointers.
    let error = unsafe { tikv_jemalloc_sys::mallctl(name.as_ptr(), null_mut(), null_mut(), null_mut(), 0) };
    if error != 0 {
        tracing::warn!("jemalloc would not purge: error {error}");
    }
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
        assert!(
            0 < figures.allocated
                && figures.allocated <= figures.active
                && figures.active <= figures.resident
        );
        assert!(name().starts_with("jemalloc-5."), "{}", name());
        assert!(report().contains("Allocated: "));
    }

    #[test]
    fn a_purge_gives_pages_back() {
        drop(std::hint::black_box(vec![1_u8; 64 << 20]));
        let before = figures().resident;
        purge();
        assert!(figures().resident <= before);
    }
}

//! INFO keyspace and keysizes: the keys of each database, and the lengths of their values.
//!
//! Thread safety: reads a merged copy and, for the mean time to live, a sample of entries under their stripes' locks,
//! skipping stripes that are not free.

use engine::spec::section::{Report, Section, Shown};
use keyspace::{Database, Journal, STRIPES};

/// Stripes looked into for the mean time to live, and entries of each: enough for a figure with an error of a few per
/// cent, in some 50 microseconds.
const SAMPLED_STRIPES: usize = 32;
const SAMPLED_PER_STRIPE: usize = 16;

pub(in crate::server) const KEYSPACE: Section =
    Section { name: "Keyspace", shown: Shown::ByDefault, write: keyspace };

fn keyspace(report: &mut Report<'_>) {
    let mut journal = Journal::new(report.instance.hasher.clone(), report.random);
    journal.now_ms = report.now_ms;
    for (number, database) in report.databases.iter() {
        let (keys, expires) = (database.len(), database.expiring());
        if keys > 0 {
            let avg_ttl = if expires > 0 { mean_ttl_ms(database, &mut journal) } else { 0 };
            report.field(
                &format!("db{number}"),
                format_args!("keys={keys},expires={expires},avg_ttl={avg_ttl},subexpiry=0"),
            );
        }
    }
}

/// Mean milliseconds left to the keys that have a deadline, from a sample: entries lie in the order of their hashes, so
/// the first ones of random stripes are a fair one.
fn mean_ttl_ms(database: &Database, journal: &mut Journal) -> i64 {
    let first = journal.random() as usize % STRIPES;
    let occupied =
        (0..STRIPES).map(|step| (first + step) % STRIPES).filter(|&stripe| database.stripe_len(stripe) > 0);
    let (mut sum_ms, mut count) = (0_i64, 0_i64);
    for stripe in occupied.take(SAMPLED_STRIPES) {
        let Some(locked) = database.try_lock(stripe, journal.worker) else { continue };
        locked.walk(0, SAMPLED_PER_STRIPE, journal, |entry| {
            if let Some(expiry_ms) = entry.expiry_ms() {
                sum_ms = sum_ms.saturating_add(expiry_ms - journal.now_ms);
                count += 1;
            }
        });
    }
    sum_ms.checked_div(count).unwrap_or(0)
}

pub(in crate::server) const KEYSIZES: Section =
    Section { name: "Keysizes", shown: Shown::ByDefault, write: keysizes };

/// How many values have a length of at least 2^n and less than 2^(n+1), over all databases.
fn keysizes(report: &mut Report<'_>) {
    let classes = report.snapshot.sizes.counts.value_classes;
    let used = classes.iter().enumerate().filter(|(_, count)| **count > 0);
    let bins: Vec<String> = used.map(|(class, count)| format!("{}={count}", bin_of(class))).collect();
    if !bins.is_empty() {
        report.field("distrib_strings_sizes", bins.join(","));
    }
}

/// The smallest length of a class, as Redis names its bins: 0, 1, 2, 4, 8, ..., `1K` from 1024 on.
fn bin_of(class: usize) -> String {
    const UNITS: [&str; 5] = ["", "K", "M", "G", "T"];
    match class.checked_sub(1) {
        None => "0".to_owned(),
        Some(power) => format!("{}{}", 1_u64 << (power % 10), UNITS[(power / 10).min(4)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_named_by_their_smallest_length() {
        let names: Vec<String> = [0, 1, 2, 5, 10, 11, 12, 21, 40].into_iter().map(bin_of).collect();
        assert_eq!(names, ["0", "1", "2", "16", "512", "1K", "2K", "1M", "512G"]);
    }
}

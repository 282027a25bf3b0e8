//! INFO commandstats, errorstats and latencystats: what was recorded of commands since the start or CONFIG RESETSTAT.
//!
//! Counts are exact. Times of FAST commands in deep pipelines are estimates from a sample, see the latency observer.
//!
//! Thread safety: reads merged copies.

use crate::config::Setting;
use crate::spec::section::{Report, Section, Shown};
use observe::record::latency::Stage;

const LATENCY_TRACKING: Setting<bool> = Setting::of("latency-tracking");

pub const COMMANDSTATS: Section =
    Section { name: "Commandstats", shown: Shown::WithAll, write: commandstats };

fn commandstats(report: &mut Report<'_>) {
    let snapshot = std::mem::take(&mut report.snapshot);
    for stats in snapshot.latency.commands() {
        let counts = stats.counts;
        if counts.calls + counts.rejected + counts.failed == 0 {
            continue;
        }
        let usec = stats.usec();
        let per_call = if counts.calls == 0 { 0.0 } else { usec as f64 / counts.calls as f64 };
        report.field(
            &format!("cmdstat_{}", report.instance.registry.entry(stats.command).full_name),
            format_args!(
                "calls={},usec={usec},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}",
                counts.calls, counts.rejected, counts.failed
            ),
        );
    }
    report.snapshot = snapshot;
}

pub const ERRORSTATS: Section = Section { name: "Errorstats", shown: Shown::ByDefault, write: errorstats };

fn errorstats(report: &mut Report<'_>) {
    let snapshot = std::mem::take(&mut report.snapshot);
    let mut codes = snapshot.errors.top();
    codes.sort_unstable();
    for (code, count) in codes {
        report.field(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
    report.snapshot = snapshot;
}

pub const LATENCYSTATS: Section =
    Section { name: "Latencystats", shown: Shown::WithAll, write: latencystats };

fn latencystats(report: &mut Report<'_>) {
    if !report.instance.settings.read(LATENCY_TRACKING) {
        return;
    }
    let percentiles = report.instance.settings.words("latency-tracking-info-percentiles");
    let percentiles: Vec<f64> = percentiles.iter().filter_map(|percentile| percentile.parse().ok()).collect();
    let snapshot = std::mem::take(&mut report.snapshot);
    for stats in snapshot.latency.commands() {
        let run = stats.stage(Stage::Run);
        if run.count() == 0 {
            continue;
        }
        let figures: Vec<String> = percentiles
            .iter()
            .map(|percentile| {
                format!("p{percentile}={:.3}", run.percentile(percentile / 100.0) as f64 / 1000.0)
            })
            .collect();
        let name =
            format!("latency_percentiles_usec_{}", report.instance.registry.entry(stats.command).full_name);
        report.field(&name, figures.join(","));
    }
    report.snapshot = snapshot;
}

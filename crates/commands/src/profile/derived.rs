//! What PROF and CONFIG say of observers is what the literals say: each shows up wherever observers are listed.

use crate::testing::Bench;
use observe::observers::OBSERVERS;
use observe::record::{Observer, Recorded, Snapshot};
use observe::report::Asked;
use observe::report::metrics::observed::write_counts;
use observe::report::metrics::{Exposition, Format};
use observe::report::reports;
use serde_json::Value;

fn json(bench: &mut Bench, line: &str) -> Value {
    let answer = String::from_utf8(bench.run(line.as_bytes())).expect("text");
    let (_, json) = answer.split_once("\r\n").expect("a bulk string");
    serde_json::from_str(json.trim_end()).unwrap_or_else(|error| panic!("{line}: {error}: {answer}"))
}

fn row<'a>(report: &'a Value, name: &str) -> &'a Value {
    let rows = report["observers"].as_array().expect("rows");
    rows.iter().find(|row| row["observer"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn every_observer_is_wherever_observers_are_listed() {
    let mut bench = Bench::new();
    bench.run(b"SET user:1:name value\r\nGET user:1:name\r\nGET user:2:name");
    let help = String::from_utf8(bench.run(b"PROF HELP")).expect("text");
    let docs = String::from_utf8(bench.run(b"COMMAND DOCS PROF")).expect("text");
    let report = json(&mut bench, "PROF REPORT JSON");
    for spec in OBSERVERS {
        let (name, subcommand) = (spec.report.name, spec.report.subcommand);
        assert!(help.contains(&format!("+{subcommand}")) && help.contains(spec.report.summary), "{help}");
        assert!(docs.contains(&format!("prof|{name}")) && docs.contains(spec.report.summary), "{docs}");
        assert!(json(&mut bench, &format!("PROF {subcommand} JSON"))["what"].is_string());
        assert!(report[name]["what"].is_string(), "{name} in {report}");
        assert!(spec.evidence_without.iter().all(|field| report[name].get(field).is_none()));
        assert!(reports::by_place().any(|report| report.name == name));
        for (value, is_on) in [("no", false), ("yes", true)] {
            let set = format!("CONFIG SET {} {value}", spec.directive);
            assert_eq!(bench.run(set.as_bytes()), b"+OK\r\n", "{set}");
            let cost = json(&mut bench, "PROF COST JSON");
            assert_eq!(row(&cost, name)["on"], is_on, "{set}: {cost}");
            let known = json(&mut bench, "PROF OBSERVERS JSON");
            let row = row(&known, name);
            assert_eq!((&row["on"], &row["switch"]), (&is_on.into(), &spec.directive.into()));
            let mut out = Exposition::new(Format::Prometheus);
            write_counts(&mut out, &super::Evidence::of(&bench.instance, bench.instance.snapshot()).input());
            let (metrics, on) = (out.finish(), u8::from(is_on));
            assert!(
                metrics.contains(&format!("limpid_observer_on{{observer=\"{name}\"}} {on}\n")),
                "{metrics}"
            );
            assert!(metrics.contains(&format!("limpid_observer_memory_bytes{{observer=\"{name}\"}} ")));
        }
        assert_eq!(bench.run(format!("PROF RESET {name}").as_bytes()), b"+OK\r\n");
        let cost = json(&mut bench, "PROF COST JSON");
        assert!(row(&cost, name)["bound_bytes"].as_u64() >= row(&cost, name)["memory_bytes"].as_u64());
    }
}

#[test]
fn an_observer_s_report_needs_no_other_observer() {
    let mut bench = Bench::new();
    bench.run(b"SET user:1:name value\r\nGET user:1:name\r\nGET user:2:name\r\nNOSUCH\r\nMGET a user:1:name");
    let now_ms = bench.instance.now_ms() as u64;
    let merged = |add: &dyn Fn(&mut Snapshot, &Recorded)| {
        let mut snapshot = Snapshot::default();
        bench.instance.recorders.recorded().iter().for_each(|recorded| add(&mut snapshot, recorded));
        snapshot
    };
    let mut all = merged(&|snapshot, recorder| snapshot.add(recorder, now_ms));
    all.add_tree(bench.instance.recorders.tree());
    let all = super::Evidence::of(&bench.instance, all);
    for observer in Observer::all() {
        let mut own = merged(&|snapshot, recorder| snapshot.add_only(observer, recorder, now_ms));
        if observer.spec().is_over_tree {
            own.add_tree(bench.instance.recorders.tree());
        }
        let mut own = super::Evidence::of(&bench.instance, own);
        own.facts = all.facts.clone();
        let report = |evidence: &super::Evidence| {
            let asked = Asked { count: 10, command: None };
            (observer.spec().report.make)(&evidence.input(), &asked).to_json()
        };
        assert_eq!(report(&own), report(&all), "{}", observer.name());
    }
}

#[test]
fn a_switch_switches_its_observer_and_no_other() {
    let mut bench = Bench::new();
    for spec in OBSERVERS {
        bench.run(format!("CONFIG SET {} no", spec.directive).as_bytes());
        let cost = json(&mut bench, "PROF COST JSON");
        for other in OBSERVERS {
            assert_eq!(row(&cost, other.report.name)["on"], other.number != spec.number);
        }
        bench.run(format!("CONFIG SET {} yes", spec.directive).as_bytes());
    }
}

//! What happens while a command works in slices under its pins: `engine::run::slicing`, with real commands on workers that
//! take their turns one after the other.

use crate::testing::Bench;
use engine::config::Settings;
use std::time::Duration;
use wire::OwnedArgs;

const MIB: usize = 1 << 20;

fn try_once(bench: &mut Bench, line: &str) -> Option<String> {
    let args = OwnedArgs::from_slices(&line.split(' ').collect::<Vec<_>>());
    Some(String::from_utf8(bench.step(args.as_args())?).expect("text"))
}

/// Goes on until the command is done; how many slices that took.
fn finish(bench: &mut Bench, line: &str) -> (String, usize) {
    (1..1000).find_map(|slices| Some((try_once(bench, line)?, slices))).expect("it ends")
}

/// Three workers, and `large` holds 4 MiB; `copy` shares the value.
fn workers() -> [Bench; 3] {
    let mut first = Bench::with(Settings::new(), 3);
    let (second, third) = (first.sharing(), first.sharing());
    first.command(&[b"SET", b"large", &vec![b'v'; 4 * MIB]]);
    [first, second, third]
}

#[test]
fn a_long_part_is_read_in_slices_while_writers_wait() {
    let [mut reader, mut writer, mut other] = workers();
    let line = format!("GETRANGE large 1 {}", 3 * MIB);
    assert_eq!(try_once(&mut reader, &line), None);
    assert_eq!(try_once(&mut writer, "SETRANGE large 5 new"), None, "it is parked");
    assert_eq!(try_once(&mut other, "STRLEN large").as_deref(), Some(":4194304\r\n"), "readers go on");
    assert_eq!(try_once(&mut other, "SET small 1").as_deref(), Some("+OK\r\n"));
    let (reply, slices) = finish(&mut reader, &line);
    assert_eq!(reply, format!("${}\r\n{}\r\n", 3 * MIB, "v".repeat(3 * MIB)));
    assert_eq!(slices, 4, "three of a MiB and the answer");
    assert_eq!(try_once(&mut writer, "SETRANGE large 5 new").as_deref(), Some(":4194304\r\n"));
    assert_eq!(try_once(&mut reader, "GETRANGE large 4 8").as_deref(), Some("$5\r\nvnewv\r\n"));
}

#[test]
fn a_shared_value_is_copied_in_slices_before_it_is_written_to() {
    for (line, length, tail) in [
        ("APPEND large new", 4 * MIB + 3, "vvnew"),
        ("SETRANGE large 4194302 newer", 4 * MIB + 3, "newer"),
        ("SETRANGE large 8388608 far", 8 * MIB + 3, "\0\0far"),
    ] {
        let [mut writer, mut second, mut third] = workers();
        writer.run(b"COPY large copy");
        assert_eq!(try_once(&mut writer, line), None);
        assert_eq!(try_once(&mut second, "STRLEN large"), None, "nobody sees a half of it");
        assert_eq!(try_once(&mut third, "STRLEN copy").as_deref(), Some(":4194304\r\n"));
        let (reply, slices) = finish(&mut writer, line);
        assert_eq!((reply, slices), (format!(":{length}\r\n"), 5), "{line}");
        assert_eq!(try_once(&mut second, "STRLEN large"), Some(format!(":{length}\r\n")));
        assert_eq!(try_once(&mut third, "GETRANGE large -5 -1"), Some(format!("$5\r\n{tail}\r\n")), "{line}");
        assert_eq!(try_once(&mut third, "GETRANGE copy -5 -1").as_deref(), Some("$5\r\nvvvvv\r\n"));
        assert_eq!(try_once(&mut third, "GETRANGE large 0 4").as_deref(), Some("$5\r\nvvvvv\r\n"));
    }
}

#[test]
fn who_wants_to_be_alone_waits_for_a_sliced_write_and_lets_none_begin() {
    let [mut writer, mut alone, mut other] = workers();
    other.run(b"COPY large copy");
    assert_eq!(try_once(&mut writer, "APPEND large x"), None);
    assert_eq!(try_once(&mut alone, "SWAPDB 0 1"), None, "a sliced write is under way");
    assert_eq!(
        try_once(&mut other, "STRLEN copy").as_deref(),
        Some(":4194304\r\n"),
        "the gate is open to others"
    );
    assert_eq!(try_once(&mut other, "APPEND copy x"), None, "but for a sliced write that would begin");
    assert_eq!(try_once(&mut other, "APPEND copy x"), None);
    assert_eq!(finish(&mut writer, "APPEND large x").0, ":4194305\r\n");
    assert_eq!(try_once(&mut alone, "SWAPDB 0 1").as_deref(), Some("+OK\r\n"));
    assert_eq!(finish(&mut other, "APPEND copy x").0, ":1\r\n", "its database was exchanged");
}

/// Behind the gate a value that is being read may change: the reader has a reference to the old one.
#[test]
fn a_flush_does_not_wait_for_who_reads_in_slices() {
    let [mut reader, mut alone, _] = workers();
    let line = format!("GETRANGE large 0 {}", 4 * MIB - 2);
    assert_eq!(try_once(&mut reader, &line), None);
    assert_eq!(try_once(&mut alone, "FLUSHALL").as_deref(), Some("+OK\r\n"));
    assert_eq!(alone.run(b"SET large small"), b"+OK\r\n");
    assert_eq!(finish(&mut reader, &line).0.len(), 4 * MIB - 1 + "$4194303\r\n\r\n".len());
    assert_eq!(try_once(&mut reader, "GET large").as_deref(), Some("$5\r\nsmall\r\n"));
}

#[test]
fn a_client_that_closes_between_slices_leaves_nothing_behind() {
    let [mut writer, mut second, _] = workers();
    second.run(b"COPY large copy");
    assert_eq!(try_once(&mut writer, "APPEND large x"), None);
    writer.close();
    assert_eq!(try_once(&mut second, "STRLEN large").as_deref(), Some(":4194304\r\n"));
    assert_eq!(
        try_once(&mut second, "SWAPDB 0 1").as_deref(),
        Some("+OK\r\n"),
        "nothing is counted at the gate"
    );
}

/// Readers that follow each other do not keep a writer waiting for ever.
#[test]
fn who_has_waited_for_a_pin_for_a_millisecond_comes_before_new_ones() {
    let [mut reader, mut writer, mut late] = workers();
    let line = format!("GETRANGE large 1 {}", 3 * MIB);
    assert_eq!(try_once(&mut reader, &line), None);
    assert_eq!(try_once(&mut writer, "SETRANGE large 0 new"), None);
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(try_once(&mut writer, "SETRANGE large 0 new"), None);
    assert_eq!(try_once(&mut late, &line), None);
    finish(&mut reader, &line);
    assert_eq!(try_once(&mut late, &line), None, "it may not pin");
    assert_eq!(try_once(&mut writer, "SETRANGE large 0 new").as_deref(), Some(":4194304\r\n"));
    assert!(finish(&mut late, &line).0.starts_with("$3145728\r\new"));
}

#[test]
fn inside_a_transaction_slices_follow_each_other_at_once() {
    let [mut first, mut second, _] = workers();
    first.run(b"COPY large copy\r\nMULTI\r\nAPPEND large x\r\nGETRANGE large 1 3145728");
    let reply = try_once(&mut first, "EXEC").expect("done at once");
    assert!(reply.starts_with("*2\r\n:4194305\r\n$3145728\r\nvv"));
    let line = format!("GETRANGE large 1 {}", 3 * MIB);
    assert_eq!(try_once(&mut second, &line), None);
    first.run(b"MULTI\r\nSET large y");
    assert_eq!(try_once(&mut first, "EXEC"), None, "it waits for the pin with what it collected");
    finish(&mut second, &line);
    assert_eq!(try_once(&mut first, "EXEC").as_deref(), Some("*1\r\n+OK\r\n"));
}

#[test]
fn who_reads_a_key_past_its_deadline_reads_on() {
    let [mut reader, mut other, _] = workers();
    other.run(b"PEXPIRE large 30");
    let line = format!("GETRANGE large 1 {}", 3 * MIB);
    assert_eq!(try_once(&mut reader, &line), None);
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(try_once(&mut other, "GET large").as_deref(), Some("$-1\r\n"));
    assert_eq!(try_once(&mut other, "DBSIZE").as_deref(), Some(":0\r\n"));
    assert_eq!(finish(&mut reader, &line).0.len(), 3 * MIB + "$3145728\r\n\r\n".len());
}

/// What is being written to stays where it is past its deadline, until the writer comes to store and finds it gone.
#[test]
fn a_deadline_that_passes_during_a_sliced_write_counts_at_its_end() {
    let [mut writer, mut other, _] = workers();
    writer.run(b"COPY large copy\r\nPEXPIRE large 30");
    assert_eq!(try_once(&mut writer, "APPEND large tail"), None);
    std::thread::sleep(Duration::from_millis(60));
    other.executor.tick(false);
    assert_eq!(try_once(&mut other, "DBSIZE").as_deref(), Some(":2\r\n"), "it is still there");
    assert_eq!(finish(&mut writer, "APPEND large tail").0, ":4\r\n", "to a key that does not exist");
    assert_eq!(try_once(&mut other, "GET large").as_deref(), Some("$4\r\ntail\r\n"));
    assert_eq!(
        other.run(b"DBSIZE\r\nTTL large\r\nDEL large\r\nGET large\r\nDBSIZE"),
        b":2\r\n:-1\r\n:1\r\n$-1\r\n:1\r\n"
    );
}

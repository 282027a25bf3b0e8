//! The longest SET while a keyspace grows, without what the machine adds.
//!
//!     cargo run --release -p limpid --example growth -- 5000000 5
//!
//! Inserts so many keys into an empty keyspace, in so many fresh processes, and takes the shortest time of each SET over
//! the processes: the same SET does the same work in each, growth steps, allocations and page faults, while what the
//! scheduler and other machines take hits another one each time. No sockets: what waits there is not the SET's.

use std::error::Error;
use std::io::{BufWriter, Read, Write};
use std::process::{Command, Stdio};

use commands::testing::Bench;
use observe::os::clock;

#[global_allocator]
static ALLOCATOR: keyspace::memory::Counting<tikv_jemallocator::Jemalloc> =
    keyspace::memory::Counting(tikv_jemallocator::Jemalloc);

/// Argument of a process that inserts and writes its times.
const INSERT: &str = "--insert";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| arguments.get(at).map_or(Ok(default), |text| text.parse());
    if arguments.first().is_some_and(|first| first == INSERT) {
        return insert(number(1, 0)?);
    }
    let (keys, processes) = (number(0, 5_000_000)?.max(1), number(1, 5)?.max(1));
    let mut shortest = vec![u32::MAX; keys];
    for process in 1..=processes {
        let times = times_of_a_process(keys)?;
        let longest = times.iter().max().copied().unwrap_or(0);
        println!("process {process} of {processes}: the longest SET took {:.3} ms", f64::from(longest) / 1e6);
        shortest.iter_mut().zip(times).for_each(|(shortest, time)| *shortest = time.min(*shortest));
    }
    shortest.sort_unstable();
    let at = |share: f64| f64::from(shortest[((keys - 1) as f64 * share) as usize]) / 1e3;
    println!("shortest of each of {keys} SETs over {processes} processes, microseconds:");
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)] {
        println!("  {name:<6} {:>8.1}", at(share));
    }
    Ok(())
}

/// Runs this program once more to insert `keys`; nanoseconds of each SET.
fn times_of_a_process(keys: usize) -> Result<Vec<u32>, Box<dyn Error>> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([INSERT, &keys.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut bytes = Vec::with_capacity(keys * 4);
    child.stdout.take().ok_or("no output")?.read_to_end(&mut bytes)?;
    let status = child.wait()?;
    if !status.success() || bytes.len() != keys * 4 {
        return Err(format!("the inserting process ended with {status}").into());
    }
    Ok(bytes.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
}

/// Inserts `keys`, then writes the nanoseconds of each SET, 4 bytes each, little-endian.
fn insert(keys: usize) -> Result<(), Box<dyn Error>> {
    let mut bench = Bench::new();
    let mut times: Vec<u32> = vec![0; keys];
    for (number, time) in times.iter_mut().enumerate() {
        let key = format!("key:{number:012}");
        let start = clock::now();
        bench.command(&[b"SET", key.as_bytes(), &[b'v'; 32]]);
        *time = u32::try_from(clock::now().ns_since(start)).unwrap_or(u32::MAX);
    }
    let mut output = BufWriter::new(std::io::stdout().lock());
    times.iter().try_for_each(|time| output.write_all(&time.to_le_bytes()))?;
    Ok(output.flush()?)
}

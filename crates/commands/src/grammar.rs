//! (tests) Random requests, made from the argument tables of the commands.
//!
//! Not what a command makes of one, and no mistakes but in values: whoever wants others adds them.
//!
//! Thread safety: plain values.

use engine::registry::Entry;
use engine::spec::{Argument, ArgumentType};

pub(crate) const PASSWORD: &str = "pw";

/// SplitMix64.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// The seed of a test, printed; `LIMPID_SEED` repeats one.
pub(crate) fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("clock");
    let seed = std::env::var("LIMPID_SEED").map_or(now.as_nanos() as u64, |seed| seed.parse().expect("seed"));
    println!("seed {seed}");
    seed
}

/// A request's words.
#[derive(Default)]
pub(crate) struct Drawn {
    pub words: Vec<String>,
    /// Which of them are keys.
    pub keys: Vec<usize>,
}

/// A request to this command: words that its arguments could be, mostly good ones.
pub(crate) fn draw(entry: &Entry, random: &mut Random) -> Drawn {
    let words = entry.full_name.split('|').map(str::to_owned).collect();
    let mut drawn = Drawn { words, keys: Vec::new() };
    entry.command.args.iter().for_each(|argument| draw_argument(argument, random, &mut drawn));
    drawn
}

fn draw_argument(argument: &Argument, random: &mut Random, drawn: &mut Drawn) {
    if argument.optional && random.below(2) == 0 {
        return;
    }
    for _ in 0..if argument.multiple { 1 + random.below(2) } else { 1 } {
        drawn.words.extend(argument.token.map(str::to_owned));
        match argument.kind {
            ArgumentType::Token => {}
            ArgumentType::OneOf => {
                draw_argument(&argument.parts[random.below(argument.parts.len())], random, drawn);
            }
            ArgumentType::Block => argument.parts.iter().for_each(|part| draw_argument(part, random, drawn)),
            kind => {
                if kind == ArgumentType::Key {
                    drawn.keys.push(drawn.words.len());
                }
                drawn.words.push(draw_value(argument.name, kind, random).to_owned());
            }
        }
    }
}

fn draw_value(name: &str, kind: ArgumentType, random: &mut Random) -> &'static str {
    match (name, kind) {
        ("username", _) => "default",
        ("password", _) => random.pick(&[PASSWORD, PASSWORD, "wrong"]),
        ("protover", _) => random.pick(&["3", "2", "3", "4"]),
        ("parameter", _) => random.pick(&["slowlog-max-len", "timeout", "nosuch"]),
        ("value", _) => random.pick(&["7", "v"]),
        (_, ArgumentType::Key) => random.pick(&["a", "b", "n", "missing"]),
        (_, ArgumentType::Integer) => random.pick(&["1", "0", "2", "-1", "x", "9223372036854775807"]),
        (_, ArgumentType::UnixTime) => random.pick(&["1", "4102444800", "x"]),
        (_, ArgumentType::Double) => random.pick(&["0", "1.5", "x"]),
        _ => random.pick(&["v", "a", "1", "two words"]),
    }
}

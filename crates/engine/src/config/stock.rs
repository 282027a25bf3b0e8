//! The stock configuration file, `limpid.conf`: every directive that does something, commented out at its default, with
//! what its literal says of it.
//!
//! Written by `cargo xtask docs`; a test here compares.
//!
//! Invariant: with the comment signs of its directives taken away, the file loads, and changes nothing.
//!
//! Thread safety: a pure function of constants.

use super::directive::{Change, Directive, Kind, Support};
use super::table::{SECTIONS, Section};
use super::{line, value};

/// Stands for a space at which no line ends.
const UNBROKEN: char = '\u{a0}';

/// The longest line.
const COLUMNS: usize = 120;

const INTRODUCTION: &str = r##"# Limpid's configuration, in redis.conf syntax. Start the server with it:
#
#     limpid limpid.conf
#     limpid limpid.conf --port 7000 --maxmemory 1gb      options override the file
#
# Every setting below stands at its default: a line that starts with '#' and no space (#port 6379) is a directive that
# is commented out, a line that starts with '# ' is text. Remove the '#' and change the value.
#
# One directive a line: its name, then its values. Values with spaces go in quotes ("two words"), where \n, \xff and
# the like work; an empty value is "". A comment has a line of its own. Sizes take units, whatever the case:
#
#     1k = 1000 bytes   1kb = 1024 bytes   1m = 1000000   1mb = 1024*1024   1g = 1000000000   1gb = 1024*1024*1024
#
# A running server tells its settings with CONFIG GET '*', changes most of them with CONFIG SET (those marked "start
# only" need a restart) and writes them back into this file with CONFIG REWRITE.
#
# Every other directive of Redis 7.2 and Valkey 9 is known too. If it only tunes something that Limpid does in another
# way, it is accepted; if the feature is missing, its "off" value is accepted and any other value leaves a warning, or
# stops the start where ignoring it would lose data or protection. Names nobody knows are errors.
#
# Other files can be read in at any place, one by one or by a pattern. Relative paths start where the server is started.
#
#     include /etc/limpid/passwords.conf
#     include /etc/limpid/conf.d/*.conf
"##;

/// The whole file.
pub fn stock() -> String {
    let mut text = INTRODUCTION.to_owned();
    for Section { heading, about, directives } in SECTIONS {
        if !heading.is_empty() {
            text.push_str(&format!("\n\n{:#^COLUMNS$}\n", format!(" {heading} ")));
        }
        if !about.is_empty() {
            text.push('\n');
            comment(&mut text, about);
        }
        for directive in directives.iter().filter(|directive| directive.support == Support::Live) {
            if !directive.summary.is_empty() {
                text.push('\n');
                comment(&mut text, &explained(directive));
            }
            written(directive).iter().for_each(|line| text.extend(["#", line, "\n"]));
        }
    }
    text
}

/// What there is to say of a directive, and whether it takes a restart.
fn explained(directive: &Directive) -> String {
    match directive.change {
        Change::AtStart | Change::AtRestart => format!("{} (start{UNBROKEN}only)", directive.summary),
        Change::Anytime | Change::Protected => directive.summary.to_owned(),
    }
}

/// Adds comment lines: paragraphs are filled, lines that begin with blanks are kept.
fn comment(text: &mut String, said: &str) {
    for paragraph in said.split('\n') {
        if paragraph.is_empty() || paragraph.starts_with(' ') {
            text.push_str(format!("# {paragraph}").trim_end());
            text.push('\n');
            continue;
        }
        let mut line = "#".to_owned();
        for word in paragraph.split(' ').map(|word| word.replace(UNBROKEN, " ")) {
            if line.len() + 1 + word.len() > COLUMNS {
                text.extend([line.as_str(), "\n"]);
                line = "#".to_owned();
            }
            line.extend([" ", word.as_str()]);
        }
        text.extend([line.as_str(), "\n"]);
    }
}

/// The lines that say a directive's default, sizes as people write them.
fn written(directive: &Directive) -> Vec<String> {
    let Directive { name, kind, default, .. } = directive;
    match kind {
        Kind::OutputBufferLimit => {
            let words: Vec<&str> = default.split(' ').collect();
            let line = |group: &[&str]| match group {
                [class, hard, soft, seconds] => {
                    let class = if *class == "slave" { "replica" } else { class };
                    format!("{name} {class} {} {} {seconds}", size(hard), size(soft))
                }
                _ => String::new(),
            };
            words.chunks(4).map(line).collect()
        }
        Kind::Size { .. } => vec![format!("{name} {}", size(default))],
        kind if value::is_list(*kind) && !default.is_empty() => vec![format!("{name} {default}")],
        _ => vec![format!("{name} {}", line::quote(default.as_bytes()))],
    }
}

/// Bytes in the largest unit that divides them.
fn size(bytes: &str) -> String {
    let number: u64 = bytes.parse().unwrap_or_default();
    let units = [(1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")];
    let unit = units.into_iter().find(|(unit, _)| number != 0 && number.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_owned(), |(unit, name)| format!("{}{name}", number / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limpid_conf_is_what_the_literals_say() {
        let file = include_str!("../../../../limpid.conf");
        for (number, (written, wanted)) in file.lines().zip(stock().lines()).enumerate() {
            assert_eq!(written, wanted, "line {}; write the file with: cargo xtask docs", number + 1);
        }
        assert_eq!(file.len(), stock().len());
        let longest = file.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(COLUMNS), "{longest:?}");
    }

    #[test]
    fn sizes_are_said_in_their_largest_unit() {
        let table =
            [("0", "0"), ("536870912", "512mb"), ("1073741824", "1gb"), ("1025", "1025"), ("2048", "2kb")];
        for (bytes, said) in table {
            assert_eq!(size(bytes), said);
        }
    }
}

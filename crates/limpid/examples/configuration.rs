//! Prints the stock configuration file, for `cargo xtask docs`.

fn main() {
    print!("{}", engine::config::stock());
}

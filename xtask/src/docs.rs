//! `docs/commands.md`, the reference page of the commands, written from what the server says about itself
//! (`COMMAND DOCS`), so that the page, the command line's hints and the code cannot disagree.

#[path = "docs/page.rs"]
mod page;
#[path = "docs/server.rs"]
mod server;

use std::fs;
use std::path::Path;

/// Where the page is kept.
const PAGE: &str = "docs/commands.md";

/// Writes the page.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    let text = generate(root)?;
    let path = root.join(PAGE);
    let directory = path.parent().unwrap_or(root);
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&path, text))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Fails when the page is not what [`write`] would write.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let wanted = generate(root)?;
    let found = fs::read_to_string(root.join(PAGE)).unwrap_or_default();
    if found == wanted {
        println!("   {PAGE} is what the command table says");
        return Ok(());
    }
    let line = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    let line = line.unwrap_or_else(|| found.lines().count().min(wanted.lines().count())) + 1;
    Err(format!("{PAGE} is not current (line {line}); write it with: cargo xtask docs"))
}

fn generate(root: &Path) -> Result<String, String> {
    let docs = server::ask(root, &["COMMAND", "DOCS"])?;
    page::render(&docs)
}

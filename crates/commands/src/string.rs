//! placeholder for the first build
use crate::command::Command;
pub(crate) const COMMANDS: &[Command] = &[];

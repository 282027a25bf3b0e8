//! What a parked request takes along to its next try.
//!
//! Not its arguments, which its connection keeps. Nothing in here is a lock: see the protocol's one idea in
//! `contention` and `slicing`.
//!
//! Thread safety: belongs to one request on one worker; to be ended by `Executor::close` if the request is given up.

use crate::run::contention::Loss;
use crate::run::passage::Wants;
use crate::run::pin_wait::PinWait;
use crate::spec::command::Progress;

/// See the module's text.
#[derive(Default)]
pub struct Parked {
    pub(crate) loss: Loss,
    pub(crate) wants: Wants,
    pub(crate) pin_wait: PinWait,
    pub(crate) progress: Progress,
    /// It has pinned keys, or has waited for pins: one flag, because every command asks for it.
    pub(crate) has_sliced: bool,
}

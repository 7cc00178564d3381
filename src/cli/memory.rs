//! What the process does so that no key leaves its memory: no core dump, no reading by others of the same user.
//!
//! What cannot be had is told, not refused: the records matter more, and the operator may have good reasons.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use crate::secret::may_be_swapped;

/// Switches core dumps and tracing off, before any key is read; says what was refused.
pub(super) fn guard() -> Vec<String> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let limited = setrlimit(Resource::Core, none).err();
    let limited =
        limited.map(|error| format!("core dumps cannot be switched off ({error}): one would hold the keys"));
    // Also without a limit's say, as where dumps go to a program (core(5)); and /proc/PID/mem is for root alone then.
    let closed = set_dumpable_behavior(DumpableBehavior::NotDumpable).err();
    let closed = closed.map(|error| format!("the memory of this process stays open to its user ({error})"));
    limited.into_iter().chain(closed).collect()
}

/// What to say once the keys are loaded, if the system would not keep them in memory.
pub(super) fn swap_warning() -> Option<&'static str> {
    may_be_swapped().then_some(
        "keys may be written to swap: the limit of locked memory is too low (systemd: LimitMEMLOCK=64M), or switch swap off",
    )
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn a_guarded_process_dumps_nothing() {
        assert_eq!(guard(), Vec::<String>::new());
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
    }
}

//! Whether this machine has the memory that a file from anybody asks for.

use crate::error::{Error, Result};

/// The bytes of memory that this machine has in all; `None` where the system does not tell.
pub(crate) fn machine_memory() -> Option<u64> {
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    {
        let system = rustix::system::sysinfo();
        let units = system.totalram.saturating_add(system.totalswap);
        Some(units.saturating_mul(system.mem_unit.into()))
    }
    #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
    None
}

/// An error if `what` takes more bytes than this machine has.
pub(crate) fn check(what: impl Into<String>, bytes: u64) -> Result<()> {
    match machine_memory() {
        Some(memory) if bytes > memory => Err(Error::too_large(
            what,
            format!("it takes {bytes} bytes of memory, and this machine has {memory}"),
        )),
        _ => Ok(()),
    }
}

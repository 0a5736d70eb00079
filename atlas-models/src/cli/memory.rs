//! How the program holds memory.

/// Keeps what is freed for what is allocated next.
///
/// A step of training frees what the next one allocates. The GNU allocator returns large blocks to
/// the kernel between the two, and the kernel clears every page again: a fifth to a third of the
/// time of training a transformer.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C library's settings have no safe wrapper")]
pub(super) fn keep_what_is_freed() {
    // The allocator takes no larger threshold for blocks of their own.
    const BLOCK: libc::c_int = 32 << 20;
    // SAFETY: These set two numbers of the allocator, which it reads under a lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, BLOCK);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
    }
}

/// Other allocators keep it by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn keep_what_is_freed() {}

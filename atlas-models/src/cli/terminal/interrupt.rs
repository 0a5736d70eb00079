//! Signals that ask the process to end: the first one asks the command to stop, the second one
//! ends the process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::signal_name;

use crate::cli::failure::{Failure, Result};
use crate::cli::terminal::{output, progress};

/// The signal that came, or 0.
static REQUESTED: AtomicI32 = AtomicI32::new(0);

/// Whether nothing can be lost, so that the first signal ends the process.
static IS_WAITING: AtomicBool = AtomicBool::new(false);
/// Ends the process, and those that would wait for it.
static END: OnceLock<Box<dyn Fn(u8) + Send + Sync>> = OnceLock::new();
/// Files that are not complete.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// While input is read that may never come the first signal ends the process at once.
pub fn set_waiting(is_waiting: bool) {
    IS_WAITING.store(is_waiting, Ordering::SeqCst);
}

/// Where the process ends at once, nothing is left of this file, if it is still there.
pub fn remember_unfinished(path: &Path) {
    let mut files = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    files.push(path.to_owned());
}

/// Where a signal ends the process at once, `end` is called first, with the exit code.
#[cfg(feature = "mpi")]
pub fn end_by(end: impl Fn(u8) + Send + Sync + 'static) {
    END.get_or_init(|| Box::new(end));
}

/// From here on the first Ctrl-C, SIGTERM or SIGHUP shows `message` and is for [`is_requested`] to
/// find. A signal that was ignored when the process started, as `nohup` and a shell that starts a
/// job in the background have it, stays ignored.
pub fn watch(message: &'static str) -> Result {
    on_signals(move |signal| {
        let is_second = REQUESTED.swap(signal, Ordering::SeqCst) != 0;
        if is_second || IS_WAITING.load(Ordering::SeqCst) {
            end(signal);
        }
        let name = match signal {
            SIGINT => "Ctrl-C",
            _ => signal_name(signal).unwrap_or("a signal"),
        };
        output::say(&format_args!("\n{message}; {name} again stops at once"));
    })
}

/// From here on such a signal ends the process at once, and leaves no progress bar behind.
pub fn watch_for_bars() -> Result {
    on_signals(end)
}

/// What SIGUSR1 sets from here on.
pub fn watch_for_checkpoint_requests() -> Result<Arc<AtomicBool>> {
    let requested = Arc::new(AtomicBool::new(false));
    if ignored() & bit(SIGUSR1) == 0 {
        let watched = flag::register(SIGUSR1, requested.clone());
        watched.map_err(|error| Failure::new(format_args!("cannot watch for SIGUSR1: {error}")))?;
    }
    Ok(requested)
}

/// Takes up what another process was asked: the exit code is then the one of SIGTERM, unless a
/// signal came here, too.
pub fn stop_with_others() {
    let _ = REQUESTED.compare_exchange(0, SIGTERM, Ordering::SeqCst, Ordering::SeqCst);
}

/// Stops, as a signal would: the exit code is then the one of SIGUSR1.
pub fn stop_for_requeue() {
    let _ = REQUESTED.compare_exchange(0, SIGUSR1, Ordering::SeqCst, Ordering::SeqCst);
}

fn on_signals(mut handle: impl FnMut(i32) + Send + 'static) -> Result {
    let failed = |error| Failure::new(format_args!("cannot watch for Ctrl-C: {error}"));
    let ignored = ignored();
    let watched = [SIGINT, SIGTERM, SIGHUP].into_iter();
    let watched = watched.filter(|&signal| ignored & bit(signal) == 0);
    let mut signals = Signals::new(watched).map_err(failed)?;
    let wait = move || signals.forever().for_each(&mut handle);
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(wait).map(drop).map_err(failed)
}

fn end(signal: i32) {
    progress::clear();
    let files = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    for file in &*files {
        // One that is complete has another name.
        let _ = fs::remove_file(file);
    }
    let exit_code = code_of(signal);
    if let Some(end) = END.get() {
        end(exit_code);
    }
    process::exit(i32::from(exit_code));
}

/// Whether a signal asks to stop.
pub fn is_requested() -> bool {
    REQUESTED.load(Ordering::SeqCst) != 0
}

/// Whether training stopped so that its job can be put back into the queue.
pub fn is_for_requeue() -> bool {
    REQUESTED.load(Ordering::SeqCst) == SIGUSR1
}

/// The exit code after the signal that came, as shells have it: 130 after Ctrl-C, 143 after
/// SIGTERM, 129 after SIGHUP, 138 after a SIGUSR1 that put the job back into the queue.
pub fn exit_code() -> u8 {
    code_of(REQUESTED.load(Ordering::SeqCst))
}

fn code_of(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// The signals that are ignored, each a [`bit`].
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Where the system does not tell, `nohup` has to work: SIGHUP is left as it is.
    mask.unwrap_or(bit(SIGHUP))
}

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

//! Asks the processor to bring a value into its cache before it is needed.
//!
//! A packet that goes to two hundred subscribers meets the state of each once, and by then other work has pushed it out of
//! the cache: a wait for memory takes as long as encrypting the packet. Whoever walks a list knows what comes next, and can
//! ask for it while the present one is served.
//!
//! `core::hint::prefetch_read` will do the same once it is stable (rust-lang/rust 146941); this crate then goes.

/// Bytes that processors fetch at once; where it is more, some are asked for twice, which costs next to nothing.
const LINE: usize = 64;

/// Has the cache lines of `value` brought near, without waiting for them. What it points to is left where it is.
///
/// It never changes what a program computes. On processors for which this crate knows no instruction it does nothing.
#[inline(always)]
pub fn prefetch<T: ?Sized>(value: &T) {
    prefetch_start(value, usize::MAX);
}

/// The same for no more than the first `bytes` of `value`.
#[inline(always)]
pub fn prefetch_start<T: ?Sized>(value: &T, bytes: usize) {
    let start = std::ptr::from_ref(value).cast::<u8>();
    let len = size_of_val(value).min(bytes);
    // How often is known where the length is, so this costs an instruction a line there.
    for at in (0..len).step_by(LINE) {
        line(start.wrapping_add(at));
    }
    // It may begin within a line, and then ends in one more.
    if len > 0 {
        line(start.wrapping_add(len - 1));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn line(at: *const u8) {
    // SAFETY: the instruction reads nothing that the program can see and faults at no address (Intel SDM, PREFETCHh).
    unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast()) }
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn line(at: *const u8) {
    // SAFETY: the instruction is a hint that reads nothing the program can see and faults at no address (Arm ARM, PRFM).
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn line(_: *const u8) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_any_size_stay_as_they_are() {
        let (byte, large, none) = (7_u8, [3_u64; 1000], [0_u8; 0]);
        prefetch(&byte);
        prefetch(&large);
        prefetch(&large[999..]);
        prefetch(&none);
        prefetch("words");
        prefetch_start(&large, 100);
        prefetch_start(&byte, 100);
        assert_eq!((byte, large.iter().sum::<u64>()), (7, 3000));
    }
}

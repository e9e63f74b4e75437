//! System calls answered by a filter. A filter belongs to a thread and those it starts, and cannot be taken off.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// A rule for one system call: always (`&[]`), or only where every condition on its arguments holds.
pub(crate) type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// From now on this thread gets `errno` from `syscall`.
pub(crate) fn answer(syscall: i64, errno: i32) {
    let rules = Rules::from([(syscall, Vec::new())]);
    install(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno.unsigned_abs()),
    );
}

/// From now on the whole process dies of `SIGSYS` at any system call that the rules do not name.
pub(crate) fn kill_unless(rules: Rules) {
    install(rules, SeccompAction::KillProcess, SeccompAction::Allow);
}

/// What `work` does in a thread where `syscall` answers `errno`.
pub(crate) fn with_answer<T: Send>(syscall: i64, errno: i32, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            answer(syscall, errno);
            work()
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A rule that holds where all of these hold.
pub(crate) fn when(conditions: Vec<SeccompCondition>) -> Vec<SeccompRule> {
    vec![SeccompRule::new(conditions).unwrap()]
}

/// The argument has all of these bits.
pub(crate) fn has_bits(argument: u8, bits: u64) -> SeccompCondition {
    SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(bits),
        bits,
    )
    .unwrap()
}

/// The argument is this.
pub(crate) fn is(argument: u8, value: i32) -> SeccompCondition {
    let value = u64::from(value.cast_unsigned());
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value).unwrap()
}

/// The argument is a descriptor, not `AT_FDCWD`.
pub(crate) fn is_descriptor(argument: u8) -> SeccompCondition {
    let cwd = u64::from(libc::AT_FDCWD.cast_unsigned());
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, cwd).unwrap()
}

fn install(rules: Rules, otherwise: SeccompAction, matched: SeccompAction) {
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, otherwise, matched, architecture).unwrap();
    seccompiler::apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
}

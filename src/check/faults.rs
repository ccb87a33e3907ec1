//! The words for faults that Postfix's programs report too.
//!
//! Owns their codes and titles, so that the rehearsal and the checks tell the same fault alike
//! and it is shown once.

use crate::finding::Finding;

/// A setting that a later one replaces.
pub(super) fn overridden(name: &str) -> Finding {
    Finding::warning(
        "duplicate-setting",
        format!("`{name}` is set more than once, to different values"),
    )
    .because("the last one wins, the others do nothing")
    .mend("keep one of them")
}

/// A name that Postfix does not know and nothing uses.
pub(super) fn unused(name: &str) -> Finding {
    Finding::warning(
        "unused-parameter",
        format!("`{name}` is not a parameter of this Postfix, and nothing uses it"),
    )
    .because("Postfix's programs pass over names they do not know without a word")
}

/// A `$name` that nothing defines.
pub(super) fn undefined(name: &str) -> Finding {
    Finding::warning(
        "undefined-parameter",
        format!("`${name}` is used, and nothing defines it"),
    )
    .because("its value is the empty text")
}

/// A line of `main.cf` that is no setting.
pub(super) fn no_setting() -> Finding {
    Finding::error("not-a-setting", "a line that is not `name = value`").because(
        "every program of Postfix stops at it, `sendmail` at once and the daemons as they start",
    )
}

/// A table line that is skipped.
pub(super) fn malformed_line() -> Finding {
    Finding::warning("malformed-line", "a line that is not a key and a value")
        .because("`postmap` skips it and ends as if all were well")
}

/// A key that stands twice.
pub(super) fn duplicate_key(key: &str) -> Finding {
    Finding::warning("duplicate-key", format!("the key `{key}` stands twice"))
        .because("the first one counts, the second does nothing")
}

/// A service with too few fields.
pub(super) fn bad_field_count() -> Finding {
    Finding::error("field-count", "a service needs eight fields: name, type, private, unprivileged, chroot, wakeup, process limit, command")
        .because("Postfix's programs refuse the whole file; before 2.9, master stops at a reload")
}

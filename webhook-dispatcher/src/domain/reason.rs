//! Why a delivery is dead: as it is written for operators, and the class by which lists and metrics tell it apart.

use std::fmt;

use super::{
    answer::Outcome,
    callback::TIME_OVER,
    delivery::{AGED_OUT, DROPPED},
};

const ANSWERED: &str = " attempts failed; the last answer was ";
const SILENT: &str = " attempts failed; the last one: ";
const NOT_INSTALLED: (&str, &str) = ("the app answered ", "; only 200 installs");

/// Why a delivery is dead, as far as an attempt has decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The schedule is over, and the last attempt was answered.
    Answered {
        /// So many attempts failed.
        failures: u32,
        /// The last answer.
        status: u16,
    },
    /// The schedule is over, and the last attempt was not answered.
    Silent {
        /// So many attempts failed.
        failures: u32,
        /// What came of the last one.
        outcome: Outcome,
    },
    /// The app does not want to be installed.
    NotInstalled {
        /// Its answer.
        status: u16,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { failures, status } => write!(f, "{failures}{ANSWERED}{status}"),
            Self::Silent { failures, outcome } => write!(f, "{failures}{SILENT}{outcome}"),
            Self::NotInstalled { status } => write!(f, "{}{status}{}", NOT_INSTALLED.0, NOT_INSTALLED.1),
        }
    }
}

/// The classes besides those of attempts' outcomes.
const OTHER_CLASSES: [&str; 4] = ["not_installed", "aged_out", "dropped", "time_over"];

/// Every class that can be asked for.
pub fn classes() -> impl Iterator<Item = &'static str> {
    Outcome::failures().map(Outcome::as_str).chain(OTHER_CLASSES)
}

/// The class of a reason as it was written, by this release or one before it.
#[must_use]
pub fn class_of(reason: &str) -> &'static str {
    if let Some((_, status)) = reason.split_once(ANSWERED) {
        return status.parse().map_or("other", class_of_status);
    }
    if let Some((_, outcome)) = reason.split_once(SILENT) {
        return outcome.parse().map_or("other", Outcome::as_str);
    }
    match reason {
        AGED_OUT => "aged_out",
        DROPPED => "dropped",
        TIME_OVER => "time_over",
        reason if reason.starts_with(NOT_INSTALLED.0) => "not_installed",
        _ => "other",
    }
}

/// 2xx was a failure where only 200 is success.
fn class_of_status(status: u16) -> &'static str {
    let outcome = Outcome::of_status(status);
    if outcome == Outcome::Success { Outcome::NotOk.as_str() } else { outcome.as_str() }
}

/// The reasons of a class as patterns of SQL's `LIKE`.
#[must_use]
pub fn patterns(class: &str) -> Vec<String> {
    match class {
        "aged_out" => return vec![AGED_OUT.to_owned()],
        "dropped" => return vec![DROPPED.to_owned()],
        "time_over" => return vec![TIME_OVER.to_owned()],
        "not_installed" => return vec![format!("{}%", NOT_INSTALLED.0)],
        _ => {}
    }
    let answered = (1..=9).filter(|hundreds| class_of_status(hundreds * 100) == class);
    let answered = answered.map(|hundreds| format!("%{ANSWERED}{hundreds}__"));
    answered.chain([format!("%{SILENT}{class}")]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As SQL reads it, for the patterns that are made here.
    fn is_like(text: &str, pattern: &str) -> bool {
        match pattern.as_bytes() {
            [] => text.is_empty(),
            [b'%', ..] => (0..=text.len()).any(|at| is_like(&text[at..], &pattern[1..])),
            [b'_', ..] => !text.is_empty() && is_like(&text[1..], &pattern[1..]),
            [byte, ..] => text.as_bytes().first() == Some(byte) && is_like(&text[1..], &pattern[1..]),
        }
    }

    fn is_found_by(reason: &str, class: &str) -> bool {
        patterns(class).iter().any(|pattern| is_like(reason, pattern))
    }

    #[test]
    fn each_reason_is_found_by_its_class_and_no_other() {
        let answered = (201..1000).map(|status| Reason::Answered { failures: 6, status }.to_string());
        let silent = Outcome::failures().map(|outcome| Reason::Silent { failures: 6, outcome }.to_string());
        let refused = (201..1000).map(|status| Reason::NotInstalled { status }.to_string());
        let ended = [AGED_OUT, DROPPED, TIME_OVER].map(str::to_owned);
        for reason in answered.chain(silent).chain(refused).chain(ended) {
            let found: Vec<_> = classes().filter(|class| is_found_by(&reason, class)).collect();
            assert_eq!(found, [class_of(&reason)], "{reason}");
        }
    }

    #[test]
    fn a_reason_of_another_release_has_a_class_too() {
        for reason in
            ["", "6 attempts failed; the last one: bored", "6 attempts failed; the last answer was x"]
        {
            assert_eq!(class_of(reason), "other");
        }
    }
}

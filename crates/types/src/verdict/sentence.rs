//! What a person reads of a verdict.

use std::fmt;

use super::{NoHost, Refusals, Shortfall, Verdict, VerdictReason};

impl Verdict {
    /// The whole sentence for an admin: also what the best host has, and what would fit.
    pub fn admin_sentence(&self) -> String {
        let mut text = String::new();
        // Writing into a String fails nowhere.
        let _ = self.write(&mut text, Reader::Admin);
        text
    }

    fn write(&self, f: &mut dyn fmt::Write, reader: Reader) -> fmt::Result {
        f.write_str("No valid host was found. ")?;
        match &self.reason {
            VerdictReason::NoValidHost(no_host) => no_host.write(f, reader),
            VerdictReason::MinCountNotMet { fit, min_count, no_host } => {
                write!(f, "Only {fit} of at least {min_count} instances fit. ")?;
                no_host.write(f, reader)
            }
            VerdictReason::HostMappingNotFound { .. } => {
                f.write_str("The chosen host is not mapped to any cell.")
            }
            VerdictReason::CellUnavailable { attempts } => {
                write!(f, "The chosen cell could not be written in {attempts} attempts.")
            }
            VerdictReason::Rejected { .. } => {
                f.write_str("The chosen cell refused to store the instance.")
            }
            VerdictReason::Scheduler { message } => f.write_str(message),
        }
    }
}

/// The sentence for a project. It names no host, no cell and nothing that is free.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, Reader::Project)
    }
}

/// Who reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Project,
    Admin,
}

impl NoHost {
    fn write(&self, f: &mut dyn fmt::Write, reader: Reader) -> fmt::Result {
        self.all.write(f, reader)?;
        if reader == Reader::Project {
            return Ok(());
        }
        let hosts: u32 = self.unasked.iter().map(|cell| cell.hosts).sum();
        match self.unasked.len() {
            0 => {}
            1 => write!(f, " 1 cell with {hosts} more was not asked.")?,
            cells => write!(f, " {cells} cells with {hosts} more were not asked.")?,
        }
        for (index, suggestion) in self.suggestions.iter().enumerate() {
            let begin = if index == 0 { " It would fit " } else { ", or " };
            write!(f, "{begin}{suggestion}")?;
        }
        if !self.suggestions.is_empty() {
            f.write_char('.')?;
        }
        Ok(())
    }
}

impl Refusals {
    fn write(&self, f: &mut dyn fmt::Write, reader: Reader) -> fmt::Result {
        if self.hosts == 0 {
            return f.write_str("No enabled cell has a host.");
        }
        let plural = if self.hosts == 1 { "" } else { "s" };
        write!(f, "0/{} host{plural} can take it", grouped(self.hosts.into()))?;
        for (index, count) in self.primary.iter().enumerate() {
            let separator = if index == 0 { ": " } else { ", " };
            let predicate = count.refusal.predicate(count.hosts);
            write!(f, "{separator}{} {predicate}", grouped(count.hosts.into()))?;
            let shortfall = self.shortfalls.iter().find(|s| s.refusal == count.refusal);
            if let (Reader::Admin, Some(Shortfall { asked, best, .. })) = (reader, shortfall) {
                let (best, asked) = (grouped(*best), grouped(*asked));
                write!(f, " (best has {best} of {asked}{})", count.refusal.unit())?;
            }
        }
        f.write_char('.')
    }
}

/// A number with a comma between each three digits.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

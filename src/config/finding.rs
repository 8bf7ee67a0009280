//! What is wrong with a configuration, told to a person: what, where, and how to mend it.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing starts with this.
    Error,
    /// It starts, and someone should look.
    Warning,
}

impl Level {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Errors before warnings, and each as a reader comes upon it: down the file, then the variables.
pub(super) fn sort(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| {
        let place = match &finding.at {
            Where::Line(quote) => (0, quote.line, quote.column),
            Where::Variable(_) => (1, 0, 0),
            Where::File(_) => (2, 0, 0),
            Where::Nowhere => (3, 0, 0),
        };
        (finding.level, place)
    });
}

/// One mistake. It names keys, files and variables, and never repeats a secret's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    /// The key that it is about, such as `endpoints.shop.secrets[0]`.
    pub key: Option<String>,
    pub message: String,
    pub fix: String,
    pub at: Where,
}

/// Where the mistake was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    /// In what was left out, or in a default.
    Nowhere,
    File(String),
    Variable(String),
    Line(Quote),
}

/// One line of the file, without whatever in it may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters of the file's own line.
    pub column: usize,
    pub text: String,
    /// Characters of `text` before the caret, and under it.
    pub caret: (usize, usize),
}

impl Finding {
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.level.word(), self.message)?;
        match &self.at {
            Where::Nowhere => {}
            Where::File(name) => writeln!(f, "  --> {name}")?,
            Where::Variable(name) => writeln!(f, "  --> environment variable {name}")?,
            Where::Line(quote) => {
                let number = quote.line.to_string();
                let margin = " ".repeat(number.len());
                let (before, under) = quote.caret;
                writeln!(f, "{margin} --> {}:{}:{}", quote.file, quote.line, quote.column)?;
                writeln!(f, "{margin} |")?;
                writeln!(f, "{number} | {}", quote.text)?;
                writeln!(f, "{margin} | {}{}", " ".repeat(before), "^".repeat(under.max(1)))?;
            }
        }
        writeln!(f, "  = fix: {}", self.fix)
    }
}

/// Everything that was found in a configuration that cannot be used, errors first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Finding>);

impl ConfigErrors {
    pub(super) fn new(mut findings: Vec<Finding>) -> Self {
        sort(&mut findings);
        Self(findings)
    }

    /// Errors and the warnings that were found beside them.
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// A mistake that knows its key and not yet its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub level: Level,
    pub key: String,
    pub message: String,
    pub fix: String,
}

impl Problem {
    pub fn error(
        key: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { level: Level::Error, key: key.into(), message: message.into(), fix: fix.into() }
    }

    pub fn warning(
        key: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { level: Level::Warning, ..Self::error(key, message, fix) }
    }
}

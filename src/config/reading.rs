//! From a file's text and an environment to a form without a stray key in it.

use super::finding::{ConfigErrors, Finding, Level, Problem, Where};
use super::form::Form;
use super::quote::{quote, strangers};
use super::slips::slip;
use super::structure::{Review, nearest};
use super::tree::{self, Node, Origin, Table, Value};
use super::{quote, schema};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

/// Every variable that speaks to Tidegate begins so.
pub(super) const PREFIX: &str = "TIDEGATE_";

/// Mistakes that are shown of a file that is no TOML. After a few the parser is only guessing.
const SYNTAX_ERRORS_MAX: usize = 3;

/// What was written: at most one file, and the environment. Cannot be printed, because either may
/// hold secrets.
pub struct Document {
    file: Option<(String, String)>,
    environment: BTreeMap<String, String>,
}

impl Document {
    /// From values, for whoever has read them already.
    pub fn new(
        file: Option<(&str, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self {
            file: file.map(|(name, text)| (name.to_owned(), text.to_owned())),
            environment: environment.into_iter().collect(),
        }
    }

    /// Reads the file at `path`, if there is to be one.
    pub fn open(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let Some(path) = path else { return Ok(Self::new(None, environment)) };
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self::new(Some((&name, &text)), environment)),
            Err(error) => Err(ConfigErrors::new(vec![Finding {
                level: Level::Error,
                key: None,
                message: unread(path, error.kind()),
                fix: "pass --config FILE; `tidegate config example` prints one to begin with"
                    .to_owned(),
                at: Where::File(name),
            }])),
        }
    }

    /// For resolving `{ env = … }`.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }

    /// Reads as much as can be read, and says what could not.
    pub(super) fn read(&self) -> (Form, Places, Vec<Finding>) {
        let mut places = Places { file: self.file.clone(), ..Places::default() };
        let mut review = Review::default();
        let mut table = Table::new();
        if let Some((_, text)) = &self.file {
            match tree::of_file(text) {
                Ok(read) => table = read,
                Err(errors) => return (Form::default(), places.clone(), places.broken(&errors)),
            }
            tree::scalars(&table, &mut places.hidden);
        }
        let strays = self.overlay(&mut table);
        review.table(&mut table, schema::tree(), "", false);
        places.hidden.retain(|span| !review.plain.contains(span));
        tree::places(&table, "", &mut places.by_key);
        places.meant = review.meant;

        let form = match serde_json::from_value(Value::Table(table).into_json()) {
            Ok(form) => form,
            // The schema is made from the form, so what fits the one fits the other.
            Err(error) => unreachable!("the schema let through what the form refuses: {error}"),
        };
        let findings = review
            .problems
            .into_iter()
            .chain(strays)
            .map(|(problem, origin)| places.at(problem, &origin))
            .collect();
        (form, places, findings)
    }

    /// Lays the environment over the file. `TIDEGATE_KAFKA__BROKERS` is `kafka.brokers`.
    fn overlay(&self, table: &mut Table) -> Vec<(Problem, Origin)> {
        let mut sources = BTreeSet::new();
        named_variables(table, &mut sources);
        let mut variables: Vec<_> = self
            .environment
            .iter()
            .filter(|(name, _)| !sources.contains(*name))
            .filter_map(|(name, text)| Some((name, path_of(name)?, text)))
            .collect();
        // A table given whole comes before its keys given one by one.
        variables.sort_by_key(|(_, path, _)| path.len());

        let mut problems = vec![];
        for (name, path, text) in variables {
            match node_of(name, &path, text) {
                Ok(node) => {
                    // Where a value stands in the way the file is wrong, and is told so.
                    let _placed = tree::put(table, &path, node);
                }
                Err(problem) => problems.push((problem, Origin::Variable(name.clone()))),
            }
        }
        // A variable may have named the variable of a secret, which then has a use.
        named_variables(table, &mut sources);
        let idle = self.environment.keys().filter(|name| path_of(name).is_none());
        let slips = idle
            .filter(|name| !sources.contains(*name))
            .filter_map(|name| slip(name).map(|problem| (problem, Origin::Variable(name.clone()))));
        problems.extend(slips);
        problems
    }
}

fn unread(path: &Path, why: std::io::ErrorKind) -> String {
    let name = path.display();
    if why == std::io::ErrorKind::InvalidData {
        return format!("{name} is no text: TOML is written in UTF-8");
    }
    if why != std::io::ErrorKind::NotFound {
        return format!("cannot read the configuration file: {why}");
    }
    match path.is_relative() {
        true => format!("{name} does not exist (relative to the working directory)"),
        false => format!("{name} does not exist"),
    }
}

/// The key that a variable overrides. Without `__` only the keys at the top count: what is near
/// another is a slip, and told so.
fn path_of(name: &str) -> Option<Vec<String>> {
    let mut path: Vec<_> =
        name.strip_prefix(PREFIX)?.to_ascii_lowercase().split("__").map(str::to_owned).collect();
    if let [kafka, properties, property, ..] = path.as_mut_slice()
        && (kafka.as_str(), properties.as_str()) == ("kafka", "properties")
    {
        // No shell takes a dot in the name of a variable, and only one property has no dots.
        *property = property.replace('_', ".").replace("log.level", "log_level");
    }
    (path.len() > 1 || schema::keys(schema::tree()).any(|key| key == path[0])).then_some(path)
}

fn node_of(name: &str, path: &[String], text: &str) -> Result<Node, Problem> {
    let mut expected = schema::tree();
    for (depth, key) in path.iter().enumerate() {
        expected = schema::inside(expected, key)
            .ok_or_else(|| unknown_variable(name, expected, path, depth))?;
    }
    let key = path.join(".");
    let refuse = |wanted: &str, fix: &str| {
        let message = format!("{name} must be {wanted}, for `{key}`");
        Problem::error(&key, message, fix)
    };
    let value = if schema::allows(expected, "string") {
        Value::Text(text.to_owned())
    } else if schema::allows(expected, "integer") {
        let number = text.trim().parse();
        Value::Whole(number.map_err(|_| refuse("a whole number", "write digits only"))?)
    } else if schema::allows(expected, "boolean") {
        let flag = text.trim().parse();
        Value::Flag(flag.map_err(|_| refuse("true or false", "write true or false"))?)
    } else {
        let list = schema::allows(expected, "array");
        let wanted = if list { "a TOML list" } else { "a TOML table" };
        let fix = match schema::keys(expected).next() {
            Some(key) if !list => {
                let single = format!("{name}__{}", key.to_ascii_uppercase());
                format!("set one key of it, such as {single}, or write the whole in {{ }}")
            }
            _list_or_free => "write it as in the file, such as '[{ file = \"/path\" }]'".to_owned(),
        };
        let fix = fix.as_str();
        let node = tree::of_variable(name, text).map_err(|_| refuse(wanted, fix))?;
        if !schema::allows(expected, node.value.kind()) {
            return Err(refuse(wanted, fix));
        }
        return Ok(node);
    };
    Ok(Node { value, origin: Origin::Variable(name.to_owned()) })
}

fn unknown_variable(
    name: &str,
    known: &serde_json::Value,
    path: &[String],
    depth: usize,
) -> Problem {
    let spelled = |key: &str| {
        let mut better = path.to_vec();
        better[depth] = key.to_owned();
        format!("{PREFIX}{}", better.join("__").to_ascii_uppercase())
    };
    let fix = match nearest(&path[depth], schema::keys(known)) {
        Some(near) => format!("did you mean {}?", spelled(near)),
        None => {
            let keys: Vec<_> = schema::keys(known).map(spelled).take(5).collect();
            match keys.as_slice() {
                [] => "unset it: nothing can be set below this key".to_owned(),
                keys => format!("unset it; known here are, among others: {}", keys.join(", ")),
            }
        }
    };
    Problem::error(path.join("."), format!("{name} sets no known key"), fix)
}

/// Variables that hold secrets by the file's own word are no overrides, whatever they are called.
fn named_variables(table: &Table, into: &mut BTreeSet<String>) {
    for (key, entry) in table {
        match &entry.node.value {
            Value::Text(name) if key == "env" => {
                into.insert(name.clone());
            }
            Value::Table(inner) => named_variables(inner, into),
            Value::List(items) => items.iter().for_each(|item| {
                if let Value::Table(inner) = &item.value {
                    named_variables(inner, into);
                }
            }),
            Value::Text(_) | Value::Whole(_) | Value::Flag(_) | Value::Other(_) => {}
        }
    }
}

/// Where each key was written, for pointing at it.
#[derive(Clone, Default)]
pub(super) struct Places {
    file: Option<(String, String)>,
    hidden: Vec<Range<usize>>,
    by_key: BTreeMap<String, Origin>,
    meant: Vec<String>,
}

impl Places {
    /// Points at the key of a problem, or at the nearest table around it that was written.
    pub(super) fn point(&self, problem: Problem) -> Finding {
        let mut key = problem.key.as_str();
        loop {
            if let Some(origin) = self.by_key.get(key) {
                return self.at(problem.clone(), origin);
            }
            match key.rfind(['.', '[']) {
                Some(end) => key = &key[..end],
                None => break,
            }
        }
        let at = match &self.file {
            Some((name, _)) => Where::File(name.clone()),
            None => Where::Nowhere,
        };
        finding(problem, at)
    }

    /// Whether a problem is only what an error at its key, above it or below it, left behind.
    pub(super) fn is_echo(&self, problem: &Problem, findings: &[Finding]) -> bool {
        let errors = findings.iter().filter(|finding| finding.is_error());
        let mut keys = errors.filter_map(|finding| finding.key.as_ref()).chain(&self.meant);
        keys.any(|key| is_within(key, &problem.key) || is_within(&problem.key, key))
    }

    fn at(&self, problem: Problem, origin: &Origin) -> Finding {
        let at = match (origin, &self.file) {
            (Origin::Variable(name), _) => Where::Variable(name.clone()),
            (Origin::File(span), Some((file, text))) => {
                Where::Line(quote(file, text, span.clone(), &self.hidden))
            }
            (Origin::File(_), None) => Where::Nowhere,
        };
        finding(problem, at)
    }

    fn broken(&self, errors: &[toml::de::Error]) -> Vec<Finding> {
        let Some((name, text)) = &self.file else { return vec![] };
        let mut words = vec![];
        schema::paths(schema::tree(), "", &mut words);
        let mut known: BTreeSet<_> = words.iter().flat_map(|path| path.split('.')).collect();
        known.extend(["secrets", "file", "env", "retired", "true", "false"]);
        let hidden = strangers(text, |word| known.contains(word));
        let of_one = |error: &toml::de::Error| Finding {
            level: Level::Error,
            key: None,
            message: format!("this is no TOML: {}", error.message()),
            fix: match error.message() {
                "duplicate key" => "keep one of the two".to_owned(),
                _other => {
                    "texts stand in \"quotation marks\", lists in [ ], tables under [name] or \
                           in { }"
                        .to_owned()
                }
            },
            at: match error.span() {
                Some(span) => Where::Line(quote::quote(name, text, span, &hidden)),
                None => Where::File(name.clone()),
            },
        };
        errors.iter().take(SYNTAX_ERRORS_MAX).map(of_one).collect()
    }
}

fn is_within(key: &str, table: &str) -> bool {
    let rest = key.strip_prefix(table);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn finding(problem: Problem, at: Where) -> Finding {
    let Problem { level, key, message, fix } = problem;
    Finding { level, key: Some(key), message, fix, at }
}

//! A configuration as a tree of values, each of which knows where it was written.

use super::quote::looks_secret;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Bytes of the file, or the name of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    File(Range<usize>),
    Variable(String),
}

pub(super) struct Node {
    pub value: Value,
    pub origin: Origin,
}

pub(super) struct Entry {
    pub key: Origin,
    pub node: Node,
}

pub(super) type Table = BTreeMap<String, Entry>;

pub(super) enum Value {
    Text(String),
    Whole(i64),
    Flag(bool),
    /// A fraction or a date, which no key takes; kept for being refused by name.
    Other(&'static str),
    List(Vec<Node>),
    Table(Table),
}

impl Value {
    /// What JSON calls this kind of value.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Whole(_) => "integer",
            Self::Flag(_) => "boolean",
            Self::Other(kind) => kind,
            Self::List(_) => "array",
            Self::Table(_) => "object",
        }
    }

    /// For reading the tree into a form, once nothing in it is out of place.
    pub(super) fn into_json(self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.into(),
            Self::Whole(number) => number.into(),
            Self::Flag(flag) => flag.into(),
            Self::Other(kind) => kind.into(),
            Self::List(items) => items.into_iter().map(|item| item.value.into_json()).collect(),
            Self::Table(table) => {
                table.into_iter().map(|(key, entry)| (key, entry.node.value.into_json())).collect()
            }
        }
    }
}

/// A whole file. Its values are at their places in `text`.
pub(super) fn of_file(text: &str) -> Result<Table, Vec<toml::de::Error>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(table_of(table.into_inner(), &Origin::File))
}

/// A list or a table as the value of a variable.
pub(super) fn of_variable(name: &str, text: &str) -> Result<Node, toml::de::Error> {
    Ok(node_of(DeValue::parse(text)?, &|_| Origin::Variable(name.to_owned())))
}

fn table_of(table: DeTable<'_>, place: &dyn Fn(Range<usize>) -> Origin) -> Table {
    let entries = table.into_iter().map(|(key, value)| {
        let entry = Entry { key: place(key.span()), node: node_of(value, place) };
        (key.into_inner().into_owned(), entry)
    });
    entries.collect()
}

fn node_of(value: Spanned<DeValue<'_>>, place: &dyn Fn(Range<usize>) -> Origin) -> Node {
    let origin = place(value.span());
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            match i64::from_str_radix(&digits, number.radix()) {
                Ok(number) => Value::Whole(number),
                Err(_) => Value::Other("number too large"),
            }
        }
        DeValue::Float(_) => Value::Other("fraction"),
        DeValue::Boolean(flag) => Value::Flag(flag),
        DeValue::Datetime(_) => Value::Other("date"),
        DeValue::Array(items) => {
            Value::List(items.into_iter().map(|item| node_of(item, place)).collect())
        }
        DeValue::Table(table) => Value::Table(table_of(table, place)),
    };
    Node { value, origin }
}

/// Puts `node` at `path`, making the tables on the way. False where something that is no table
/// stands in it; whoever reads the tree reports that.
pub(super) fn put(table: &mut Table, path: &[String], node: Node) -> bool {
    let [key, below @ ..] = path else { return false };
    let origin = node.origin.clone();
    if below.is_empty() {
        table.insert(key.clone(), Entry { key: origin, node });
        return true;
    }
    let entry = table.entry(key.clone()).or_insert_with(|| Entry {
        key: origin.clone(),
        node: Node { value: Value::Table(Table::new()), origin },
    });
    if let Value::Table(inner) = &mut entry.node.value { put(inner, below, node) } else { false }
}

/// The places of all keys and values, by path; a value's place goes before its key's.
pub(super) fn places(table: &Table, above: &str, into: &mut BTreeMap<String, Origin>) {
    for (key, entry) in table {
        let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        let whole = matches!(entry.node.value, Value::Table(_));
        // A table's own span is its whole body; its name is what a reader should be shown.
        let origin = if whole { &entry.key } else { &entry.node.origin };
        into.insert(path.clone(), origin.clone());
        place_below(&entry.node, &path, into);
    }
}

fn place_below(node: &Node, path: &str, into: &mut BTreeMap<String, Origin>) {
    match &node.value {
        Value::Table(table) => places(table, path, into),
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                into.insert(path.clone(), item.origin.clone());
                place_below(item, &path, into);
            }
        }
        Value::Text(_) | Value::Whole(_) | Value::Flag(_) | Value::Other(_) => {}
    }
}

/// Where in the file the values that are no lists and no tables stand, and the keys that have been
/// mistaken for values.
pub(super) fn scalars(table: &Table, into: &mut Vec<Range<usize>>) {
    for (key, entry) in table {
        if let (Origin::File(span), true) = (&entry.key, looks_secret(key)) {
            into.push(span.clone());
        }
        scalars_below(&entry.node, into);
    }
}

fn scalars_below(node: &Node, into: &mut Vec<Range<usize>>) {
    match (&node.value, &node.origin) {
        (Value::Table(table), _) => scalars(table, into),
        (Value::List(items), _) => items.iter().for_each(|item| scalars_below(item, into)),
        (_scalar, Origin::File(span)) => into.push(span.clone()),
        (_scalar, Origin::Variable(_)) => {}
    }
}

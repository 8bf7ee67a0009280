//! Variables that were meant for a key and miss it by a slip. Others with our prefix are left
//! alone: orchestrators set variables such as `TIDEGATE_SERVICE_HOST` of their own.

use super::finding::Problem;
use super::reading::PREFIX;
use super::schema;

/// What to say of a variable that overrides nothing, if it looks as if it should.
pub(super) fn slip(name: &str) -> Option<Problem> {
    let rest = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
    let key = meant(&rest)?;
    let better = format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase());
    let fix = match key.contains('.') {
        true => format!("did you mean {better}? Two underscores stand for each point of `{key}`"),
        false => format!("did you mean {better}?"),
    };
    Some(Problem::error(key, format!("{name} sets no known key"), fix))
}

fn meant(rest: &str) -> Option<String> {
    let mut paths = vec![];
    schema::paths(schema::tree(), "", &mut paths);
    let letters = plain(rest);
    if let Some(path) = paths.iter().find(|path| plain(path) == letters) {
        return Some(path.clone());
    }
    // The one table whose keys are names of the reader's own.
    let endpoint = rest.strip_prefix("endpoints_").and_then(|rest| rest.strip_suffix("_secrets"));
    if let Some(endpoint) = endpoint {
        return Some(format!("endpoints.{endpoint}.secrets"));
    }
    // Only one edit, because a name further off may be anybody's.
    let near = |key: &&str| strsim::damerau_levenshtein(rest, key) == 1;
    schema::keys(schema::tree()).find(near).map(str::to_owned)
}

/// Without what stands between the parts of a path and the words of a part.
fn plain(path: &str) -> String {
    path.chars().filter(|letter| !matches!(letter, '_' | '.')).collect()
}

//! Showing a line of the file without showing what may be secret in it.

use super::finding::Quote;
use std::ops::Range;

/// What stands in the place of anything that may be secret, whatever its length.
const HIDDEN: &str = "***";

/// How secrets of 0Gate's and of others begin.
const MARKS: &[&str] = &["whsec_", "sk_test_", "sk_live_", "-----BEGIN"];

/// A text that should name the place of a secret and is the secret itself. Only its beginning
/// tells: a file may well be called `/run/secrets/whsec_shop`.
pub(super) fn is_secret(text: &str) -> bool {
    MARKS.iter().any(|mark| text.starts_with(mark))
}

/// A text that may hold a secret or a password, and is not even shown in a complaint about it.
pub(super) fn looks_secret(text: &str) -> bool {
    let has_password = text.split_once(':').is_some_and(|(_, rest)| rest.contains('@'));
    has_password || MARKS.iter().any(|mark| text.contains(mark))
}

/// Quotes the line in which `span` begins. What `hidden` covers is not shown, nor is a comment.
pub(super) fn quote(file: &str, text: &str, span: Range<usize>, hidden: &[Range<usize>]) -> Quote {
    let at = floor(text, span.start.min(text.len()));
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[start..].find(['\n', '\r']).map_or(text.len(), |length| start + length);
    let at = at.min(end);

    let mut shown = String::new();
    let (mut before, mut until) = (None, None);
    let mut inside = false;
    for (offset, letter) in text[start..end].char_indices() {
        let byte = start + offset;
        let covered = hidden.iter().any(|range| range.contains(&byte));
        if byte >= at && before.is_none() {
            before = Some(shown.chars().count() - if covered && inside { HIDDEN.len() } else { 0 });
        }
        if byte >= span.end && until.is_none() {
            until = Some(shown.chars().count());
        }
        match (covered, inside) {
            (true, false) => shown.push_str(HIDDEN),
            (true, true) => {}
            (false, _) if letter == '#' && !in_value(text, start, byte) => break,
            (false, _) => shown.push(letter),
        }
        inside = covered;
    }
    let width = shown.trim_end().chars().count();
    let before = before.unwrap_or(width);
    let under = until.unwrap_or(width).min(width).saturating_sub(before).max(1);
    Quote {
        file: file.to_owned(),
        line: text[..start].matches('\n').count() + 1,
        column: text[start..at].chars().count() + 1,
        text: shown.trim_end().to_owned(),
        caret: (before, under),
    }
}

/// Whether an odd number of quotation marks stands before `byte` in its line.
fn in_value(text: &str, start: usize, byte: usize) -> bool {
    text[start..byte].matches('"').count() % 2 == 1
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// What to hide of a file that is no TOML: nobody knows what its words are, so every word is
/// hidden that is not one of the configuration's own.
pub(super) fn strangers(text: &str, known: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let is_mark = |letter: char| letter.is_whitespace() || "[]{}=,.\"'#".contains(letter);
    let mut hidden = vec![];
    let mut start = None;
    for (at, letter) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, is_mark(letter)) {
            (None, false) => start = Some(at),
            (Some(from), true) => {
                if !known(&text[from..at]) {
                    hidden.push(from..at);
                }
                start = None;
            }
            (None, true) | (Some(_), false) => {}
        }
    }
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_what_is_meant() {
        let text = "a = 1\nkey = \"välue\" # why\n";
        let from = text.find('"').unwrap();
        let quote = quote("f", text, from..from + 8, &[]);
        assert_eq!((quote.line, quote.column), (2, 7));
        assert_eq!(quote.text, "key = \"välue\"");
        assert_eq!(quote.caret, (6, 7));
    }

    #[test]
    fn what_is_hidden_shows_neither_itself_nor_its_length() {
        let text = "a = [\"canary-canary\", 1]";
        let hidden = 5..20;
        let quote = quote("f", text, 22..23, std::slice::from_ref(&hidden));
        assert_eq!(quote.text, "a = [***, 1]");
        assert_eq!(quote.caret, (10, 1));
    }

    #[test]
    fn a_caret_inside_what_is_hidden_stands_under_the_stars() {
        let hidden = 6..14;
        let quote = quote("f", "key = \"canary\"", 8..9, std::slice::from_ref(&hidden));
        assert_eq!((quote.text.as_str(), quote.caret), ("key = ***", (6, 3)));
    }

    #[test]
    fn the_end_of_a_text_can_be_quoted() {
        let quote = quote("f", "a = 1\n", 6..6, &[]);
        assert_eq!((quote.line, quote.column, quote.caret), (2, 1, (0, 1)));
    }

    #[test]
    fn only_our_own_words_are_shown_of_a_broken_file() {
        let text = "secrets = [{ file = canary }";
        let hidden = strangers(text, |word| ["secrets", "file"].contains(&word));
        assert_eq!(quote("f", text, 0..7, &hidden).text, "secrets = [{ file = *** }");
    }
}

//! What a person sees of a configuration that is wrong, and what the process makes of one that is
//! right.

#[path = "config/commands.rs"]
mod commands;
#[path = "config/pages.rs"]
mod pages;
#[path = "config/published.rs"]
mod published;
#[path = "config/secrets.rs"]
mod secrets;
#[path = "config/services.rs"]
mod services;
#[path = "config/understood.rs"]
mod understood;

use tidegate::config::{self, Document, Finding, Purpose};

/// What `tidegate check` would say of this file.
fn findings(text: &str) -> Vec<Finding> {
    findings_with(text, &[])
}

fn findings_with(text: &str, environment: &[(&str, &str)]) -> Vec<Finding> {
    config::check(&document(text, environment), Purpose::Serve, |_, _| vec![])
}

fn document(text: &str, environment: &[(&str, &str)]) -> Document {
    let environment =
        environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    Document::new(Some(("tidegate.toml", text)), environment)
}

fn page(findings: &[Finding]) -> String {
    findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n")
}

/// Enough to serve, so that a test shows its own mistake and no other.
const SOUND: &str = "\
api.keys = [{ env = \"API_KEY\" }]
endpoints.shop.secrets = [{ env = \"SHOP\" }]
";

const SOUND_SECRETS: [(&str, &str); 2] = [
    ("API_KEY", "a-key-that-is-long-enough-to-be-hard-to-guess"),
    ("SHOP", "whsec_test_0123456789abcdef"),
];

/// The findings about `text`, in a configuration that is sound without it.
fn about(text: &str) -> Vec<Finding> {
    findings_with(&format!("{SOUND}{text}"), &SOUND_SECRETS)
}

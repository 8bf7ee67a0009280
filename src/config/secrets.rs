//! Fetching secrets from where the configuration says they are, and keeping them from being said.

use super::finding::Problem;
use super::limits::{API_KEY_CHARS_MIN, SECRET_BYTES_MAX, SIGNING_KEY_BYTES_MIN};
use super::{Config, Property, SecretFrom, SecretSource};
use crate::attempt::{EndpointName, Mode};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A text that does not print, and that is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(text: impl Into<SecretString>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub fn into_inner(self) -> SecretString {
        self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[derive(Clone, Debug)]
pub struct KeptSecret {
    pub secret: Secret,
    /// Only what was signed before may still use it.
    pub retired: bool,
}

/// Every secret that a configuration names, in the order in which it names them.
#[derive(Clone, Debug)]
pub struct Secrets {
    pub endpoints: BTreeMap<EndpointName, Vec<KeptSecret>>,
    pub api_keys: Vec<KeptSecret>,
    pub gate_key: Option<Secret>,
    /// Empty where the configuration leaves them to `data_dir`.
    pub signing_keys: Vec<KeptSecret>,
    pub services: ServiceSecrets,
}

/// What the brokers and Redis are shown.
#[derive(Clone, Debug, Default)]
pub struct ServiceSecrets {
    /// By the name of the property.
    pub kafka_properties: BTreeMap<String, Secret>,
    pub redis_password: Option<Secret>,
    pub sentinel_password: Option<Secret>,
}

impl ServiceSecrets {
    pub fn resolve(
        config: &Config,
        variable: impl Fn(&str) -> Option<String>,
    ) -> (Self, Vec<Problem>) {
        let mut resolver = Resolver { variable: &variable, problems: vec![] };
        let secrets = resolver.services(config);
        (secrets, resolver.problems)
    }
}

impl Secrets {
    /// Reads the files and asks `variable` for the rest. Where there is an error among the
    /// problems, a secret is missing from the result.
    pub fn resolve(
        config: &Config,
        variable: impl Fn(&str) -> Option<String>,
    ) -> (Self, Vec<Problem>) {
        let mut resolver = Resolver { variable: &variable, problems: vec![] };
        let mut endpoints = BTreeMap::new();
        for (name, endpoint) in &config.endpoints {
            let key = format!("endpoints.{name}.secrets");
            let secrets = resolver.list(&key, &endpoint.secrets, &|key, secret| {
                endpoint_secret(key, secret, config.mode)
            });
            endpoints.insert(name.clone(), secrets);
        }
        let api_keys = resolver.list("api.keys", &config.api.keys, &api_key);
        let signing_keys = resolver.list("signing.keys", &config.signing.keys, &signing_key);
        let gate_key = config.gate.key.as_ref().and_then(|source| {
            resolver.one("gate.key", source, &|key, secret| gate_key(key, secret, config.mode))
        });
        let gate_key = gate_key.map(|kept| kept.secret);
        let services = resolver.services(config);
        let secrets = Self { endpoints, api_keys, gate_key, signing_keys, services };
        let mut problems = resolver.problems;
        problems.extend(shared_secrets(&secrets.endpoints));
        (secrets, problems)
    }
}

/// What is remarkable about a secret, told by its shape alone.
type Opinion<'a> = &'a dyn Fn(&str, &str) -> Option<Problem>;

struct Resolver<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
}

impl Resolver<'_> {
    fn services(&mut self, config: &Config) -> ServiceSecrets {
        let mut kafka_properties = BTreeMap::new();
        for (name, property) in &config.kafka.properties {
            let Property::Kept(from) = property else { continue };
            if let Some(text) = self.fetch(&format!("kafka.properties.{name}"), from) {
                kafka_properties.insert(name.clone(), Secret::new(text));
            }
        }
        let mut password = |key: &str, from: &Option<SecretFrom>| {
            from.as_ref().and_then(|from| self.fetch(key, from)).map(Secret::new)
        };
        ServiceSecrets {
            kafka_properties,
            redis_password: password("redis.password", &config.redis.password),
            sentinel_password: password("redis.sentinel_password", &config.redis.sentinel_password),
        }
    }

    fn list(
        &mut self,
        key: &str,
        sources: &[SecretSource],
        opinion: Opinion<'_>,
    ) -> Vec<KeptSecret> {
        let sources = sources.iter().enumerate();
        sources
            .filter_map(|(index, source)| self.one(&format!("{key}[{index}]"), source, opinion))
            .collect()
    }

    fn one(
        &mut self,
        key: &str,
        source: &SecretSource,
        opinion: Opinion<'_>,
    ) -> Option<KeptSecret> {
        let text = self.fetch(key, &source.from)?;
        self.problems.extend(opinion(key, &text));
        Some(KeptSecret { secret: Secret::new(text), retired: source.retired })
    }

    fn fetch(&mut self, key: &str, from: &SecretFrom) -> Option<String> {
        let fetched = match from {
            SecretFrom::File(path) => self.read_file(key, path),
            SecretFrom::Env(name) => (self.variable)(name).ok_or_else(|| {
                Problem::error(
                    key,
                    format!("the variable {name}, which should hold `{key}`, is not set"),
                    format!("set {name}, or name another place for the secret"),
                )
            }),
        };
        match fetched.and_then(|text| sound(key, from, text)) {
            Ok(text) => Some(text),
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    fn read_file(&mut self, key: &str, path: &Path) -> Result<String, Problem> {
        let name = path.display();
        let refuse = |why: &str, fix: &str| {
            Problem::error(key, format!("the file {name}, which should hold `{key}`, {why}"), fix)
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of the system are many")]
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => refuse(
                "does not exist",
                "create it, or mend the path; it is relative to the \
                    working directory",
            ),
            io::ErrorKind::PermissionDenied => {
                refuse("may not be read", "let the user that Tidegate runs as read it")
            }
            io::ErrorKind::InvalidData => refuse("is not text", "put only the secret in it"),
            other => refuse(&format!("cannot be read: {other}"), "see that it is a plain file"),
        };
        let file = File::open(path).map_err(unreadable)?;
        self.judge_mode(key, path, &file)?;
        let mut text = String::new();
        let read = file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text);
        read.map_err(unreadable)?;
        if text.len() as u64 > SECRET_BYTES_MAX {
            return Err(refuse("is too large for a secret", "put only the secret in it"));
        }
        // Editors and `echo` end a file with a newline that is no part of the secret.
        let trimmed = text.strip_suffix('\n').unwrap_or(&text);
        Ok(trimmed.strip_suffix('\r').unwrap_or(trimmed).to_owned())
    }

    /// Whoever can write the file can sign completions, so that is refused. Reading by others is
    /// only warned of: orchestrators mount secrets readable for all inside a container.
    #[cfg(unix)]
    fn judge_mode(&mut self, key: &str, path: &Path, file: &File) -> Result<(), Problem> {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_or(0, |metadata| metadata.permissions().mode());
        let name = path.display();
        if mode & 0o002 != 0 {
            return Err(Problem::error(
                key,
                format!("the file {name}, which holds `{key}`, can be changed by everyone"),
                format!("chmod 600 {name}"),
            ));
        }
        if mode & 0o004 != 0 {
            self.problems.push(Problem::warning(
                key,
                format!("the file {name}, which holds `{key}`, can be read by everyone"),
                format!("chmod 600 {name}, or mount it with mode 0400"),
            ));
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn judge_mode(&mut self, _key: &str, _path: &Path, _file: &File) -> Result<(), Problem> {
        Ok(())
    }
}

fn sound(key: &str, from: &SecretFrom, text: String) -> Result<String, Problem> {
    let place = match from {
        SecretFrom::File(path) => format!("the file {}", path.display()),
        SecretFrom::Env(name) => format!("the variable {name}"),
    };
    if text.trim().is_empty() {
        return Err(Problem::error(
            key,
            format!("{place}, which should hold `{key}`, is empty"),
            "put the secret in it: an empty one would be known to everyone",
        ));
    }
    if text.trim() != text || text.contains(char::is_control) {
        return Err(Problem::error(
            key,
            format!("{place}, which holds `{key}`, has space or line breaks around or in it"),
            "put only the secret in it: every character counts",
        ));
    }
    Ok(text)
}

fn endpoint_secret(key: &str, secret: &str, mode: Mode) -> Option<Problem> {
    let of = |prefix: &str| secret.starts_with(prefix);
    match mode {
        Mode::Live if of("whsec_test_") => Some(Problem::error(
            key,
            format!("`{key}` is a secret of test mode, and `mode` is \"live\""),
            "use the live secret, or set mode = \"test\": whoever has a test secret could \
             complete live attempts",
        )),
        Mode::Test if of("whsec_live_") => Some(Problem::warning(
            key,
            format!("`{key}` is a secret of live mode, and `mode` is \"test\""),
            "use the test secret: live deliveries will be dead-lettered here",
        )),
        Mode::Test | Mode::Live if !of("whsec_") => Some(Problem::warning(
            key,
            format!("`{key}` does not begin with `whsec_`"),
            "copy the whole secret as 0Gate shows it: the prefix is part of the key",
        )),
        Mode::Test | Mode::Live => None,
    }
}

fn gate_key(key: &str, secret: &str, mode: Mode) -> Option<Problem> {
    let (wrong, other) = match mode {
        Mode::Test => ("sk_live_", "live"),
        Mode::Live => ("sk_test_", "test"),
    };
    if secret.starts_with("pk_") {
        return Some(Problem::error(
            key,
            format!("`{key}` is a publishable key"),
            "use the secret key, which begins with `sk_`",
        ));
    }
    secret.starts_with(wrong).then(|| {
        Problem::error(
            key,
            format!("`{key}` is a key of {other} mode, and `mode` is \"{}\"", mode.word()),
            "use the key of this mode: one deployment serves one",
        )
    })
}

fn signing_key(key: &str, secret: &str) -> Option<Problem> {
    (secret.len() < SIGNING_KEY_BYTES_MIN).then(|| {
        Problem::error(
            key,
            format!("`{key}` is shorter than {SIGNING_KEY_BYTES_MIN} bytes"),
            "use a random one; `openssl rand -hex 32` makes it",
        )
    })
}

fn api_key(key: &str, secret: &str) -> Option<Problem> {
    (secret.chars().count() < API_KEY_CHARS_MIN).then(|| {
        Problem::warning(
            key,
            format!("`{key}` is shorter than {API_KEY_CHARS_MIN} characters"),
            "use a random one; `openssl rand -base64 32` makes it",
        )
    })
}

/// A record without the name of its endpoint is given to the one whose secret proves it, so two
/// with the same secret could each be right.
fn shared_secrets(endpoints: &BTreeMap<EndpointName, Vec<KeptSecret>>) -> Vec<Problem> {
    let mut seen: BTreeMap<&str, &EndpointName> = BTreeMap::new();
    let mut problems = vec![];
    for (name, secrets) in endpoints {
        for kept in secrets {
            match seen.insert(kept.secret.expose(), name) {
                Some(other) if other != name => problems.push(Problem::warning(
                    format!("endpoints.{name}.secrets"),
                    format!("the endpoints `{other}` and `{name}` have a secret in common"),
                    "give each its own: otherwise a signature does not tell which it is for",
                )),
                Some(_) | None => {}
            }
        }
    }
    problems
}

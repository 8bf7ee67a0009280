//! Tidegate's own signing keys: from the configuration, else from the data folder, where one is
//! made at the first start.

use crate::adapters::embedded::DataFolder;
use crate::config::KeptSecret;
use crate::ports::JournalError;
use crate::wire::seal::{SIGNING_KEY_BYTES_MIN, SigningKeys, SigningKeysError};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use secrecy::zeroize::Zeroizing;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file of a data folder that holds its key, as hexadecimal text.
const NAME: &str = "signing.key";

/// What `check` says of a key is what a start makes of it.
const _: () = assert!(SIGNING_KEY_BYTES_MIN == crate::config::SIGNING_KEY_BYTES_MIN);

#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("cannot use {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path} can be changed by others than its owner; chmod 600 it, if it is still yours")]
    Open { path: PathBuf },
    #[error("{path} does not hold a key of {SIGNING_KEY_BYTES_MIN} bytes or more")]
    NoKey { path: PathBuf },
    #[error(
        "{path} is missing; restore it from a backup of the data folder, or name the signing keys \
         in a configuration and pass that: nothing in the journal can be proven without them"
    )]
    Missing { path: PathBuf },
    #[error(
        "{path} does not hold a key of {SIGNING_KEY_BYTES_MIN} bytes or more, and a journal beside \
         it was signed with one; restore it from a backup of the data folder, or name the signing \
         keys in a configuration and pass that: nothing in the journal can be proven without them"
    )]
    Damaged { path: PathBuf },
    #[error("the system gives no random bytes for a signing key: {0}")]
    NoRandom(getrandom::Error),
    #[error("signing.keys: {0}")]
    Unusable(#[from] SigningKeysError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The keys of a process that takes traffic: the configured ones, else the folder's, which is made
/// where the folder is new. It is never made anew beside a journal that an older key signed.
pub fn signing_keys(dir: &Path, configured: &[KeptSecret]) -> Result<SigningKeys, KeysError> {
    if !configured.is_empty() {
        return from_configuration(configured);
    }
    match read(dir) {
        Err(KeysError::Missing { path }) => match DataFolder::pins(dir)? {
            Some(_journal) => Err(KeysError::Missing { path }),
            None => {
                make(dir)?;
                read(dir)
            }
        },
        Err(KeysError::NoKey { path }) => Err(match DataFolder::pins(dir)? {
            Some(_journal) => KeysError::Damaged { path },
            None => KeysError::NoKey { path },
        }),
        other => other,
    }
}

/// The keys that a journal was signed with, for whoever only reads it.
pub fn kept_signing_keys(dir: &Path, configured: &[KeptSecret]) -> Result<SigningKeys, KeysError> {
    if !configured.is_empty() {
        return from_configuration(configured);
    }
    match read(dir) {
        // Whoever reads a journal has one.
        Err(KeysError::NoKey { path }) => Err(KeysError::Damaged { path }),
        other => other,
    }
}

/// In the order of the configuration, which records rely on: a new key stands behind the others,
/// and the first that is not retired seals.
fn from_configuration(configured: &[KeptSecret]) -> Result<SigningKeys, KeysError> {
    let bytes: Vec<_> = configured.iter().map(|kept| key_bytes(kept.secret.expose())).collect();
    let keys = SigningKeys::new(bytes.iter().map(|key| key.as_slice()))?;
    Ok(match configured.iter().position(|kept| !kept.retired) {
        Some(place) => keys.sealing_with(place),
        None => keys,
    })
}

/// Hexadecimal text is the bytes that it spells, so that a folder's file can be named in a
/// configuration; any other text is its own bytes.
fn key_bytes(text: &str) -> Zeroizing<Vec<u8>> {
    match HEXLOWER_PERMISSIVE.decode(text.as_bytes()) {
        Ok(bytes) if bytes.len() >= SIGNING_KEY_BYTES_MIN => Zeroizing::new(bytes),
        Ok(_) | Err(_) => Zeroizing::new(text.as_bytes().to_vec()),
    }
}

fn read(dir: &Path) -> Result<SigningKeys, KeysError> {
    let path = dir.join(NAME);
    let text = match fs::read_to_string(&path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(KeysError::Missing { path });
        }
        Err(source) => return Err(KeysError::File { path, source }),
    };
    if is_open(&path).map_err(|source| KeysError::File { path: path.clone(), source })? {
        return Err(KeysError::Open { path });
    }
    let decoded = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).map(Zeroizing::new);
    let Ok(key) = decoded else { return Err(KeysError::NoKey { path }) };
    SigningKeys::new([key.as_slice()]).map_err(|_| KeysError::NoKey { path })
}

/// Whoever can write the file can sign anything.
fn is_open(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::metadata(path)?.permissions().mode() & 0o022 != 0)
}

/// Makes a key that is durable before anything is signed with it. Where two processes do this at
/// once, both end with the key of the first.
fn make(dir: &Path) -> Result<(), KeysError> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut key = Zeroizing::new([0_u8; SIGNING_KEY_BYTES_MIN]);
    getrandom::fill(key.as_mut_slice()).map_err(KeysError::NoRandom)?;
    let text = Zeroizing::new(format!("{}\n", HEXLOWER.encode(key.as_slice())));

    let path = dir.join(NAME);
    let fresh = dir.join(format!("{NAME}.{}.new", std::process::id()));
    let written = (|| {
        fs::create_dir_all(dir)?;
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // A link, unlike a rename, never takes the place of a key that is there.
        match fs::hard_link(&fresh, &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
        fs::remove_file(&fresh)?;
        File::open(dir)?.sync_all()
    })();
    written.map_err(|source| KeysError::File { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Mode;
    use crate::config::Secret;
    use crate::wire::seal::Sealed;

    fn configured(text: &str) -> Vec<KeptSecret> {
        vec![KeptSecret { secret: Secret::new(text.to_owned()), retired: false }]
    }

    /// What a key set mints tells it apart without showing it.
    fn mark(keys: &SigningKeys) -> String {
        keys.mint("account", "key").to_string()
    }

    #[test]
    fn a_folder_keeps_the_key_that_was_made_for_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("data");
        let made = signing_keys(&dir, &[]).unwrap();
        assert_eq!(mark(&signing_keys(&dir, &[]).unwrap()), mark(&made));
        assert_eq!(mark(&kept_signing_keys(&dir, &[]).unwrap()), mark(&made));
        let file = dir.join(NAME);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing else is left behind");

        let text = fs::read_to_string(&file).unwrap();
        let named = signing_keys(folder.path(), &configured(text.trim())).unwrap();
        assert_eq!(mark(&named), mark(&made), "the file can be named in a configuration");
    }

    #[test]
    fn the_first_key_that_is_not_retired_seals_and_the_first_of_all_stays_the_root() {
        let kept = |text: &str, retired| KeptSecret {
            secret: Secret::new(text.repeat(SIGNING_KEY_BYTES_MIN)),
            retired,
        };
        let (folder, sealed) = (Path::new("unused"), Sealed::Own { json: b"{}" });
        let one = signing_keys(folder, &[kept("a", false)]).unwrap();
        for (configured, seals) in
            [([kept("a", false), kept("b", false)], 0), ([kept("a", true), kept("b", false)], 1)]
        {
            let keys = signing_keys(folder, &configured).unwrap();
            assert_eq!(keys.seal(&sealed).key, seals);
            assert!(keys.holds(&one.seal(&sealed), &sealed));
            assert_eq!(mark(&keys), mark(&one));
        }
    }

    #[test]
    fn whoever_only_reads_makes_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let refused = kept_signing_keys(folder.path(), &[]).unwrap_err();
        assert!(matches!(refused, KeysError::Missing { .. }), "{refused}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn no_key_is_made_beside_a_journal_that_another_one_signed() {
        let folder = tempfile::tempdir().unwrap();
        let other = SigningKeys::new([&[7_u8; SIGNING_KEY_BYTES_MIN][..]]).unwrap();
        drop(DataFolder::take(folder.path(), Some(1), 1, &other, Mode::Test).unwrap());
        let refused = signing_keys(folder.path(), &[]).unwrap_err();
        assert!(matches!(refused, KeysError::Missing { .. }), "{refused}");

        // Nor is one advised where it was damaged.
        let file = folder.path().join(NAME);
        fs::write(&file, "00ff").unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&file, private).unwrap();
        let refused = crate::cli::Failure::from(signing_keys(folder.path(), &[]).unwrap_err());
        let said = refused.to_string();
        assert!(said.contains("restore it from a backup"), "{said}");
        assert!(!said.contains("openssl"), "{said}");
    }

    #[test]
    fn a_key_that_others_can_change_or_that_is_short_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        signing_keys(folder.path(), &[]).unwrap();
        let file = folder.path().join(NAME);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o622)).unwrap();
        let refused = signing_keys(folder.path(), &[]).unwrap_err();
        assert!(matches!(refused, KeysError::Open { .. }), "{refused}");

        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, "00ff").unwrap();
        let refused = signing_keys(folder.path(), &[]).unwrap_err();
        assert!(matches!(refused, KeysError::NoKey { .. }), "{refused}");
    }
}

//! Small secrets that a data folder keeps: made once, readable by their owner alone.

use super::Failure;
use super::exit;
use crate::config::Secret;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub(super) const INSTANCE: &str = "instance-id";

/// What the folder keeps under `name`; `make` makes it where there is nothing yet.
pub(super) fn kept(
    root: &Path,
    name: &str,
    make: impl FnOnce() -> String,
) -> Result<Secret, Failure> {
    let path = root.join(name);
    let failed = |doing: &'static str| {
        let path = path.clone();
        move |error: io::Error| Failure::file(doing, &path, &error)
    };
    if let Some(text) = read(&path).map_err(failed("read"))? {
        if text.expose().is_empty() {
            return Err(Failure::new(
                exit::IO,
                format!("{} is empty, and an empty secret keeps nobody out", path.display()),
                "put back what stood there, or remove the file: then a new one is made",
            ));
        }
        return Ok(text);
    }
    fs::create_dir_all(root).map_err(|error| Failure::file("make the folder", root, &error))?;
    // Written whole under another name, then linked to this one, which fails where somebody was
    // faster: then theirs is read.
    let fresh = root.join(format!("{name}.{}.new", random_hex(8)?));
    write_private(&fresh, make().as_bytes()).map_err(failed("write"))?;
    let linked = fs::hard_link(&fresh, &path);
    fs::remove_file(&fresh).map_err(failed("write"))?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("write")(error));
        }
        Ok(()) | Err(_) => {}
    }
    fs::File::open(root).and_then(|folder| folder.sync_all()).map_err(failed("write"))?;
    read(&path).map_err(failed("read"))?.ok_or_else(|| {
        Failure::new(exit::IO, format!("{} went away while it was made", path.display()), "")
    })
}

pub(super) fn random_hex(bytes: usize) -> Result<String, Failure> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|error| {
        Failure::new(exit::INTERNAL, format!("the system gives no random bytes: {error}"), "")
    })?;
    Ok(data_encoding::HEXLOWER.encode(&random))
}

/// Replaces a file that only its owner may read, so that a reader finds the old or the new one.
pub(super) fn replace_private(root: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let (path, fresh) = (root.join(name), root.join(format!("{name}.new")));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Failure::file("write", &fresh, &error));
        }
        Ok(()) | Err(_) => {}
    }
    write_private(&fresh, bytes)
        .and_then(|()| fs::rename(&fresh, &path))
        .map_err(|error| Failure::file("write", &path, &error))
}

fn read(path: &Path) -> io::Result<Option<Secret>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(Secret::new(text.trim_end()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

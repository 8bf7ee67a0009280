//! Certificates of a test's own, made with `openssl`, and gone with the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Signs certificates. Nobody trusts it who was not told to.
pub struct Authority {
    folder: TempDir,
}

/// A server's key and certificate, in PEM and as a Java key store.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub keystore: PathBuf,
}

pub const KEYSTORE_PASSWORD: &str = "keystore-password";

const CURVE: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

impl Authority {
    pub fn make() -> Self {
        let made = Self { folder: TempDir::new().unwrap() };
        let settings = "[req]\ndistinguished_name=dn\nprompt=no\nx509_extensions=ca\n\
                        [dn]\nCN=an authority of a test\n\
                        [ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";
        fs::write(made.at("ca.cnf"), settings).unwrap();
        made.openssl(&[
            &["req", "-x509", "-days", "2", "-config", "ca.cnf"],
            &CURVE[..],
            &["-keyout", "ca.key", "-out", "ca.pem"],
        ]);
        made
    }

    /// The file that says whom to trust.
    pub fn file(&self) -> PathBuf {
        self.at("ca.pem")
    }

    /// A certificate for `names`, such as `DNS:localhost,IP:127.0.0.1`.
    pub fn sign(&self, label: &str, names: &str) -> Certificate {
        let file = |ending: &str| format!("{label}.{ending}");
        let settings = format!(
            "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN={label}\n\
             [leaf]\nsubjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n"
        );
        fs::write(self.at(&file("cnf")), settings).unwrap();
        let [settings, key, request, certificate, keystore] =
            ["cnf", "key", "csr", "pem", "p12"].map(file);
        self.openssl(&[
            &["req", "-config", &settings],
            &CURVE[..],
            &["-keyout", &key, "-out", &request],
        ]);
        self.openssl(&[
            &["x509", "-req", "-days", "2", "-in", &request, "-CA", "ca.pem"],
            &[
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-extfile",
                &settings,
                "-extensions",
                "leaf",
                "-out",
                &certificate,
            ],
        ]);
        let secret = format!("pass:{KEYSTORE_PASSWORD}");
        self.openssl(&[
            &["pkcs12", "-export", "-in", &certificate, "-inkey", &key],
            &["-passout", &secret, "-out", &keystore],
        ]);
        let at = |name: &String| self.at(name);
        Certificate { certificate: at(&certificate), key: at(&key), keystore: at(&keystore) }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, words: &[&[&str]]) {
        run(self.folder.path(), &words.concat());
    }
}

fn run(folder: &Path, words: &[&str]) {
    let done = Command::new("openssl")
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("openssl cannot be started; on Debian: apt-get install openssl");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "openssl {words:?}: {said}");
}

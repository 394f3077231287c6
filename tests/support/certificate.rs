//! Certificates of brokers, made by Java's keytool, which is there wherever Kafka is.
//!
//! Called once by [`crate::secured`], from any thread. Each signs itself: who trusts it is given it as its authority.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The password of the key stores; they are gone once the broker has read them.
pub(crate) const PASSWORD: &str = "of-the-key-store";

/// A certificate with its key.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// Key and certificate, as PKCS #12.
    pub(crate) store: PathBuf,
    /// The certificate, as PEM.
    pub(crate) pem: String,
}

impl Certificate {
    /// For a host (`ip:127.0.0.1`, `dns:elsewhere`), from so many days ago on, for so many days.
    pub(crate) fn make(directory: &Path, host: &str, days_ago: u32, days: u32) -> Self {
        let name = format!("{}-{days_ago}", host.replace([':', '.'], "-"));
        let store = directory.join(format!("{name}.p12"));
        keytool(
            &store,
            &[
                "-genkeypair",
                "-keyalg",
                "EC",
                "-groupname",
                "secp256r1",
                "-dname",
                "CN=libkarafka-tests",
                "-ext",
                &format!("san={host}"),
                "-startdate",
                &format!("-{days_ago}d"),
                "-validity",
                &days.to_string(),
            ],
        );
        let pem = keytool(&store, &["-exportcert", "-rfc"]);
        Self { store, pem }
    }
}

fn keytool(store: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("keytool");
    command.args(arguments).args(["-alias", "broker", "-storetype", "PKCS12", "-storepass", PASSWORD]).arg("-keystore");
    let output = command.arg(store).output().expect("keytool is beside java");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("PEM is text")
}

//! What needs no token: a PIN that is not shown, and programs that cannot ask one. The rest: `tests/pkcs11.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

/// A keyring of one derived key, whose module is `module.so`.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(
        path("keyring.toml"),
        "version = 1\n[[root]]\nname = \"hsm\"\npkcs11 = { module = \"module.so\", token = \"t\", label = \"l\", pin = { file = \"pin\" } }\n\
         [[key]]\nid = \"2026-11\"\nactivate_at = 2026-11-01T00:00:00Z\nmaterial = { derive = \"hsm\" }\nkcv = \"00000000\"\n",
    )
    .unwrap();
    fs::write(path("pin"), "1234\n").unwrap();
    fs::set_permissions(path("pin"), fs::Permissions::from_mode(0o400)).unwrap();
    folder
}

#[cfg(feature = "pkcs11")]
#[test]
fn a_pin_is_printed_by_nothing() {
    let bytes = Secret::new(b"3141\n".to_vec());
    let pin = token::Pin::parse(&bytes).unwrap();
    assert_eq!(format!("{pin:?} {bytes:?}"), "Pin(..) Secret(..)");
    let root = fs::read_to_string(folder().path().join("keyring.toml")).unwrap();
    let source = Source {
        path: "k.toml".into(),
        text: root.replace("{ file = \"pin\" }", "3141"),
    };
    let fault = source.parse::<KeyringFile>().unwrap_err().to_string();
    assert!(
        fault.starts_with("k.toml:4:") && !fault.contains("3141"),
        "{fault}"
    );
}

/// The one fault of loading it, behind the file's name.
#[cfg(not(feature = "pkcs11"))]
fn refusal(folder: &TempDir) -> String {
    let path = folder.path().join("keyring.toml");
    let outside = Outside {
        credentials: None,
        time_limit: std::time::Duration::from_millis(200),
    };
    let faults = crate::keystore::load_from(&path, &outside).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    let text = faults[0]
        .to_string()
        .replace(&format!("{}/", folder.path().display()), "");
    text.strip_prefix("keyring.toml:").unwrap().to_owned()
}

#[cfg(not(feature = "pkcs11"))]
#[test]
fn a_program_without_the_feature_says_so() {
    let said = "4:10: root \"hsm\": this program was built without the feature pkcs11, which is on by default: build it with `--features pkcs11`";
    assert_eq!(refusal(&folder()), said);
}

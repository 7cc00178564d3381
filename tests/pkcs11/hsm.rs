//! Tokens of SoftHSM in a folder of this run, made and filled as a security officer would.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

pub const PIN: &str = "pin-3141";
const SO_PIN: &str = "so-pin-2718";

/// Where SoftHSM, or OpenSC's `pkcs11-spy.so`, may lie.
fn library(names: &[&str]) -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let folders = folders
        .map(|entry| entry.path())
        .chain(["/usr/lib".into(), "/usr/lib64".into()]);
    let candidates = folders.flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    candidates.into_iter().find(|path| path.is_file())
}

pub fn softhsm() -> Option<PathBuf> {
    library(&[
        "softhsm/libsofthsm2.so",
        "libsofthsm2.so",
        "pkcs11/libsofthsm2.so",
    ])
}

/// Writes down every call and hands it on.
pub fn spy() -> Option<PathBuf> {
    library(&["pkcs11-spy.so", "pkcs11/pkcs11-spy.so"])
}

pub fn all_there() -> bool {
    let tool = |name: &str| Command::new(name).arg("--version").output().is_ok();
    softhsm().is_some() && spy().is_some() && tool("softhsm2-util") && tool("pkcs11-tool")
}

/// Says that the environment is that of [`run_apart`].
const APART: &str = "CDRVEIL_TEST_TOKENS";

/// Runs this program once more with a folder for tokens: SoftHSM learns of it from its environment alone.
pub fn run_apart() -> Option<ExitStatus> {
    if std::env::var_os(APART).is_some() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let configuration = folder.path().join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\n",
        tokens.display()
    );
    std::fs::write(&configuration, text).unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .env("SOFTHSM2_CONF", &configuration)
        .env("PKCS11SPY", softhsm().unwrap_or_default())
        .env("PKCS11SPY_OUTPUT", folder.path().join("spy.log"))
        .env(APART, "1")
        .status();
    Some(status.unwrap())
}

/// A token of this label.
pub struct Token {
    pub label: String,
}

/// PKCS#11 is begun and ended once for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

impl Token {
    pub fn new(label: &str) -> Self {
        alone(|module| {
            let slots = module.get_slots_with_token().unwrap();
            let free = |slot: &&Slot| !module.get_token_info(**slot).unwrap().token_initialized();
            let slot = *slots.iter().find(free).unwrap();
            let so_pin = AuthPin::from(SO_PIN.to_owned());
            module.init_token(slot, &so_pin, label).unwrap();
            let session = module.open_rw_session(slot).unwrap();
            session.login(UserType::So, Some(&so_pin)).unwrap();
            session.init_pin(&AuthPin::from(PIN.to_owned())).unwrap();
        });
        Self {
            label: label.to_owned(),
        }
    }

    /// A root as it should be, made in the token.
    pub fn root(&self, label: &str) {
        self.generated(
            label,
            32,
            &[Attribute::Sensitive(true), Attribute::Extractable(false)],
        );
    }

    pub fn generated(&self, label: &str, bytes: u64, more: &[Attribute]) {
        let mut template = vec![
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sign(true),
            Attribute::Label(label.into()),
            Attribute::ValueLen(bytes.into()),
        ];
        template.extend_from_slice(more);
        self.logged_in(|session| {
            let made = session.generate_key(&Mechanism::GenericSecretKeyGen, &template);
            made.unwrap();
        });
    }

    /// A key that exists outside as well.
    pub fn imported(&self, label: &str, kind: KeyType, bytes: &[u8]) {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(kind),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::Label(label.into()),
            Attribute::Value(bytes.to_vec()),
        ];
        self.logged_in(|session| {
            session.create_object(&template).unwrap();
        });
    }

    /// The end of a root.
    pub fn destroyed(&self, label: &str) {
        self.logged_in(|session| {
            for object in session.find_objects(&[Attribute::Label(label.into())]).unwrap() {
                session.destroy_object(object).unwrap();
            }
        });
    }

    fn logged_in(&self, work: impl FnOnce(&Session)) {
        alone(|module| {
            let slots = module.get_slots_with_token().unwrap();
            let ours = |slot: &&Slot| module.get_token_info(**slot).unwrap().label() == self.label;
            let slot = *slots.iter().find(ours).unwrap();
            let session = module.open_rw_session(slot).unwrap();
            session
                .login(UserType::User, Some(&AuthPin::from(PIN.to_owned())))
                .unwrap();
            work(&session);
        });
    }
}

fn alone(work: impl FnOnce(&Pkcs11)) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let module = Pkcs11::new(softhsm().unwrap()).unwrap();
    module
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .unwrap();
    work(&module);
    module.finalize().unwrap();
}

/// How often the spy saw a function called.
pub fn calls(log: &Path, function: &str) -> usize {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let called = |line: &&str| {
        line.split_once(": ")
            .is_some_and(|(_, name)| name.trim() == function)
    };
    text.lines().filter(called).count()
}

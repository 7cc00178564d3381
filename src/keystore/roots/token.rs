//! The one file that calls PKCS#11: a visit to a token that brings back MACs.
//!
//! Invariant: the root must be a secret that its token gives to nobody, or nothing is asked of it. A PIN
//! that a token refused is not tried again by this process: tokens lock after a few wrong ones. Every visit
//! ends logged out, with the module shut down; the module stays mapped, as few of them bear to be unloaded.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::RawAuthPin;

use crate::pseudonym::mac::{MIN_KEY_BYTES, sha256};
use crate::secret::Secret;
use crate::settings::without_secrets;

/// What an HMAC-SHA-256 has.
const MAC_BYTES: usize = 32;

/// A user's PIN. It is wiped when dropped, and nothing prints it.
#[derive(Clone)]
pub(super) struct Pin(Secret<Vec<u8>>);

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}

impl Pin {
    /// One line, whose line break is no part of it.
    pub fn parse(bytes: &Secret<Vec<u8>>) -> Result<Self, &'static str> {
        let line = bytes.expose().as_slice();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Err("is empty: the token's user PIN belongs there");
        }
        if line.iter().any(u8::is_ascii_control) {
            return Err("is not one line: the token's user PIN alone belongs there");
        }
        Ok(Self(Secret::new(line.to_vec())))
    }

    fn mark(&self) -> Secret<[u8; 32]> {
        Secret::new(sha256(self.0.expose()))
    }
}

/// What is asked of a token.
pub(super) struct Request {
    /// The module's file, in full: what else is known by it must not depend on how it was written.
    pub module: PathBuf,
    pub token: String,
    pub label: String,
    pub pin: Pin,
    pub messages: Vec<Vec<u8>>,
}

/// The part of a root's settings that a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Module,
    Token,
    Pin,
    Label,
}

/// A fault, said after the root's name.
type Said = (Part, String);

/// The root's MAC of each message.
///
/// A module that does not come back within the limit is given up with its thread: C code cannot be stopped.
pub(super) fn macs(request: Request, limit: Duration) -> Result<Vec<Secret<Vec<u8>>>, Said> {
    let name = request.module.display().to_string();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Nobody listens any more after the time limit.
        let _ = sender.send(visit(&request));
    });
    receiver.recv_timeout(limit).unwrap_or_else(|error| {
        let message = match error {
            RecvTimeoutError::Timeout => format!(
                "module {name} did not answer within {} s and was given up, with the thread that called it: look at the token, its connection and the module's own log",
                limit.as_secs_f32()
            ),
            RecvTimeoutError::Disconnected => format!("module {name} gave an answer that makes no sense"),
        };
        Err((Part::Module, message))
    })
}

fn visit(request: &Request) -> Result<Vec<Secret<Vec<u8>>>, Said> {
    let visit = Visit::begin(&request.module)?;
    let macs = ask(&visit.module, request);
    visit.end();
    macs
}

/// Every module that was loaded; nothing where a visit is under way.
static MODULES: Mutex<BTreeMap<PathBuf, Option<Pkcs11>>> = Mutex::new(BTreeMap::new());

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A module in use by us alone.
struct Visit {
    path: PathBuf,
    module: Pkcs11,
    /// Another part of this process (an OpenSSL provider) may have begun it, and would lose its sessions.
    begun_by_us: bool,
}

impl Visit {
    fn begin(path: &Path) -> Result<Self, Said> {
        let name = path.display();
        let known = locked(&MODULES).insert(path.to_path_buf(), None);
        let loaded = match known {
            Some(None) => {
                let message = format!(
                    "module {name} has not come back from a call that was given up: restart this process once the token answers"
                );
                return Err((Part::Module, message));
            }
            Some(Some(module)) => Ok(module),
            None => Pkcs11::new(path),
        };
        let module = loaded.map_err(|error| {
            locked(&MODULES).remove(path);
            let said = said(&error);
            let message = format!(
                "module {name} cannot be loaded ({said}): it must be a PKCS#11 library for this machine, with all it needs"
            );
            (Part::Module, message)
        })?;
        let begun = module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        let begun_by_us = match begun {
            Ok(()) => true,
            Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => false,
            Err(error) => {
                locked(&MODULES).insert(path.to_path_buf(), Some(module));
                let said = said(&error);
                let message = format!(
                    "module {name} does not start ({said}): look at its own configuration, as the daemon's user and with the daemon's environment"
                );
                return Err((Part::Module, message));
            }
        };
        Ok(Self {
            path: path.to_path_buf(),
            module,
            begun_by_us,
        })
    }

    fn end(self) {
        if self.begun_by_us {
            // What was asked for is here; a module that cannot end says so at the next visit.
            let _ = self.module.clone().finalize();
        }
        locked(&MODULES).insert(self.path, Some(self.module));
    }
}

fn ask(module: &Pkcs11, request: &Request) -> Result<Vec<Secret<Vec<u8>>>, Said> {
    let slot = slot(module, &request.token)?;
    let token = |error: &Error| {
        let message = format!("token \"{}\": {}", request.token, said(error));
        (Part::Token, message)
    };
    let mechanisms = module.get_mechanism_list(slot).map_err(|error| token(&error))?;
    if !mechanisms.contains(&MechanismType::SHA256_HMAC) {
        let message = format!(
            "token \"{}\" has no mechanism CKM_SHA256_HMAC (`pkcs11-tool --list-mechanisms` shows those it has): keys cannot be derived with it",
            request.token
        );
        return Err((Part::Token, message));
    }
    let session = module.open_ro_session(slot).map_err(|error| token(&error))?;
    let login = log_in(module, slot, &session, request)?;
    let macs = root(&session, request).and_then(|root| {
        let mac = |message: &Vec<u8>| mac(&session, root, message, request);
        request.messages.iter().map(mac).collect()
    });
    if login == Login::Ours {
        // Closing the last session logs out, too.
        let _ = session.logout();
    }
    macs
}

/// The slot that holds the one token of this label.
fn slot(module: &Pkcs11, label: &str) -> Result<Slot, Said> {
    let fault = |message: String| (Part::Token, message);
    let listed = |error: Error| {
        let message = format!("the module's tokens cannot be listed ({})", said(&error));
        fault(message)
    };
    let mut there = Vec::new();
    let mut silent = String::new();
    for slot in module.get_slots_with_token().map_err(listed)? {
        match module.get_token_info(slot) {
            Ok(info) if info.token_initialized() => there.push((info.label().to_owned(), slot)),
            Ok(_) => {}
            // Another slot's trouble is none of ours, unless the token is in there.
            Err(error) => silent = format!(", and one that does not say: {}", said(&error)),
        }
    }
    let mut right = there.iter().filter(|(name, _)| name == label);
    match (right.next(), right.next()) {
        (Some((_, slot)), None) => Ok(*slot),
        (Some(_), Some(_)) => Err(fault(format!(
            "several tokens have the label \"{label}\": give one of them another, so that it is known which holds the root"
        ))),
        (None, _) => {
            let names: Vec<String> = there.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let names = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            Err(fault(format!(
                "there is no token \"{label}\" (the module has {names}{silent}): is it plugged in, and may the daemon's user see it?"
            )))
        }
    }
}

/// A token and a PIN that did not fit it.
struct Refused {
    module: PathBuf,
    token: String,
    pin: Secret<[u8; 32]>,
}

/// Who logged in: it holds for all of a process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Login {
    Ours,
    Before,
}

static REFUSED: Mutex<Vec<Refused>> = Mutex::new(Vec::new());

fn log_in(module: &Pkcs11, slot: Slot, session: &Session, request: &Request) -> Result<Login, Said> {
    let fault = |message: String| (Part::Pin, message);
    let Request { token, pin, .. } = request;
    let mark = pin.mark();
    let before = locked(&REFUSED).iter().any(|refused| {
        let same = (&refused.module, &refused.token) == (&request.module, token);
        same && refused.pin.expose() == mark.expose()
    });
    if before {
        return Err(fault(format!(
            "token \"{token}\" refused this PIN before, and this process does not try it again, because tokens lock after a few wrong ones: correct it; if it was put right in the token, restart"
        )));
    }
    let info = module.get_token_info(slot).map_err(|error| {
        let message = format!("token \"{token}\": {}", said(&error));
        (Part::Token, message)
    })?;
    if info.user_pin_locked() {
        return Err(fault(format!(
            "the user PIN of token \"{token}\" is locked: its security officer has to set a new one"
        )));
    }
    if info.user_pin_final_try() {
        return Err(fault(format!(
            "token \"{token}\" allows one more try before it locks, and cdrveil does not use it up: log in once with the right PIN by hand"
        )));
    }
    let secret = RawAuthPin::new(Box::new(pin.0.expose().clone()));
    match session.login_with_raw(UserType::User, &secret) {
        Ok(()) => Ok(Login::Ours),
        Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(Login::Before),
        Err(error) if is_of_the_device(&error) => Err((
            Part::Token,
            format!("nobody can log in to token \"{token}\" ({})", said(&error)),
        )),
        Err(error) => {
            locked(&REFUSED).push(Refused {
                module: request.module.clone(),
                token: token.clone(),
                pin: mark,
            });
            Err(fault(format!(
                "token \"{token}\" refuses the PIN ({}): it was tried once and is not tried again, because tokens lock after a few wrong ones; correct it before the next start",
                said(&error)
            )))
        }
    }
}

/// What has nothing to do with the PIN: the same one may be right in a moment. All else counts as a wrong PIN.
fn is_of_the_device(error: &Error) -> bool {
    let Error::Pkcs11(rv, _) = error else {
        return false;
    };
    matches!(
        rv,
        RvError::DeviceError
            | RvError::DeviceMemory
            | RvError::DeviceRemoved
            | RvError::HostMemory
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SessionClosed
            | RvError::SessionHandleInvalid
            | RvError::UserPinNotInitialized
    )
}

/// The one secret key of this label, if it may be a root.
fn root(session: &Session, request: &Request) -> Result<ObjectHandle, Said> {
    let Request { token, label, .. } = request;
    let fault = |message: String| (Part::Label, message);
    let refused = |error: Error| fault(format!("\"{label}\" cannot be looked at ({})", said(&error)));
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Label(label.clone().into_bytes()),
    ];
    let found = session.find_objects(&template).map_err(refused)?;
    let key = match found.as_slice() {
        [key] => *key,
        [] => {
            return Err(fault(format!(
                "token \"{token}\" has no secret key \"{label}\": `pkcs11-tool --list-objects --login` shows those it has, docs/keys.md how to make one"
            )));
        }
        several => {
            return Err(fault(format!(
                "token \"{token}\" has {} secret keys \"{label}\": give the one that is meant a label of its own",
                several.len()
            )));
        }
    };
    let asked = [
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::ValueLen,
    ];
    let told = session.get_attributes(key, &asked).map_err(refused)?;
    // An attribute that is not told counts as a wrong one.
    let has = |wanted: &Attribute| told.contains(wanted);
    let cure = "make another (`pkcs11-tool --keygen --key-type GENERIC:32 --sensitive`) and derive later epochs from that";
    if !has(&Attribute::Sensitive(true)) {
        return Err(fault(format!(
            "key \"{label}\" is not sensitive (CKA_SENSITIVE): whoever logs in can read it; {cure}"
        )));
    }
    if !has(&Attribute::Extractable(false)) {
        return Err(fault(format!(
            "key \"{label}\" is extractable (CKA_EXTRACTABLE): it can leave the token; {cure}"
        )));
    }
    let length = told.iter().find_map(|attribute| match attribute {
        Attribute::ValueLen(length) => Some(u64::from(*length)),
        _ => None,
    });
    if length.is_none_or(|length| length < MIN_KEY_BYTES as u64) {
        let length = length.map_or_else(|| "?".to_owned(), |length| length.to_string());
        return Err(fault(format!(
            "key \"{label}\" has {length} bytes (CKA_VALUE_LEN): {MIN_KEY_BYTES} or more are needed; {cure}"
        )));
    }
    Ok(key)
}

fn mac(
    session: &Session,
    root: ObjectHandle,
    message: &[u8],
    request: &Request,
) -> Result<Secret<Vec<u8>>, Said> {
    let label = &request.label;
    let mac = session
        .sign(&Mechanism::Sha256Hmac, root, message)
        .map(Secret::new)
        .map_err(|error| {
            let message = format!(
                "key \"{label}\" cannot be used for CKM_SHA256_HMAC ({}): it has to be a generic secret that may sign",
                said(&error)
            );
            (Part::Label, message)
        })?;
    if mac.expose().len() == MAC_BYTES {
        Ok(mac)
    } else {
        let length = mac.expose().len();
        let message = format!("CKM_SHA256_HMAC gave {length} bytes with \"{label}\", not {MAC_BYTES}");
        Err((Part::Label, message))
    }
}

/// The token's own words, as its manual and its log have them: `C_Login: CKR_PIN_INCORRECT`.
fn said(error: &Error) -> String {
    match error {
        Error::Pkcs11(RvError::VendorDefined(code), function) => {
            format!("C_{function:?}: vendor's code {code:#x}")
        }
        Error::Pkcs11(rv, function) => format!("C_{function:?}: {}", constant(&format!("{rv:?}"))),
        Error::LibraryLoading(error) => without_secrets(&error.to_string()),
        error => error.to_string(),
    }
}

/// `PinIncorrect` as `CKR_PIN_INCORRECT`.
fn constant(name: &str) -> String {
    let mut constant = "CKR".to_owned();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            constant.push('_');
        }
        constant.push(letter.to_ascii_uppercase());
    }
    constant
}

//! The memory of a running daemon, searched for keys.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use sha2::compress256;

use crate::support::oracle::Epoch;

/// What lies about in memory of a key that is in use, or was: by name, the bytes.
pub fn traces(epoch: &Epoch<'_>, kind: &str) -> Vec<(&'static str, Vec<u8>)> {
    let key = data_encoding::HEXLOWER.decode(epoch.key_hex.as_bytes()).unwrap();
    let field = epoch.field_key(kind);
    vec![
        ("hex", epoch.key_hex.as_bytes().to_vec()),
        ("upper hex", epoch.key_hex.to_uppercase().into_bytes()),
        ("bytes", key.clone()),
        ("inner pad", padded(&key, 0x36)),
        ("outer pad", padded(&key, 0x5c)),
        ("sub-key", field.clone()),
        ("sub-key's inner pad", padded(&field, 0x36)),
        ("sub-key's outer pad", padded(&field, 0x5c)),
        ("sub-key's inner state", state(&field, 0x36)),
        ("sub-key's outer state", state(&field, 0x5c)),
    ]
}

fn padded(key: &[u8], pad: u8) -> Vec<u8> {
    key.iter().map(|byte| byte ^ pad).collect()
}

/// SHA-256 after the block of a key, as it is kept: eight words of this machine.
fn state(key: &[u8], pad: u8) -> Vec<u8> {
    let mut block = [pad; 64];
    block[..key.len()].copy_from_slice(&padded(key, pad));
    let mut words = SHA256_START;
    compress256(&mut words, &[block.into()]);
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// FIPS 180-4, 5.3.3.
const SHA256_START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The names of those that are anywhere in the memory of a process.
///
/// Read as a debugger does, through `/proc/PID/mem`: the daemon closes it to its own user, so this needs root or
/// CAP_SYS_PTRACE, and fails without.
pub fn found(pid: i32, traces: &[(&'static str, Vec<u8>)]) -> Vec<&'static str> {
    const PIECE: usize = 4 << 20;
    let memory = File::open(format!("/proc/{pid}/mem")).expect("root may read the memory of a process");
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut found = Vec::new();
    let mut read = 0;
    let longest = traces.iter().map(|(_, bytes)| bytes.len()).max().unwrap();
    let mut piece = vec![0; PIECE];
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        // The kernel's own pages cannot be read.
        if !rest.starts_with('r') || line.ends_with("[vvar]") || line.ends_with("[vsyscall]") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let (mut at, end) = (
            u64::from_str_radix(from, 16).unwrap(),
            u64::from_str_radix(to, 16).unwrap(),
        );
        while at < end {
            let want = PIECE.min((end - at) as usize);
            // A page may go while we look.
            let Ok(got) = memory.read_at(&mut piece[..want], at) else {
                break;
            };
            if got == 0 {
                break;
            }
            read += got;
            for (name, bytes) in traces {
                if memchr::memmem::find(&piece[..got], bytes).is_some() {
                    found.push(*name);
                }
            }
            at += got as u64;
            // What lies across two pieces is seen in the second.
            if at < end {
                at -= (longest as u64).min(got as u64 - 1);
            }
        }
    }
    assert!(read > 1 << 20, "only {read} bytes of memory could be read");
    found.sort_unstable();
    found.dedup();
    found
}

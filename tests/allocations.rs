//! No allocation per record once warmed up: counted by this test's own allocator.

#[path = "../benches/records/mod.rs"]
mod records;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use cdrveil::cdr::transform::keyed::Keyed;
use cdrveil::engine::{Engine, Output, Payload};
use cdrveil::pseudonym::epoch::EventTime;
use cdrveil::pseudonym::keyring::{KeyEntry, Keyring, Overlap, Status};
use cdrveil::pseudonym::mac::EpochKey;

/// Counts what this thread asks for; other tests' threads do not disturb it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[allow(unsafe_code)] // an allocator is nothing else; it hands everything on
// SAFETY: every call goes to the system's allocator with its arguments as they came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: by this function's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: by this function's contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: by this function's contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WARM_UP: usize = 1_000;
const COUNTED: usize = 10_000;

/// Runs the payloads in turn; how many were accepted and rejected.
fn run(engine: &mut Engine, payloads: &[Vec<u8>], times: usize) -> [usize; 2] {
    let mut outcomes = [0; 2];
    for bytes in payloads.iter().cycle().take(times) {
        let payload = Payload {
            id: records::RECORD_ID,
            timestamp: records::TIMESTAMP,
            bytes: Some(bytes),
        };
        let done: Result<(), _> = engine.payload(&payload, Duration::ZERO, |output| {
            match output {
                Output::Accepted(_) => outcomes[0] += 1,
                Output::Rejected { .. } => outcomes[1] += 1,
                Output::Skipped(_) => {}
            }
            Ok::<(), ()>(())
        });
        assert!(done.is_ok());
    }
    outcomes
}

/// After a warm-up, `payloads` take no allocation; what became of them is checked too.
fn no_allocations(policy: &str, payloads: &[Vec<u8>], expected: [usize; 2]) {
    none_by(records::engine(policy), payloads, expected);
}

fn none_by(mut engine: Engine, payloads: &[Vec<u8>], expected: [usize; 2]) {
    run(&mut engine, payloads, WARM_UP);
    let before = ALLOCATIONS.with(Cell::get);
    let outcomes = run(&mut engine, payloads, COUNTED);
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0);
    assert_eq!(outcomes, expected);
}

#[test]
fn the_counter_counts() {
    let before = ALLOCATIONS.with(Cell::get);
    drop(std::hint::black_box(vec![1_u8; 100]));
    assert!(ALLOCATIONS.with(Cell::get) > before);
}

#[test]
fn accepted_csv_records_allocate_nothing() {
    let payloads: Vec<_> = (0..WARM_UP).map(records::csv).collect();
    no_allocations(records::CSV_POLICY, &payloads, [COUNTED, 0]);
}

#[test]
fn records_with_everything_derived_allocate_nothing() {
    let replaced = |row: &str, dialled: &str| {
        let mut cells: Vec<_> = row.split(',').collect();
        cells[3] = dialled;
        cells.join(",")
    };
    let dialled = |at: usize| {
        let row = String::from_utf8(records::csv(at)).unwrap();
        match at % 5 {
            0 => replaced(&row, "118118"),
            1 => replaced(&row, "tel:+14155550123;npdi;rn=+14155550199"),
            2 => replaced(&row, "999"),
            _ => row,
        }
    };
    let payloads: Vec<_> = (0..WARM_UP).map(|at| dialled(at).into_bytes()).collect();
    none_by(
        records::engine_of(records::rated_policy()),
        &payloads,
        [COUNTED, 0],
    );
}

#[test]
fn accepted_json_records_allocate_nothing() {
    let payloads: Vec<_> = (0..WARM_UP).map(records::json).collect();
    no_allocations(records::JSON_POLICY, &payloads, [COUNTED, 0]);
}

/// Every call is in the overlap: all tokens are written twice, and sealed.
#[test]
fn records_in_an_overlap_allocate_nothing() {
    let overlap = Overlap {
        public: Some(Duration::from_secs(60 * 86_400)),
        sealed: true,
    };
    let entry = |id: &str, from: i64, first: u8| KeyEntry {
        id: id.parse().unwrap(),
        activate_at: EventTime::from_millis(from),
        status: Status::Enabled,
        kcv: None,
        key: EpochKey::new((first..first + 32).collect()).ok(),
    };
    let entries = vec![entry("2026-10", 0, 32), entry("2026-11", 1_793_491_200_000, 0)];
    let keyring = Arc::new(Keyring::new(entries).unwrap().overlapping(overlap));
    let chain = records::CSV_POLICY.replace(
        "trunk = \"keep\"",
        "trunk = { action = \"pseudonymise\", kind = \"text\", separators = \"-\" }",
    );
    let of_csv = [
        records::policy(records::CSV_POLICY),
        records::policy(&chain),
        records::rated_policy(),
    ];
    let csv = of_csv.map(|policy| (policy, records::csv as fn(usize) -> Vec<u8>));
    let json = (
        records::policy(records::JSON_POLICY),
        records::json as fn(usize) -> Vec<u8>,
    );
    for (policy, record) in csv.into_iter().chain([json]) {
        let mut policy = Arc::into_inner(policy).unwrap();
        policy.carry(overlap.carriers()).unwrap();
        let keyed = Keyed::new(&policy, Arc::clone(&keyring), "billing");
        let mut engine = records::engine_of(Arc::new(policy));
        engine.rekey(Arc::new(keyed));
        let payloads: Vec<_> = (0..WARM_UP).map(record).collect();
        none_by(engine, &payloads, [COUNTED, 0]);
    }
}

#[test]
fn rows_under_a_header_row_allocate_nothing() {
    let named = "format = \"csv\"\nheader = \"name\"\nunlisted = \"restrict\"\nescape = \"!\"\n\
                 markers = [{ column = \"type\", values = [\"INTEGER\"] }]";
    let policy = records::CSV_POLICY.replace("format = \"csv\"", named);
    let header = "id,type,caller,called,imsi,imei,cell,start,seconds,cause,trunk,new\n";
    let row = |at: usize| String::from_utf8(records::csv(at)).unwrap();
    let payloads: Vec<_> = (0..WARM_UP)
        .map(|at| format!("{header}{},!,x\n", row(at)).into_bytes())
        .collect();
    no_allocations(&policy, &payloads, [COUNTED, 0]);
}

#[test]
fn rejected_csv_records_allocate_nothing() {
    let broken = |at: usize| {
        let row = String::from_utf8(records::csv(at)).unwrap();
        let caller = row.split(',').nth(2).unwrap().to_owned();
        match at % 5 {
            0 => row.replace("2026-11-", "2026-13-"),
            1 => row + ",more",
            3 => row.replace(",voice,", &format!(",%2B{caller},")),
            2 => row.replace(",voice,", ",\"voice,"),
            _ => row
                .replace(",voice,", ",voice,12;34 56?,")
                .replacen(",16,", ",", 1),
        }
    };
    let payloads: Vec<_> = (0..WARM_UP).map(|at| broken(at).into_bytes()).collect();
    no_allocations(records::CSV_POLICY, &payloads, [0, COUNTED]);
}

#[test]
fn rejected_json_records_allocate_nothing() {
    let broken = |at: usize| {
        let object = String::from_utf8(records::json(at)).unwrap();
        match at % 4 {
            0 => object.replace("\"2026-", "\"2x26-"),
            1 => object.replace("\"type\"", "\"new\""),
            2 => object[..object.len() - 1].to_owned(),
            _ => object.replace("\"cause\":16", "\"id\":16"),
        }
    };
    let payloads: Vec<_> = (0..WARM_UP).map(|at| broken(at).into_bytes()).collect();
    no_allocations(records::JSON_POLICY, &payloads, [0, COUNTED]);
}

//! Receipts of released formats: they load for ever.
//!
//! A file here is never changed and never removed. A new format gets a new
//! folder beside it.

use camino::Utf8Path;
use mailfix::receipt::Receipts;
use mailfix::system::{Command, RealSystem};

/// Loads every receipt of a released format, oldest first.
fn load(format: &str) -> Vec<mailfix::receipt::Receipt> {
    let folder = Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/receipts")
        .join(format);
    let tree = tempfile::tempdir().unwrap();
    let receipts = tree.path().join("state/receipts");
    std::fs::create_dir_all(&receipts).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), receipts.join(entry.file_name())).unwrap();
    }
    let root = Utf8Path::from_path(tree.path()).unwrap().to_owned();
    let system = RealSystem::new(Some(root)).unwrap();
    let list = Receipts::new("/state").list(&system).unwrap();
    list.into_iter().map(Result::unwrap).collect()
}

#[test]
fn format_1_loads() {
    let receipts = load("v1");
    let ids: Vec<_> = receipts.iter().map(|receipt| receipt.id.as_str()).collect();
    assert_eq!(
        ids,
        ["20261125T193000Z", "20261125T193100Z", "20261125T193200Z-2"]
    );
    let first = &receipts[0];
    assert_eq!(first.created.to_string(), "2026-11-25T19:30:00Z");
    assert_eq!(first.entries().count(), 5);
    let before = first.steps[0].files[0].before.as_ref().unwrap();
    assert_eq!(before.bytes, b"smtp unix - - n - - smtp\n");
    assert_eq!(
        before.attributes,
        [("user.note".to_owned(), b"mine".to_vec())]
    );
    let obsolete = first.steps[1].files[3].before.as_ref().unwrap();
    assert_eq!(
        (obsolete.bytes.as_slice(), obsolete.mode),
        (&[0xff][..], 0o4755)
    );
    assert!(matches!(first.steps[2].then[1], Command::Start { .. }));
    assert_eq!(receipts[1].undoes.as_deref(), Some("20261125T193000Z"));
    assert_eq!(receipts[1].steps[0].abandoned[0].mode, 0o755);
    assert_eq!(receipts[2].continues.as_deref(), Some("20261125T193200Z"));
}

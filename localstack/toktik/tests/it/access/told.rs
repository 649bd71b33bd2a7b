//! `SECURITY.md` names the tests that show what it says: they are there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Known only when the tests run: compiled tests are shared between clones.
fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(manifest).join("../..").canonicalize().unwrap()
}

/// Every word of every source file below.
fn words(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "node_modules") {
            words(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(path).unwrap();
            let split = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            found.extend(split.map(str::to_owned));
        }
    }
}

#[test]
fn the_tests_that_security_md_names_are_there() {
    let root = root();
    let mut known = BTreeSet::new();
    for folder in ["functions", "localstack", "shared"] {
        words(&root.join(folder), &mut known);
    }
    let text = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let quoted: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    let is_name = |name: &&str| {
        name.chars()
            .all(|c| c.is_ascii_lowercase() || "_:0123456789".contains(c))
    };
    let names: Vec<&str> = quoted
        .iter()
        .copied()
        .filter(is_name)
        .filter(|name| name.contains('_'))
        .collect();
    assert!(names.len() > 50, "{names:?}");
    for name in names {
        for part in name.split("::") {
            assert!(known.contains(part), "SECURITY.md names {name}, and there is no {part}");
        }
    }
    let targets: Vec<&str> = quoted
        .into_iter()
        .filter_map(|quoted| quoted.strip_prefix("fuzz/"))
        .collect();
    assert!(targets.len() > 8, "{targets:?}");
    for target in targets {
        assert!(
            root.join(format!("fuzz/fuzz_targets/{target}.rs")).is_file(),
            "there is no target {target}"
        );
    }
}

//! Writes the manifests: `cargo xtask manifests`.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Takes the workspace's root as its argument; else works where it is started.
fn main() -> anyhow::Result<()> {
    let root = std::env::args_os().nth(1).unwrap_or_else(|| ".".into());
    let root = Path::new(&root);
    for file in toktik_deploy::files(root)? {
        let path = root.join(&file.path);
        if fs::read_to_string(&path).is_ok_and(|text| text == file.text) {
            continue;
        }
        let directory = path.parent().unwrap_or(root);
        fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
        fs::write(&path, file.text).with_context(|| format!("writing {}", path.display()))?;
        println!("{}", file.path.display());
    }
    Ok(())
}

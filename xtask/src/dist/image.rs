//! Container images, all in one archive of the form that `docker save` writes, so that a layer they share is there once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::Program;
use super::root::{self, Content, Entry, USER};

/// Clusters take images of this registry from the machine itself: nobody can be asked for them.
const REGISTRY: &str = "dev.local";
/// Programs that run ffmpeg.
const WITH_FFMPEG: [&str; 6] = [
    "toktik",
    "toktik-audio",
    "toktik-package",
    "toktik-probe",
    "toktik-thumbnail",
    "toktik-transcode",
];

/// A layer on disk.
struct Layer {
    /// SHA-256 of the tar file.
    digest: String,
    path: PathBuf,
}

pub(super) fn archive(programs: &[Program], archive: &Path) -> Result<()> {
    let work = archive.with_extension("layers");
    fs::create_dir_all(&work)?;
    let base = layer(&work, &root::base()?)?;
    let ffmpeg = layer(&work, &root::ffmpeg()?)?;
    let mut out = Builder::new(File::create(archive).with_context(|| format!("cannot write {}", archive.display()))?);
    let mut written: BTreeMap<String, String> = BTreeMap::new();
    let mut manifest = Vec::new();
    for program in programs {
        let own = layer(&work, &[root::file(&program.name, &program.path, 0o755)])?;
        let with_ffmpeg = WITH_FFMPEG.contains(&program.name.as_str());
        let layers: Vec<&Layer> = [Some(&base), with_ffmpeg.then_some(&ffmpeg), Some(&own)]
            .into_iter()
            .flatten()
            .collect();
        for layer in &layers {
            if !written.contains_key(&layer.digest) {
                let name = format!("{}.tar", layer.digest);
                out.append_path_with_name(&layer.path, &name)?;
                written.insert(layer.digest.clone(), name);
            }
        }
        let config = config(&program.name, &layers).to_string();
        let name = format!("{}.json", hex::encode(Sha256::digest(&config)));
        append(&mut out, &name, config.as_bytes())?;
        let files: Vec<&String> = layers.iter().map(|layer| &written[&layer.digest]).collect();
        manifest.push(json!({"Config": name, "RepoTags": tags(&program.name), "Layers": files}));
    }
    append(&mut out, "manifest.json", Value::from(manifest).to_string().as_bytes())?;
    out.into_inner()?.flush()?;
    fs::remove_dir_all(&work).context("removing layers")
}

fn tags(name: &str) -> [String; 2] {
    ["latest", env!("CARGO_PKG_VERSION")].map(|tag| format!("{REGISTRY}/{name}:{tag}"))
}

fn config(name: &str, layers: &[&Layer]) -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let layers: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", layer.digest)).collect();
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": USER,
            "Entrypoint": [format!("/{name}")],
            "Env": ["PATH=/usr/bin"],
            "WorkingDir": "/tmp",
        },
        "rootfs": {"type": "layers", "diff_ids": layers},
    })
}

/// Writes a layer; the same files give the same bytes.
fn layer(work: &Path, entries: &[Entry]) -> Result<Layer> {
    let path = work.join("layer");
    let mut builder = Builder::new(File::create(&path)?);
    for entry in entries {
        let mut header = Header::new_gnu();
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        match &entry.content {
            Content::Directory => {
                header.set_entry_type(EntryType::Directory);
                header.set_size(0);
                builder.append_data(&mut header, format!("{}/", entry.name), io::empty())?;
            }
            Content::Text(text) => {
                header.set_size(text.len() as u64);
                builder.append_data(&mut header, &entry.name, text.as_bytes())?;
            }
            Content::File(from) => {
                let file = File::open(from).with_context(|| format!("cannot read {}", from.display()))?;
                header.set_size(file.metadata()?.len());
                builder.append_data(&mut header, &entry.name, file)?;
            }
        }
    }
    builder.into_inner()?.flush()?;
    let digest = digest(&path)?;
    let named = work.join(&digest);
    fs::rename(path, &named)?;
    Ok(Layer { digest, path: named })
}

fn digest(path: &Path) -> Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

fn append(out: &mut Builder<File>, name: &str, content: &[u8]) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    out.append_data(&mut header, name, content)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of an archive, by name.
    fn files(archive: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut tar = tar::Archive::new(File::open(archive).unwrap());
        let mut files = BTreeMap::new();
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        files
    }

    #[test]
    fn an_image_is_described_by_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let programs = ["toktik-auth", "toktik-probe"].map(|name| {
            let path = dir.path().join(name);
            fs::write(&path, name).unwrap();
            let name = name.to_owned();
            Program { name, path }
        });
        let path = dir.path().join("images.tar");
        archive(&programs, &path).unwrap();
        let files = files(&path);
        let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], "dev.local/toktik-auth:latest");
        let layers = |image: usize| manifest[image]["Layers"].as_array().unwrap().clone();
        assert_eq!((layers(0).len(), layers(1).len()), (2, 3));
        assert_eq!(layers(0)[0], layers(1)[0]);
        let config: Value = serde_json::from_slice(&files[manifest[0]["Config"].as_str().unwrap()]).unwrap();
        assert_eq!(config["config"]["Entrypoint"], json!(["/toktik-auth"]));
        assert_eq!(config["config"]["User"], USER);
        for (layer, id) in layers(0).iter().zip(config["rootfs"]["diff_ids"].as_array().unwrap()) {
            let digest = hex::encode(Sha256::digest(&files[layer.as_str().unwrap()]));
            assert_eq!(id, &json!(format!("sha256:{digest}")));
        }
        let own = dir.path().join("own.tar");
        fs::write(&own, &files[layers(0)[1].as_str().unwrap()]).unwrap();
        assert_eq!(super::tests::files(&own)["toktik-auth"], b"toktik-auth");
    }
}

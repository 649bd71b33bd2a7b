//! The secrets of one installation: made once, kept in the data directory for its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use toktik_identity::{Secret, generate_keys};
use uuid::Uuid;

const FILE: &str = "secrets.json";

/// Never printed: only what is written to the file leaves this type.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secrets {
    pub access_key_id: String,
    pub secret_access_key: String,
    /// PKCS#8.
    pub token_private_key: String,
    /// The public part, as a JWK set.
    pub token_jwks: String,
    pub link_secret: String,
}

impl Secrets {
    /// Those of this data directory, made now if there are none.
    pub fn of(data_dir: &Path) -> anyhow::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data_dir)
            .with_context(|| format!("making the data directory {}", data_dir.display()))?;
        let path = data_dir.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::create(data_dir),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Written whole under another name first: a crash leaves either no secrets or all of them.
    fn create(data_dir: &Path) -> anyhow::Result<Self> {
        let secrets = Self::generate()?;
        let (partial, path) = (data_dir.join("secrets.json.new"), data_dir.join(FILE));
        let _ = fs::remove_file(&partial);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial)?;
        file.write_all(&serde_json::to_vec_pretty(&secrets)?)?;
        file.sync_all()?;
        fs::rename(&partial, &path)?;
        File::open(data_dir)?.sync_all()?;
        Ok(secrets)
    }

    /// Nobody else has them.
    pub fn generate() -> anyhow::Result<Self> {
        let keys = generate_keys().context("making a key pair for access tokens")?;
        Ok(Self {
            access_key_id: "toktik".to_owned(),
            secret_access_key: fresh_secret(),
            token_private_key: keys.private_key_pem.expose().to_owned(),
            token_jwks: keys.jwks,
            link_secret: fresh_secret(),
        })
    }
}

/// 244 random bits.
fn fresh_secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

impl Secrets {
    pub fn private_key(&self) -> Secret {
        Secret::from(self.token_private_key.clone())
    }

    pub fn link_secret(&self) -> Secret {
        Secret::from(self.link_secret.clone())
    }
}

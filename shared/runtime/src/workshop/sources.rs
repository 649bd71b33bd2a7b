//! One download for all steps of this process that need the same source at the same time.
//!
//! In `toktik up` the steps of a clip begin together, at the very moment in which it is to become playable. Whoever asks
//! first downloads, the others wait. If the one who downloads fails or is dropped, the next of them begins anew: nobody
//! is told of a failure that was not their own, and nobody waits for somebody who is gone. The file goes with the last who
//! holds it; nothing is kept for later.
//!
//! It lies in a directory of its own that no ffmpeg can write to: each may read this one file there and no more
//! (`Job::reads`). A hard link in every workshop would be everybody's to change, by whoever takes over one decoder, and file
//! modes do not bind root; copies would be as safe and cost as many writes of the whole clip.

use std::collections::HashMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use anyhow::Context as _;
use tokio::sync::OnceCell;

use super::SOURCE;
use super::scratch::Held;

/// The sources that somebody in this process holds or downloads. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Sources(Arc<Mutex<HashMap<Version, Weak<Shared>>>>);

/// Bytes that never change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Version {
    pub(super) key: String,
    pub(super) etag: String,
}

/// A place for a source, of which there is one as long as somebody wants it.
#[derive(Debug)]
struct Shared {
    sources: Sources,
    version: Version,
    directory: OnceCell<Held>,
}

/// A source that is there as long as this is.
#[derive(Debug)]
pub(super) struct Source {
    file: PathBuf,
    _shared: Arc<Shared>,
}

impl Source {
    pub(super) fn file(&self) -> &Path {
        &self.file
    }
}

impl Sources {
    /// This version's bytes, which somebody else may have brought; if nobody has, `download` brings them into a file in a
    /// new directory in `scratch`.
    pub(super) async fn fetch<E, F>(
        &self,
        version: Version,
        scratch: &Path,
        download: impl FnOnce(PathBuf) -> F,
    ) -> Result<Source, E>
    where
        E: From<anyhow::Error>,
        F: Future<Output = Result<(), E>>,
    {
        let shared = self.shared(version);
        let bring = || async {
            let directory = Held::new(scratch).context("making a directory for the source")?;
            let file = directory.path().join(SOURCE);
            download(file.clone()).await?;
            protect(&file).context("protecting the source")?;
            Ok::<_, E>(directory)
        };
        let file = shared.directory.get_or_try_init(bring).await?.path().join(SOURCE);
        Ok(Source { file, _shared: shared })
    }

    fn shared(&self, version: Version) -> Arc<Shared> {
        let mut known = self.known();
        if let Some(shared) = known.get(&version).and_then(Weak::upgrade) {
            return shared;
        }
        let shared = Arc::new(Shared {
            sources: self.clone(),
            version: version.clone(),
            directory: OnceCell::new(),
        });
        known.insert(version, Arc::downgrade(&shared));
        shared
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Version, Weak<Shared>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut known = self.sources.known();
        // Somebody may have come since the last holder went, and have a place of their own.
        if known
            .get(&self.version)
            .is_some_and(|shared| shared.strong_count() == 0)
        {
            known.remove(&self.version);
        }
    }
}

/// Against whoever is not root this also holds where Landlock is missing.
fn protect(file: &Path) -> io::Result<()> {
    std::fs::set_permissions(file, Permissions::from_mode(0o400))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;
    use tempfile::TempDir;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::workshop::scratch::sweep;

    /// A store whose downloads take as many permits as they have awaits, and a process that asks it.
    struct Scene {
        sources: Sources,
        scratch: TempDir,
        gate: Semaphore,
        begun: AtomicUsize,
    }

    const AWAITS: usize = 4;

    impl Scene {
        fn new() -> Self {
            Self {
                sources: Sources::default(),
                scratch: tempfile::tempdir().unwrap(),
                gate: Semaphore::new(0),
                begun: AtomicUsize::new(0),
            }
        }

        /// What arrives is the number of the download; of those in `fails` half arrives.
        async fn fetch_unless(&self, etag: &str, fails: &[usize]) -> anyhow::Result<Source> {
            let version = Version {
                key: "uploads/a".to_owned(),
                etag: etag.to_owned(),
            };
            let download = |file: PathBuf| async move {
                let number = self.begun.fetch_add(1, Ordering::SeqCst);
                std::fs::write(&file, "half")?;
                for _ in 0..AWAITS {
                    self.gate.acquire().await?.forget();
                }
                anyhow::ensure!(!fails.contains(&number), "download {number} failed");
                Ok(std::fs::write(&file, number.to_string())?)
            };
            self.sources.fetch(version, self.scratch.path(), download).await
        }

        async fn fetch(&self, etag: &str) -> anyhow::Result<Source> {
            self.fetch_unless(etag, &[]).await
        }

        fn let_through(&self, downloads: usize) {
            self.gate.add_permits(downloads * AWAITS);
        }

        fn begun(&self) -> usize {
            self.begun.load(Ordering::SeqCst)
        }

        fn directories(&self) -> usize {
            std::fs::read_dir(self.scratch.path()).unwrap().count()
        }

        fn is_empty(&self) -> bool {
            self.directories() == 0 && self.sources.known().is_empty()
        }
    }

    fn bytes(source: &Source) -> String {
        std::fs::read_to_string(source.file()).unwrap()
    }

    #[tokio::test]
    async fn who_comes_during_a_download_or_while_it_is_held_shares_it() {
        let scene = Scene::new();
        let mut all = Box::pin(join_all((0..6).map(|_| scene.fetch("1"))));
        assert!(futures::poll!(&mut all).is_pending());
        assert_eq!((scene.begun(), scene.directories()), (1, 1));
        scene.let_through(1);
        let mut held: Vec<_> = all.await.into_iter().map(Result::unwrap).collect();
        held.push(scene.fetch("1").await.unwrap());
        assert_eq!(scene.begun(), 1);
        let last = held.pop().unwrap();
        drop(held);
        assert_eq!(bytes(&last), "0", "it is there for the last who holds it");
        drop(last);
        assert!(scene.is_empty());
    }

    #[tokio::test]
    async fn nothing_is_kept_for_who_comes_later() {
        let scene = Scene::new();
        scene.let_through(2);
        drop(scene.fetch("1").await.unwrap());
        assert!(scene.is_empty());
        assert_eq!(bytes(&scene.fetch("1").await.unwrap()), "1");
    }

    #[tokio::test]
    async fn another_etag_is_another_source() {
        let scene = Scene::new();
        let mut both = Box::pin(join_all(["1", "2"].map(|etag| scene.fetch(etag))));
        assert!(futures::poll!(&mut both).is_pending());
        assert_eq!(scene.begun(), 2, "side by side");
        scene.let_through(2);
        let both: Vec<_> = both.await.into_iter().map(Result::unwrap).collect();
        assert_eq!((bytes(&both[0]), bytes(&both[1])), ("0".to_owned(), "1".to_owned()));
    }

    /// At each of its awaits, that before the first and that before the last included.
    #[tokio::test]
    async fn somebody_else_downloads_when_whoever_did_goes_away() {
        for awaits in 0..AWAITS {
            let scene = Scene::new();
            let mut first = Box::pin(scene.fetch("1"));
            assert!(futures::poll!(&mut first).is_pending());
            let mut others = Box::pin(join_all((0..3).map(|_| scene.fetch("1"))));
            assert!(futures::poll!(&mut others).is_pending());
            scene.gate.add_permits(awaits);
            assert!(futures::poll!(&mut first).is_pending());
            drop(first);
            assert_eq!(scene.directories(), 0, "half of it is nobody's");
            assert!(futures::poll!(&mut others).is_pending());
            assert_eq!((scene.begun(), scene.directories()), (2, 1), "one of those who waited");
            scene.let_through(1);
            for source in others.await {
                assert_eq!(bytes(&source.unwrap()), "1");
            }
            assert!(scene.is_empty());
        }
    }

    #[tokio::test]
    async fn who_waits_may_go_away_too() {
        let scene = Scene::new();
        let mut first = Box::pin(scene.fetch("1"));
        assert!(futures::poll!(&mut first).is_pending());
        let mut impatient = Box::pin(scene.fetch("1"));
        let mut patient = Box::pin(scene.fetch("1"));
        assert!(futures::poll!(&mut impatient).is_pending() && futures::poll!(&mut patient).is_pending());
        drop(first);
        // It is their turn, and they do not take it.
        drop(impatient);
        assert!(futures::poll!(&mut patient).is_pending());
        scene.let_through(1);
        assert_eq!(bytes(&patient.await.unwrap()), "1");
        assert!(scene.is_empty());
    }

    #[tokio::test]
    async fn a_failure_is_that_of_its_own_download_alone() {
        let scene = Scene::new();
        scene.let_through(3);
        let results = join_all((0..4).map(|_| scene.fetch_unless("1", &[0, 1]))).await;
        let told: Vec<String> = results
            .iter()
            .map(|result| match result {
                Ok(source) => bytes(source),
                Err(error) => error.to_string(),
            })
            .collect();
        assert_eq!(told, ["download 0 failed", "download 1 failed", "2", "2"]);
        assert_eq!(scene.directories(), 1);
        drop(results);
        assert!(scene.is_empty());
    }

    #[tokio::test]
    async fn where_there_is_no_room_for_a_directory_all_are_told_so_and_nothing_stays() {
        let scene = Scene::new();
        let nowhere = scene.scratch.path().join("nowhere");
        let version = Version {
            key: "uploads/a".to_owned(),
            etag: "1".to_owned(),
        };
        let fetch = || {
            scene
                .sources
                .fetch(version.clone(), &nowhere, |_| async { anyhow::Ok(()) })
        };
        for result in join_all((0..3).map(|_| fetch())).await {
            let causes = format!("{:#}", result.unwrap_err());
            assert!(causes.starts_with("making a directory for the source: "), "{causes}");
        }
        assert!(scene.is_empty());
    }

    #[tokio::test]
    async fn what_is_held_is_not_swept_and_what_a_killed_process_held_is() {
        let scene = Scene::new();
        scene.let_through(1);
        let source = scene.fetch("1").await.unwrap();
        sweep(scene.scratch.path()).unwrap();
        assert_eq!(bytes(&source), "0");
        let directory = source.file().parent().unwrap();
        let mine = directory.file_name().unwrap().to_string_lossy().into_owned();
        drop(source);
        // The same directory, as somebody leaves it whose locks the kernel has ended.
        let left = scene.scratch.path().join(mine);
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join(SOURCE), "0").unwrap();
        protect(&left.join(SOURCE)).unwrap();
        sweep(scene.scratch.path()).unwrap();
        assert!(scene.is_empty());
    }
}

//! Splits ffmpeg's output into segments while it is written, and stores each as an object as soon as it is whole.
//!
//! ffmpeg writes each track into a pipe, so that nothing of it comes to lie on a disk. What cannot be stored as fast as
//! it is made waits in the pipes, and ffmpeg with it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use rustix::fs::{CWD, FileType, Mode};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{JoinHandle, JoinSet};
use toktik_catalog::ledger::Lease;
use toktik_catalog::results;
use toktik_events::Function;
use toktik_media::cmaf::{self, Cut, Piece};
use toktik_media::encode::Output;
use toktik_media::manifest::{Part, Segment};
use toktik_media::plan::{Unit, Work};
use toktik_objects::Objects;
use toktik_runtime::{Context, Failure};

use crate::pace::Watched;

/// Apple HLS authoring 10.4.
const INIT_TYPE: &str = "video/mp4";
const SEGMENT_TYPE: &str = "video/iso.segment";
const UPLOADS_AT_ONCE: usize = 8;

/// What ffmpeg writes into, and what comes out of it as segments.
pub(crate) struct Pipes {
    /// As long as these are open, a pipe does not end.
    pub(crate) held: Vec<File>,
    pub(crate) pieces: Pieces,
}

pub(crate) struct Pieces {
    arriving: Receiver<Arrived>,
    splitters: Vec<JoinHandle<cmaf::Result<cmaf::Track>>>,
}

/// A piece of a track, which is known by its number.
struct Arrived {
    track: usize,
    name: String,
    bytes: Bytes,
    what: What,
}

enum What {
    Init {
        codecs: String,
        hash: u64,
    },
    /// With its place among all that this run stores.
    Segment(usize, Segment),
}

impl Pipes {
    /// Pipes by the names of these outputs. The first segments of each, `skipped` of them, are left out.
    pub(crate) fn open(dir: &Path, outputs: &[Output], cut: &Cut, skipped: usize) -> anyhow::Result<Self> {
        let (sender, arriving) = channel(outputs.len());
        let mut held = Vec::new();
        let mut splitters = Vec::new();
        for (track, output) in outputs.iter().enumerate() {
            let path = dir.join(&output.file);
            let (writer, reader) = pipe(&path).context("making a pipe for ffmpeg")?;
            held.push(writer);
            let (cut, sender) = (cut.clone(), sender.clone());
            splitters.push(tokio::task::spawn_blocking(move || {
                split(reader, &cut, track, skipped, &sender)
            }));
        }
        let pieces = Pieces { arriving, splitters };
        Ok(Self { held, pieces })
    }
}

/// Both ends. The first opens without waiting for anybody, since it reads and writes.
fn pipe(path: &Path) -> std::io::Result<(File, File)> {
    if path.exists() {
        // An earlier run's.
        std::fs::remove_file(path)?;
    }
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    let held = File::options().read(true).write(true).open(path)?;
    Ok((held, File::open(path)?))
}

fn split(input: File, cut: &Cut, track: usize, skipped: usize, sender: &Sender<Arrived>) -> cmaf::Result<cmaf::Track> {
    let input = std::io::BufReader::with_capacity(1 << 16, input);
    let mut segments = 0;
    cmaf::split(input, cut, |piece| {
        let (name, bytes, what) = match piece {
            Piece::Init(init) => {
                let (codecs, hash) = (init.codecs.to_owned(), init.hash);
                (cmaf::INIT.to_owned(), init.bytes, What::Init { codecs, hash })
            }
            Piece::Segment(segment, bytes) => {
                segments += 1;
                let Some(place) = (segments - 1_usize).checked_sub(skipped) else {
                    return Ok(());
                };
                (cmaf::segment_name(place), bytes, What::Segment(place, segment.clone()))
            }
        };
        let arrived = Arrived {
            track,
            name,
            bytes: Bytes::copy_from_slice(bytes),
            what,
        };
        sender.blocking_send(arrived).map_err(std::io::Error::other)
    })
}

/// What came of splitting all tracks.
pub(crate) enum Split {
    /// Frames or sound packets of each.
    Whole(Vec<u64>),
    /// Not even a header, or nothing behind it.
    Nothing,
    /// It cannot be taken as it is.
    Uncommon,
    /// It begins later than it should.
    Late,
}

impl Pieces {
    /// Stores what arrives until all pipes have ended, and publishes it whenever each track has another segment.
    ///
    /// Before the pipes' writers are gone this only returns if something is wrong.
    pub(crate) async fn store(self, shelves: &mut Shelves, mut publisher: Publisher<'_>) -> Result<Split, Failure> {
        let objects = &publisher.context.objects;
        let Self {
            mut arriving,
            splitters,
        } = self;
        // Tasks of their own: a request that nobody drives while something is published may hold what that waits for.
        let mut storing = JoinSet::new();
        loop {
            let full = storing.len() >= UPLOADS_AT_ONCE;
            tokio::select! {
                Some(arrived) = arriving.recv(), if !full => {
                    let key = shelves.key(&arrived);
                    storing.spawn(store(objects.clone(), key, arrived));
                }
                Some(stored) = storing.join_next() => {
                    let before = shelves.level();
                    shelves.put(stored.context("storing a segment")??);
                    if shelves.level() > before {
                        publisher.publish(shelves).await?;
                    }
                }
                Some(()) = publisher.more() => publisher.publish(shelves).await?,
                else => break,
            }
        }
        let mut samples = Vec::new();
        for splitter in splitters {
            match splitter.await.context("splitting into segments")? {
                Ok(track) => samples.push(track.samples),
                Err(cmaf::Error::Empty | cmaf::Error::Missing("moov")) => return Ok(Split::Nothing),
                Err(cmaf::Error::Uncommon(_, why)) => {
                    tracing::info!(why, "the picture cannot be taken as it is");
                    return Ok(Split::Uncommon);
                }
                Err(cmaf::Error::Late) => return Ok(Split::Late),
                Err(cmaf::Error::Io(error)) => {
                    return Err(anyhow::Error::from(error).context("splitting into segments").into());
                }
                Err(error) => return Err(Failure::give_up("unexpected_output", error)),
            }
        }
        Ok(Split::Whole(samples))
    }
}

/// Who says how far a unit has come.
pub(crate) struct Publisher<'a> {
    pub(crate) context: &'a Context,
    pub(crate) lease: &'a Lease,
    /// What was published before this run.
    pub(crate) before: Option<&'a results::Unit>,
    pub(crate) tells: Tells,
    /// Segments that somebody was told of.
    pub(crate) told: usize,
    /// As long as nobody is told, since who began to watch would come to the end of what is there.
    pub(crate) watched: Option<Watched>,
}

/// When anybody is told of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tells {
    /// When it is whole.
    AtTheEnd,
    /// Of each segment.
    Each,
    /// Each time when there is twice as much, and from two segments on: it is made many times as fast as it is played.
    Twofold,
}

impl Tells {
    pub(crate) fn of(unit: &Unit) -> Self {
        match unit.work {
            _ if !unit.grows => Self::AtTheEnd,
            Work::Video { .. } => Self::Each,
            Work::Copy { .. } | Work::Audio => Self::Twofold,
        }
    }

    /// Of so many segments, where somebody was told of others.
    fn now(self, segments: usize, told: usize) -> bool {
        match self {
            Self::AtTheEnd => false,
            Self::Each => true,
            Self::Twofold => segments >= 2 * told.max(1),
        }
    }
}

impl Publisher<'_> {
    /// Until it is to be considered once more whether anybody is told.
    async fn more(&mut self) -> Option<()> {
        self.watched.as_mut()?.more().await
    }

    async fn publish(&mut self, shelves: &Shelves) -> Result<(), Failure> {
        if let Some(watched) = &mut self.watched
            && !watched.keeps_ahead(shelves.level())
        {
            return Ok(());
        }
        self.watched = None;
        let unit = shelves.unit(self.before);
        let Some(unit) = unit.filter(|unit| self.tells.now(published(unit), self.told)) else {
            return Ok(());
        };
        let result = serde_json::to_value(&unit).context("recording what was made")?;
        self.told = published(&unit);
        self.context
            .step_progressed(Function::Transcode, self.lease, &result, self.told as u64)
            .await
    }
}

async fn store(objects: Objects, key: String, arrived: Arrived) -> Result<Arrived, Failure> {
    let content_type = match arrived.what {
        What::Init { .. } => INIT_TYPE,
        What::Segment(..) => SEGMENT_TYPE,
    };
    let put = objects.put(&key, arrived.bytes.clone().into(), content_type).await;
    put.map_err(|error| anyhow::Error::from(error).context("storing a segment"))?;
    Ok(arrived)
}

/// What one run has stored, track by track.
pub(crate) struct Shelves(Vec<Shelf>);

struct Shelf {
    /// The rung's or the sound's.
    name: String,
    /// Ends in `/`.
    prefix: String,
    init: Option<(String, u64, u64)>,
    /// They arrive in order, but are not stored in it.
    segments: BTreeMap<usize, Segment>,
}

impl Shelf {
    /// Segments that follow one another from the first.
    fn level(&self) -> usize {
        let in_place = |(place, segment): (usize, &usize)| place == *segment;
        let level = self
            .segments
            .keys()
            .enumerate()
            .take_while(|(place, key)| in_place((*place, key)));
        if self.init.is_some() { level.count() } else { 0 }
    }

    fn part(&self, segments: usize) -> Option<(&str, Part)> {
        let (codecs, init_hash, init_size) = self.init.as_ref()?;
        let part = Part {
            prefix: self.prefix.clone(),
            init_size: *init_size,
            init_hash: *init_hash,
            segments: self.segments.values().take(segments).cloned().collect(),
        };
        (segments > 0).then_some((codecs.as_str(), part))
    }
}

impl Shelves {
    /// For these outputs, in folders of these names.
    pub(crate) fn new(outputs: &[Output], prefix: impl Fn(&str) -> String) -> Self {
        let shelf = |output: &Output| Shelf {
            name: output.name.clone(),
            prefix: prefix(&output.name),
            init: None,
            segments: BTreeMap::new(),
        };
        Self(outputs.iter().map(shelf).collect())
    }

    fn key(&self, arrived: &Arrived) -> String {
        let prefix = self.0.get(arrived.track).map_or("", |shelf| &shelf.prefix);
        format!("{prefix}{}", arrived.name)
    }

    fn put(&mut self, stored: Arrived) {
        let Some(shelf) = self.0.get_mut(stored.track) else {
            return;
        };
        match stored.what {
            What::Init { codecs, hash } => shelf.init = Some((codecs, hash, stored.bytes.len() as u64)),
            What::Segment(place, segment) => {
                shelf.segments.insert(place, segment);
            }
        }
    }

    /// Segments that every track has.
    pub(crate) fn level(&self) -> usize {
        self.0.iter().map(Shelf::level).min().unwrap_or(0)
    }

    /// What was published before with what every track has more by now; none as long as there is nothing to name.
    pub(crate) fn unit(&self, before: Option<&results::Unit>) -> Option<results::Unit> {
        let level = self.level();
        let mut tracks = Vec::new();
        for shelf in &self.0 {
            let known = before.and_then(|unit| unit.tracks.iter().find(|track| track.name == shelf.name));
            let (mut codecs, mut parts) =
                known.map_or_else(Default::default, |track| (track.codecs.clone(), track.parts.clone()));
            if let Some((own, part)) = shelf.part(level) {
                own.clone_into(&mut codecs);
                parts.push(part);
            }
            (!parts.is_empty()).then_some(())?;
            tracks.push(results::Track {
                name: shelf.name.clone(),
                codecs,
                parts,
            });
        }
        Some(results::Unit { tracks })
    }
}

/// Segments that all tracks of a unit have.
pub(crate) fn published(unit: &results::Unit) -> usize {
    let segments = |track: &results::Track| track.parts.iter().map(|part| part.segments.len()).sum();
    unit.tracks.iter().map(segments).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of which levels somebody is told, one after the other.
    fn told(tells: Tells, levels: &[usize]) -> Vec<usize> {
        let mut told = vec![];
        for level in levels {
            if tells.now(*level, told.last().copied().unwrap_or(0)) {
                told.push(*level);
            }
        }
        told
    }

    #[test]
    fn what_is_made_in_no_time_is_told_of_when_there_is_twice_as_much() {
        assert_eq!(told(Tells::Twofold, &[1, 2, 3, 4, 5, 6, 7, 8, 9]), [2, 4, 8]);
        assert_eq!(told(Tells::Twofold, &[1, 3, 5, 6]), [3, 6], "several at once");
    }

    #[test]
    fn what_is_waited_for_is_told_of_each_time() {
        assert_eq!(told(Tells::Each, &[1, 2, 3]), [1, 2, 3]);
        assert!(told(Tells::AtTheEnd, &[1, 2, 3]).is_empty());
    }
}

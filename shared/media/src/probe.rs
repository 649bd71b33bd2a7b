//! Finds out what an upload is, or why it is refused.
//!
//! [`probe`] reads the first bytes, lets ffprobe list the file's streams and packets in the sandbox, and decides.
//! One run of ffprobe answers everything, since starting it costs more than reading a short clip. The decision is a
//! pure function of what it printed. Pictures are not decoded: that a clip is damaged inside shows while encoding.

mod boxes;
mod choice;
mod codecs;
mod common;
mod decide;
mod extent;
mod listing;
mod shape;
mod thinned;
mod timing;
mod unheard;
mod words;

use std::io;
use std::path::Path;

use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;
use toktik_events::{Rejection, RejectionCode};

use self::extent::Extent;
use self::words::{corrupt, cut_short, too_many_packets, unsupported};
use crate::process::{Budget, Job, Limits, Output, RunError, Runner, Tool};
use crate::sniff::{self, Container};
use crate::source::Source;

pub use codecs::decoder_whitelist;

/// Standard output of ffprobe that is read, for a minute that may be uploaded: 5000 packets a second. Reading stops
/// there, so that an endless file costs no more than that.
const LISTING: usize = 32 << 20;

/// What ffprobe is asked for; tags would be anybody's text, so only those that decide something are among it.
const ENTRIES: &str = "packet=stream_index,pts_time,dts_time,duration_time,size,pos,flags:packet_side_data=side_data_type:\
                       stream=index,codec_type,codec_name,codec_tag_string,width,height,sample_aspect_ratio,pix_fmt,\
                       color_range,color_space,color_transfer,color_primaries,field_order,nb_frames,start_time,\
                       r_frame_rate,avg_frame_rate,sample_rate,channels:\
                       stream_disposition=default,attached_pic,still_image,timed_thumbnails:\
                       stream_tags=rotate,enc_key_id:stream_side_data=side_data_type,rotation";

/// Which file to look at, and how much it may cost.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// A copy of the clip: where ffprobe cannot open one of its streams, that stream is hidden in it.
    pub file: &'a Path,
    /// The directory that holds the file, and the only one that ffprobe sees.
    pub dir: &'a Path,
    /// Longest duration that is accepted, in seconds; 0 for no limit. There is a grace of [`crate::settings::GRACE`].
    pub max_duration: f64,
    pub limits: Limits,
    pub budget: &'a Budget,
    pub cancel: &'a CancellationToken,
}

#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The clip's fault: trying again changes nothing.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error("the file could not be examined: {0}")]
    Failed(#[from] RunError),
}

/// Finds out all that planning and encoding need to know of a file.
pub async fn probe(runner: &Runner, request: Request<'_>) -> Result<Source, ProbeError> {
    let (head, size) = beginning(request.file).await.map_err(RunError::Spawn)?;
    let container = sniff::sniff(&head, size)?;
    let extent = measure(request.file, container).await?;
    if let Some(part) = extent.map(|extent| extent.part()).filter(|part| *part < 0.5) {
        return Err(cut_short(part).into());
    }
    let (output, unopened) = list(runner, request, container).await?;
    let said = extent.map_or(0, |extent| extent.said);
    let decision = decide::decide(&output, container, request.max_duration, said);
    match (decision, unopened) {
        (Err(ProbeError::Rejected(rejection)), Some(unopened)) if rejection.code == RejectionCode::UnsupportedCodec => {
            Err(unopened.into())
        }
        (Ok((mut source, samples)), _) => {
            source.weight.bytes = size;
            if let Some(samples) = samples {
                confirm(request.file, samples, &mut source).await?;
            }
            Ok(source)
        }
        (Err(error), _) => Err(error),
    }
}

/// What the listing says of the picture, if its samples confirm it.
#[derive(Clone, Debug, PartialEq)]
enum Samples {
    /// It can be taken as it is.
    Common(common::Candidate),
    /// Every second one of it can be left undecoded.
    Thinned(thinned::Candidate),
}

async fn confirm(file: &Path, samples: Samples, source: &mut Source) -> Result<(), ProbeError> {
    let file = file.to_owned();
    let looked = tokio::task::spawn_blocking(move || {
        let confirmed = match &samples {
            Samples::Common(candidate) => common::confirmed(&file, candidate),
            Samples::Thinned(candidate) => thinned::confirmed(&file, candidate),
        };
        confirmed.map(|confirmed| confirmed.then_some(samples))
    });
    let confirmed = looked.await.map_err(io::Error::other).flatten();
    match confirmed.map_err(RunError::Spawn)? {
        Some(Samples::Common(candidate)) => source.gops = candidate.gops,
        Some(Samples::Thinned(_)) => source.weight.thins = true,
        None => {}
    }
    Ok(())
}

/// What is decided on such a listing, for `fuzz/` alone.
#[cfg(fuzzing)]
pub fn decided(stdout: Vec<u8>, container: Container, said: u64) -> Result<Source, ProbeError> {
    let stderr_tail = String::new();
    decide::decide(&Output { stdout, stderr_tail }, container, 60.0, said).map(|(source, _)| source)
}

/// ffprobe's listing, if need be without the streams that it cannot open, and what there is to say of the last of them.
async fn list(
    runner: &Runner,
    request: Request<'_>,
    container: Container,
) -> Result<(Output, Option<Rejection>), ProbeError> {
    let mut unopened = None;
    loop {
        let job = Job {
            tool: Tool::Ffprobe,
            args: args(container, request.file),
            dir: request.dir,
            reads: None,
            limits: Limits {
                output: listing(request.max_duration),
                ..request.limits
            },
            budget: request.budget,
            cancel: request.cancel,
        };
        match runner.run(job, |_| ()).await {
            Ok(output) => return Ok((output, unopened)),
            Err(RunError::Failed { stderr_tail, .. }) if without(&stderr_tail, request.file, container).await? => {
                unopened = Some(self::unopened(&stderr_tail));
            }
            Err(error) => return Err(blame(error, request.max_duration)),
        }
    }
}

/// Whether a stream that made ffprobe give up is out of its way now. There are only so many streams.
async fn without(messages: &str, file: &Path, container: Container) -> Result<bool, ProbeError> {
    let Some(stream) = unheard::stream_at_fault(messages).filter(|_| container == Container::Mp4) else {
        return Ok(false);
    };
    let file = file.to_owned();
    let done = tokio::task::spawn_blocking(move || unheard::hide(&file, stream)).await;
    Ok(done.map_err(io::Error::other).flatten().map_err(RunError::Spawn)?)
}

async fn measure(file: &Path, container: Container) -> Result<Option<Extent>, ProbeError> {
    let file = file.to_owned();
    let extent = tokio::task::spawn_blocking(move || extent::extent(&file, container)).await;
    Ok(extent.map_err(io::Error::other).flatten().map_err(RunError::Spawn)?)
}

async fn beginning(file: &Path) -> io::Result<(Vec<u8>, u64)> {
    let file = tokio::fs::File::open(file).await?;
    let size = file.metadata().await?.len();
    let mut head = Vec::with_capacity(sniff::HEAD);
    file.take(sniff::HEAD as u64).read_to_end(&mut head).await?;
    Ok((head, size))
}

fn args(container: Container, file: &Path) -> Vec<String> {
    let demuxer = container.demuxer();
    let file = file.to_string_lossy();
    let whitelist = decoder_whitelist();
    let args = [
        &[
            "-protocol_whitelist",
            "file,pipe",
            "-format_whitelist",
            demuxer,
            "-f",
            demuxer,
        ][..],
        &[
            "-codec_whitelist",
            &whitelist,
            "-show_entries",
            ENTRIES,
            "-of",
            "json=compact=1",
            &file,
        ],
    ];
    args.concat().into_iter().map(str::to_owned).collect()
}

/// Bytes of ffprobe's output for the longest clip that may be uploaded.
fn listing(max_duration: f64) -> usize {
    const MOST: usize = 8;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates"
    )]
    let minutes = (max_duration / 60.0).ceil() as usize;
    LISTING * if minutes == 0 { MOST } else { minutes.min(MOST) }
}

/// Whether a failed run is the file's fault.
fn blame(error: RunError, max_duration: f64) -> ProbeError {
    match error {
        RunError::Failed { stderr_tail, .. } => unopened(&stderr_tail).into(),
        // A file that makes ffprobe crash does so each time, and none that can be played needs so much to be listed.
        RunError::Killed { .. } | RunError::OutOfMemory { .. } => corrupt().into(),
        RunError::OutputTooLarge { .. } => too_many_packets(max_duration).into(),
        error => ProbeError::Failed(error),
    }
}

/// ffprobe gives up when it may not open one stream's decoder, whatever the others are.
fn unopened(messages: &str) -> Rejection {
    let decoder = messages
        .split_once("Codec (")
        .and_then(|(_, rest)| rest.split_once(") not on whitelist"));
    match decoder {
        Some((decoder, _)) => unsupported(decoder),
        None => shape::beyond_decoders(messages).unwrap_or_else(corrupt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_file_and_this_demuxer() {
        let args = args(Container::Avi, Path::new("/tmp/x/source")).join(" ");
        assert!(
            args.starts_with("-protocol_whitelist file,pipe -format_whitelist avi -f avi -codec_whitelist "),
            "{args}"
        );
        assert!(args.ends_with(" -of json=compact=1 /tmp/x/source"), "{args}");
    }

    #[test]
    fn a_failure_is_the_files_or_ours() {
        let rejected = |error| matches!(blame(error, 60.0), ProbeError::Rejected(_));
        let stderr_tail = String::new;
        assert!(rejected(RunError::Failed {
            code: 1,
            stderr_tail: stderr_tail()
        }));
        assert!(rejected(RunError::Killed {
            signal: 11,
            stderr_tail: stderr_tail()
        }));
        assert!(rejected(RunError::OutputTooLarge { limit: 1 }));
        assert!(rejected(RunError::OutOfMemory {
            stderr_tail: stderr_tail()
        }));
        assert!(!rejected(RunError::TimedOut));
        assert!(!rejected(RunError::Cancelled));
    }
}

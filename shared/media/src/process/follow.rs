//! Follows what ffmpeg says while it works: statistics become [`Progress`], the end of everything else is kept.

use std::collections::VecDeque;
use std::io;

use ffmpeg_sidecar::ffmpeg_time_duration::FfmpegTimeDuration;
use ffmpeg_sidecar::log_parser::try_parse_progress;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of messages that are kept.
const TAIL: usize = 8 << 10;
/// A line is cut here; statistics are far shorter.
const LINE: usize = 2 << 10;

/// How far ffmpeg has got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Seconds of output written; none before the first packet.
    pub seconds: Option<f64>,
    pub frames: u32,
    /// Seconds of output per second of work.
    pub speed: f32,
}

/// Reads to the end and returns the last messages.
pub(super) async fn messages(
    pipe: Option<impl AsyncRead + Unpin>,
    mut progress: impl FnMut(Progress) + Send,
) -> io::Result<String> {
    let mut follower = Follower::default();
    let Some(mut pipe) = pipe else {
        return Ok(String::new());
    };
    let mut chunk = vec![0; 4 << 10];
    loop {
        let read = pipe.read(&mut chunk).await?;
        if read == 0 {
            return Ok(follower.finish(&mut progress));
        }
        follower.take(&chunk[..read], &mut progress);
    }
}

#[derive(Default)]
struct Follower {
    line: Vec<u8>,
    tail: VecDeque<u8>,
}

impl Follower {
    /// Statistics end in a carriage return, to overwrite each other on a terminal.
    fn take(&mut self, bytes: &[u8], progress: &mut impl FnMut(Progress)) {
        for byte in bytes {
            match byte {
                b'\r' | b'\n' => self.end_line(progress),
                _ if self.line.len() < LINE => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self, progress: &mut impl FnMut(Progress)) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        if text.trim().is_empty() {
            return;
        }
        match parse(&text) {
            Some(report) => progress(report),
            None => self.keep(text.as_bytes()),
        }
    }

    fn keep(&mut self, line: &[u8]) {
        self.tail.extend(line);
        self.tail.push_back(b'\n');
        let excess = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..excess);
    }

    fn finish(mut self, progress: &mut impl FnMut(Progress)) -> String {
        self.end_line(progress);
        let kept: Vec<u8> = self.tail.into();
        String::from_utf8_lossy(&kept).into_owned()
    }
}

fn parse(line: &str) -> Option<Progress> {
    let report = try_parse_progress(line)?;
    Some(Progress {
        seconds: FfmpegTimeDuration::from_str(&report.time).map(FfmpegTimeDuration::as_seconds),
        frames: report.frame,
        speed: report.speed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(text: &[u8], chunk: usize) -> (Vec<Progress>, String) {
        let mut reports = Vec::new();
        let mut follower = Follower::default();
        for part in text.chunks(chunk) {
            follower.take(part, &mut |report| reports.push(report));
        }
        let tail = follower.finish(&mut |report| reports.push(report));
        (reports, tail)
    }

    #[test]
    fn statistics_and_messages_are_told_apart() {
        let text = b"[mov] odd box\nframe=   50 fps=0.0 q=-1.0 Lsize=      29kB time=00:00:01.92 bitrate= 124.9kbits/s speed=5.88x    \rlast words";
        for chunk in [1, 7, 1000] {
            let (reports, tail) = follow(text, chunk);
            let expected = Progress {
                seconds: Some(1.92),
                frames: 50,
                speed: 5.88,
            };
            assert_eq!(reports, [expected]);
            assert_eq!(tail, "[mov] odd box\nlast words\n");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (_, tail) = follow("x".repeat(1 << 20).as_bytes(), 4096);
        assert_eq!(tail.len(), LINE + 1);
        let (_, tail) = follow("line\n".repeat(10_000).as_bytes(), 4096);
        assert_eq!(tail.len(), TAIL);
    }
}

//! The bytes' way to storage: one PUT, or parts that are asked for again until storage has them all.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::json;

use super::api::Api;
use super::clip::Clip;
use super::progress::Progress;
use crate::workspace::pause;

/// Failures in a row after which an upload is given up.
const TRIES: u32 = 4;
/// Signed together: few enough that the last one is sent before its signature ends.
const PARTS_PER_SIGNING: usize = 10;

/// How the server wants the clip.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Plan {
    Put {
        url: String,
        headers: BTreeMap<String, String>,
    },
    Multipart {
        part_size: u64,
        part_count: u64,
    },
}

#[derive(Deserialize)]
struct Signed {
    parts: Vec<SignedPart>,
}

#[derive(Deserialize)]
struct SignedPart {
    part_number: u64,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Stored {
    parts: Vec<StoredPart>,
}

#[derive(Deserialize)]
struct StoredPart {
    part_number: u64,
    size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    number: u64,
    offset: u64,
    length: u64,
}

pub(crate) fn send(api: &mut Api, id: &str, clip: &Clip, plan: &Plan) -> Result<()> {
    let mut progress = Progress::of_bytes("uploading", clip.size);
    match plan {
        Plan::Put { url, headers } => put(api, clip, url, headers, &mut progress),
        Plan::Multipart { part_size, part_count } => {
            let parts = split(clip.size, *part_size, *part_count)?;
            Multipart {
                api,
                id,
                clip,
                parts,
                progress,
            }
            .send()
        }
    }
}

fn put(api: &Api, clip: &Clip, url: &str, headers: &BTreeMap<String, String>, progress: &mut Progress) -> Result<()> {
    let whole = Part {
        number: 1,
        offset: 0,
        length: clip.size,
    };
    let mut failures = 0;
    while let Err(error) = put_range(api, clip, whole, url, headers, |sent| progress.reach(sent)) {
        failures += 1;
        wait_or_give_up(error, failures, progress)?;
    }
    Ok(())
}

struct Multipart<'a> {
    api: &'a mut Api,
    id: &'a str,
    clip: &'a Clip,
    parts: Vec<Part>,
    progress: Progress,
}

impl Multipart<'_> {
    /// Sends what storage does not have, until it has everything; what arrived before a failure is not sent again.
    fn send(mut self) -> Result<()> {
        let mut failures = 0;
        let mut missing = self.missing()?;
        while !missing.is_empty() {
            let result = self.send_parts(&missing);
            let left = self.missing()?;
            if left.len() < missing.len() {
                failures = 0;
            }
            if !left.is_empty() {
                failures += 1;
                let error = result
                    .err()
                    .unwrap_or_else(|| anyhow!("{} parts were sent but did not arrive", left.len()));
                wait_or_give_up(error, failures, &self.progress)?;
            }
            missing = left;
        }
        Ok(())
    }

    fn missing(&mut self) -> Result<Vec<Part>> {
        let path = format!("/videos/{}/upload/parts", self.id);
        let stored: Stored = self.api.get(&path)?.parse("asking which parts have arrived")?;
        Ok(without(&self.parts, &stored.parts))
    }

    fn send_parts(&mut self, missing: &[Part]) -> Result<()> {
        let left: u64 = missing.iter().map(|part| part.length).sum();
        let mut done = self.clip.size - left;
        for parts in missing.chunks(PARTS_PER_SIGNING) {
            let signed = self.sign(parts)?;
            for part in parts {
                let to = signed.iter().find(|to| to.part_number == part.number);
                let to = to.with_context(|| format!("the server signed no URL for part {}", part.number))?;
                let progress = &mut self.progress;
                put_range(self.api, self.clip, *part, &to.url, &to.headers, |sent| {
                    progress.reach(done + sent);
                })
                .with_context(|| format!("part {}", part.number))?;
                done += part.length;
            }
        }
        Ok(())
    }

    fn sign(&mut self, parts: &[Part]) -> Result<Vec<SignedPart>> {
        let numbers: Vec<u64> = parts.iter().map(|part| part.number).collect();
        let path = format!("/videos/{}/upload/parts", self.id);
        let answer = self.api.post(&path, &json!({ "part_numbers": numbers }))?;
        Ok(answer.parse::<Signed>("asking where to send the parts")?.parts)
    }
}

/// The clip in pieces, as the server counts them.
fn split(size: u64, part_size: u64, part_count: u64) -> Result<Vec<Part>> {
    if part_size == 0 || size.div_ceil(part_size) != part_count {
        bail!("the server wants {size} bytes as {part_count} parts of {part_size} bytes, which does not add up");
    }
    let part = |index| {
        let offset = index * part_size;
        Part {
            number: index + 1,
            offset,
            length: part_size.min(size - offset),
        }
    };
    Ok((0..part_count).map(part).collect())
}

/// A part of another size than planned is a remainder of an earlier try, and is sent again.
fn without(parts: &[Part], stored: &[StoredPart]) -> Vec<Part> {
    let is_stored = |part: &Part| {
        stored
            .iter()
            .any(|has| has.part_number == part.number && has.size == part.length)
    };
    parts.iter().filter(|part| !is_stored(part)).copied().collect()
}

fn put_range(
    api: &Api,
    clip: &Clip,
    part: Part,
    url: &str,
    headers: &BTreeMap<String, String>,
    on_sent: impl FnMut(u64),
) -> Result<()> {
    let bytes = Counted {
        bytes: clip.range(part.offset, part.length)?,
        sent: 0,
        on_sent,
    };
    let answer = api.put(url, headers, part.length, bytes)?;
    // 412: the URL writes only where nothing is yet. An earlier try arrived, and only its answer was lost.
    if answer.is_success() || answer.status == 412 {
        return Ok(());
    }
    answer.accept("sending the clip")
}

fn wait_or_give_up(error: anyhow::Error, failures: u32, progress: &Progress) -> Result<()> {
    if failures >= TRIES {
        return Err(error.context(format!("the upload failed {failures} times")));
    }
    progress.note(&format!("the upload broke off ({error:#}); trying again"));
    pause(Duration::from_secs(1 << (failures - 1)));
    Ok(())
}

/// Tells how many bytes were taken from it.
struct Counted<R, F> {
    bytes: R,
    sent: u64,
    on_sent: F,
}

impl<R: Read, F: FnMut(u64)> Read for Counted<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.sent += count as u64;
        (self.on_sent)(self.sent);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_is_what_is_left() {
        let parts = split(20, 8, 3).unwrap();
        assert_eq!(
            parts
                .iter()
                .map(|part| (part.number, part.offset, part.length))
                .collect::<Vec<_>>(),
            [(1, 0, 8), (2, 8, 8), (3, 16, 4)]
        );
        assert_eq!(split(16, 8, 2).unwrap().len(), 2);
    }

    #[test]
    fn a_plan_that_does_not_add_up_is_an_error() {
        assert!(split(20, 8, 2).is_err());
        assert!(split(20, 0, 2).is_err());
    }

    #[test]
    fn stored_parts_are_not_sent_again_unless_their_size_is_wrong() {
        let parts = split(20, 8, 3).unwrap();
        let stored = [
            StoredPart {
                part_number: 1,
                size: 8,
            },
            StoredPart {
                part_number: 3,
                size: 3,
            },
        ];
        let numbers: Vec<u64> = without(&parts, &stored).iter().map(|part| part.number).collect();
        assert_eq!(numbers, [2, 3]);
    }

    #[test]
    fn plans_are_read_as_the_contract_writes_them() {
        let put = r#"{"kind":"put","url":"http://s3/x","headers":{"If-None-Match":"*"}}"#;
        assert!(matches!(serde_json::from_str(put).unwrap(), Plan::Put { .. }));
        let multipart = r#"{"kind":"multipart","part_size":8388608,"part_count":3}"#;
        assert!(matches!(
            serde_json::from_str(multipart).unwrap(),
            Plan::Multipart { part_count: 3, .. }
        ));
    }
}

//! What answers say about themselves.

use std::collections::HashSet;

use super::{Findings, Rule};
use crate::fetch::{Answer, Exchange, Kind, Range};
use crate::presentation::Presentation;

pub(super) const RULES: &[Rule] = &[answered, redirects, lengths, ranges, compression, media_types, origins];

/// Everything that is named is there.
fn answered(presentation: &Presentation, findings: &mut Findings) {
    for exchange in &presentation.exchanges {
        match &exchange.answer {
            Err(reason) => findings.must("RFC 9110 15", &exchange.place, format!("There is no answer: {reason}.")),
            Ok(answer) if matches!(answer.status, 200 | 206 | 300..400) => {}
            Ok(answer) => {
                let sentence = format!("The answer is {} instead of 200.", answer.status);
                findings.must("RFC 9110 15", &exchange.place, sentence);
            }
        }
    }
}

fn redirects(presentation: &Presentation, findings: &mut Findings) {
    for (exchange, answer) in answers(presentation) {
        if (300..400).contains(&answer.status) {
            let sentence = format!("The answer is a redirect, {}, instead of 200.", answer.status);
            findings.must("Apple 8.18", &exchange.place, sentence);
        }
    }
}

fn lengths(presentation: &Presentation, findings: &mut Findings) {
    for (exchange, answer) in answers(presentation) {
        let received = answer.received;
        if let Some(reason) = &answer.cut {
            let sentence = format!("The body ends after {received} bytes: {reason}.");
            findings.must("RFC 9110 8.6", &exchange.place, sentence);
        } else if let Some(length) = answer.content_length.filter(|length| *length != received) {
            let sentence = format!("Content-Length is {length}, and the body has {received} bytes.");
            findings.must("RFC 9110 8.6", &exchange.place, sentence);
        }
    }
}

fn ranges(presentation: &Presentation, findings: &mut Findings) {
    for (exchange, answer) in answers(presentation) {
        let (Some(range), true) = (exchange.range, matches!(answer.status, 200 | 206)) else {
            continue;
        };
        let asked = range.header();
        if answer.status != 206 {
            let sentence = format!("The answer to {asked} is {} instead of 206.", answer.status);
            findings.must("RFC 9110 15.3.7", &exchange.place, sentence);
        } else if !is_range(&answer.content_range, range) || answer.received != range.length {
            let (sent, received) = (&answer.content_range, answer.received);
            let sentence = format!("The answer to {asked} is `{sent}` with {received} bytes.");
            findings.must("RFC 9110 14.4", &exchange.place, sentence);
        }
    }
}

fn is_range(content_range: &str, range: Range) -> bool {
    let prefix = format!("bytes {}-{}/", range.offset, range.last());
    content_range.starts_with(&prefix)
}

fn compression(presentation: &Presentation, findings: &mut Findings) {
    for (exchange, answer) in bodies(presentation) {
        if exchange.kind == Kind::Playlist && answer.content_encoding != "gzip" {
            let sentence = "The playlist is not sent as gzip to somebody who accepts it.";
            findings.must("Apple 10.1", &exchange.place, sentence);
        }
    }
}

fn media_types(presentation: &Presentation, findings: &mut Findings) {
    let pictures: HashSet<&str> = presentation
        .pictures()
        .flat_map(|track| {
            let inits = track.inits.iter().map(|loaded| loaded.place.as_str());
            inits.chain(track.segments.iter().map(|segment| segment.place.as_str()))
        })
        .collect();
    for (exchange, answer) in bodies(presentation) {
        let kind = answer.content_type.split(';').next().unwrap_or_default().trim();
        let allowed: &[&str] = match exchange.kind {
            Kind::Playlist => &["application/vnd.apple.mpegurl"],
            _ if pictures.contains(exchange.place.as_str()) => &["video/mp4", "video/iso.segment"],
            _ => &["audio/mp4", "video/mp4", "video/iso.segment"],
        };
        if !allowed.contains(&kind) {
            let sentence = format!("Content-Type is `{kind}` instead of {}.", allowed.join(" or "));
            findings.must("Apple 10.4", &exchange.place, sentence);
        }
    }
}

/// One finding for all things of a kind: a server allows origins by the folder.
fn origins(presentation: &Presentation, findings: &mut Findings) {
    for (kind, name) in [
        (Kind::Playlist, "playlists"),
        (Kind::Init, "init segments"),
        (Kind::Segment, "segments"),
    ] {
        let all: Vec<_> = bodies(presentation)
            .filter(|(exchange, _)| exchange.kind == kind)
            .collect();
        let silent: Vec<_> = all.iter().filter(|(_, answer)| !answer.allows_origin).collect();
        if let Some((first, _)) = silent.first() {
            let (silent, all) = (silent.len(), all.len());
            let sentence = format!("Access-Control-Allow-Origin is missing from {silent} of {all} {name}.");
            findings.should("Fetch", &first.place, sentence);
        }
    }
}

fn answers(presentation: &Presentation) -> impl Iterator<Item = (&Exchange, &Answer)> {
    let exchanges = presentation.exchanges.iter();
    exchanges.filter_map(|exchange| Some((exchange, exchange.answer.as_ref().ok()?)))
}

fn bodies(presentation: &Presentation) -> impl Iterator<Item = (&Exchange, &Answer)> {
    answers(presentation).filter(|(exchange, _)| exchange.succeeded())
}

#[cfg(test)]
mod tests {
    use crate::testing::{MAIN, Show, Site};

    fn with(name: &str, change: impl FnOnce(&mut crate::fetch::Answer)) -> Site {
        let mut site = Show::new().site();
        change(&mut site.answer(name).0);
        site
    }

    #[test]
    fn what_is_missing_is_found() {
        let mut site = Show::new().site();
        site.remove("v0/1.m4s");
        site.breaks("RFC 9110 15", "404 instead of 200");
    }

    #[test]
    fn redirects_are_found() {
        for name in [MAIN, "v0.m3u8", "v0/init.mp4", "a0/1.m4s"] {
            with(name, |answer| answer.status = 302).breaks("Apple 8.18", "a redirect, 302");
        }
    }

    #[test]
    fn wrong_lengths_are_found() {
        with("v0/1.m4s", |answer| answer.content_length = Some(7)).breaks("RFC 9110 8.6", "Content-Length is 7");
        let cut = |answer: &mut crate::fetch::Answer| answer.cut = Some("timed out".to_owned());
        with("v0/1.m4s", cut).breaks("RFC 9110 8.6", "timed out");
    }

    #[test]
    fn ranges_that_are_not_answered_are_found() {
        let site = Show::new().site().edit("v0-iframes.m3u8", "@0\n", "@99999\n");
        site.breaks("RFC 9110 14.4", "with 0 bytes");
        let mut site = Show::new().site();
        site.ignores_ranges = true;
        site.breaks("RFC 9110 15.3.7", "200 instead of 206");
        let others = site
            .findings()
            .iter()
            .filter(|finding| finding.clause != "RFC 9110 15.3.7")
            .count();
        assert_eq!(others, 0, "what was asked for is judged");
        let lie = |answer: &mut crate::fetch::Answer| "bytes 0-9/99".clone_into(&mut answer.content_range);
        with("v0/0.m4s", lie).breaks("RFC 9110 14.4", "is `bytes 0-9/99`");
    }

    #[test]
    fn plain_playlists_are_found() {
        with("a0.m3u8", |answer| answer.content_encoding.clear()).breaks("Apple 10.1", "not sent as gzip");
    }

    #[test]
    fn wrong_media_types_are_found() {
        for (name, kind) in [
            ("v0.m3u8", "audio/x-mpegurl"),
            ("v0/0.m4s", "audio/mp4"),
            ("a0/0.m4s", "text/plain"),
            ("v0/init.mp4", ""),
        ] {
            with(name, |answer| kind.clone_into(&mut answer.content_type)).breaks("Apple 10.4", kind);
        }
        with("v0.m3u8", |answer| answer.content_type.push_str("; charset=utf-8")).clean();
        with("v0/0.m4s", |answer| {
            "video/iso.segment".clone_into(&mut answer.content_type);
        })
        .clean();
    }

    #[test]
    fn origins_that_may_not_read_are_found() {
        let site = with("v0/0.m4s", |answer| answer.allows_origin = false);
        site.breaks("Fetch", "missing from 3 of 14 segments");
        assert!(site.report().is_clean(), "it is only recommended");
    }
}

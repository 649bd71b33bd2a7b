//! A presentation, loaded whole: playlists, init segments, and what the segments hold. The bytes themselves are dropped.

use std::collections::HashMap;

use futures::{StreamExt, stream};
use url::Url;

use crate::attributes::Attributes;
use crate::fetch::{Exchange, Kind, Range, Source};
use crate::init::{self, Init, SampleEntry};
use crate::playlist::{Entry, Map, Media, Multivariant};
use crate::segment::{Content, Fragment, Sample};

/// How many segments are asked for at once; players do not ask for more either.
const AT_ONCE: usize = 4;

#[derive(Clone, Debug)]
pub(crate) struct Presentation {
    pub(crate) url: Url,
    pub(crate) multivariant: Multivariant,
    /// Each media playlist once, in the order in which they are named.
    pub(crate) tracks: Vec<Track>,
    pub(crate) exchanges: Vec<Exchange>,
}

/// What a media playlist is named as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Variant,
    Sound,
    Iframes,
}

#[derive(Clone, Debug)]
pub(crate) struct Track {
    pub(crate) role: Role,
    pub(crate) url: Url,
    /// None where it could not be had.
    pub(crate) playlist: Option<Media>,
    pub(crate) inits: Vec<Loaded>,
    /// As many as the playlist has entries.
    pub(crate) segments: Vec<Segment>,
}

/// An init segment, or why it cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) map: Map,
    pub(crate) place: String,
    pub(crate) init: Result<Init, String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) place: String,
    pub(crate) entry: Entry,
    pub(crate) bytes: u64,
    /// None where it could not be had, or there is no init segment to read it by.
    pub(crate) content: Option<Content>,
}

impl Presentation {
    /// Loads what the multivariant playlist at `url`, which has been fetched, leads to.
    pub(crate) async fn load(source: &impl Source, url: &Url, exchange: Exchange, body: &[u8]) -> Self {
        let succeeded = exchange.succeeded();
        let mut presentation = Self {
            url: url.clone(),
            multivariant: Multivariant::default(),
            tracks: Vec::new(),
            exchanges: vec![exchange],
        };
        if !succeeded {
            return presentation;
        }
        presentation.multivariant = Multivariant::parse(body);
        for (role, uri) in presentation.multivariant.named() {
            let Ok(url) = url.join(&uri) else { continue };
            if presentation.tracks.iter().all(|track| track.url != url) {
                let (track, exchanges) = Track::load(source, role, url).await;
                presentation.tracks.push(track);
                presentation.exchanges.extend(exchanges);
            }
        }
        presentation
    }

    pub(crate) fn place(&self) -> &str {
        self.url.path()
    }

    /// The media playlist that is named so.
    pub(crate) fn track(&self, uri: &str) -> Option<&Track> {
        let url = self.url.join(uri).ok()?;
        self.tracks.iter().find(|track| track.url == url)
    }

    /// Of each variant: how it is declared, and what it is.
    pub(crate) fn variants(&self) -> impl Iterator<Item = (&Attributes, &Track)> {
        let streams = self.multivariant.streams.iter();
        streams.filter_map(|stream| Some((&stream.attributes, self.track(stream.uri.as_deref()?)?)))
    }

    /// Of each I-frame playlist.
    pub(crate) fn iframes(&self) -> impl Iterator<Item = (&Attributes, &Track)> {
        let named = self.multivariant.iframes.iter();
        named.filter_map(|attributes| Some((attributes, self.track(attributes.get("URI")?)?)))
    }

    /// The sounds of a group.
    pub(crate) fn group<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Track> {
        let media = self.multivariant.media.iter();
        let members =
            media.filter(move |media| media.get("TYPE") == Some("AUDIO") && media.get("GROUP-ID") == Some(name));
        members.filter_map(|media| self.track(media.get("URI")?))
    }

    /// The sounds that a variant may be played with; one that is itself such a sound is played alone.
    pub(crate) fn sounds_of<'a>(&'a self, attributes: &'a Attributes, variant: &Track) -> Vec<&'a Track> {
        let group = attributes.get("AUDIO").map(|name| self.group(name).collect());
        let group: Vec<&Track> = group.unwrap_or_default();
        if group.iter().any(|sound| sound.url == variant.url) {
            return Vec::new();
        }
        group
    }

    /// Variants and sounds, each once, without the I-frame playlists.
    pub(crate) fn played(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter().filter(|track| track.role != Role::Iframes)
    }

    /// Those with a picture.
    pub(crate) fn pictures(&self) -> impl Iterator<Item = &Track> {
        self.played().filter(|track| track.is(init::Kind::Video))
    }

    pub(crate) fn sounds(&self) -> impl Iterator<Item = &Track> {
        self.played().filter(|track| track.is(init::Kind::Audio))
    }

    pub(crate) fn is_growing(&self) -> bool {
        let playlists = self.tracks.iter().filter_map(|track| track.playlist.as_ref());
        playlists.into_iter().any(Media::is_event)
    }
}

/// What was asked for, of a server that sent all there is.
fn asked(body: &[u8], range: Option<Range>) -> &[u8] {
    let Some(range) = range else { return body };
    let within = |offset: u64| usize::try_from(offset).map_or(body.len(), |offset| offset.min(body.len()));
    &body[within(range.offset)..within(range.offset.saturating_add(range.length))]
}

impl Multivariant {
    /// Media playlists, by what they are named as.
    fn named(&self) -> Vec<(Role, String)> {
        let streams = self.streams.iter().filter_map(|stream| stream.uri.as_deref());
        let streams = streams.map(|uri| (Role::Variant, uri));
        let sounds = self.media.iter().filter(|media| media.get("TYPE") == Some("AUDIO"));
        let sounds = sounds.filter_map(|media| Some((Role::Sound, media.get("URI")?)));
        let iframes = self
            .iframes
            .iter()
            .filter_map(|iframes| Some((Role::Iframes, iframes.get("URI")?)));
        let all = streams.chain(sounds).chain(iframes);
        all.map(|(role, uri)| (role, uri.to_owned())).collect()
    }
}

impl Track {
    async fn load(source: &impl Source, role: Role, url: Url) -> (Self, Vec<Exchange>) {
        let (exchange, body) = source.get(&url, Kind::Playlist, None).await;
        let playlist = exchange.succeeded().then(|| Media::parse(&body));
        let mut exchanges = vec![exchange];
        let mut track = Self {
            role,
            url,
            playlist: None,
            inits: Vec::new(),
            segments: Vec::new(),
        };
        if let Some(playlist) = &playlist {
            track.load_inits(source, playlist, &mut exchanges).await;
            track.load_segments(source, playlist, &mut exchanges).await;
        }
        track.playlist = playlist;
        (track, exchanges)
    }

    async fn load_inits(&mut self, source: &impl Source, playlist: &Media, exchanges: &mut Vec<Exchange>) {
        let mut maps: Vec<&Map> = playlist.entries.iter().filter_map(|entry| entry.map.as_ref()).collect();
        maps.dedup();
        for map in maps {
            if self.inits.iter().any(|loaded| &loaded.map == map) {
                continue;
            }
            let Ok(url) = self.url.join(&map.uri) else { continue };
            let (exchange, body) = source.get(&url, Kind::Init, map.range).await;
            if exchange.succeeded() {
                self.inits.push(Loaded {
                    map: map.clone(),
                    place: exchange.place.clone(),
                    init: Init::parse(asked(&body, map.range.filter(|_| !exchange.is_partial()))),
                });
            }
            exchanges.push(exchange);
        }
    }

    async fn load_segments(&mut self, source: &impl Source, playlist: &Media, exchanges: &mut Vec<Exchange>) {
        let this = &*self;
        let readable = !playlist.encrypted;
        let entries = playlist.entries.iter();
        let loading = entries.map(|entry| this.load_segment(source, entry, readable));
        let loaded: Vec<_> = stream::iter(loading).buffered(AT_ONCE).collect().await;
        for (segment, exchange) in loaded {
            self.segments.push(segment);
            exchanges.extend(exchange);
        }
    }

    async fn load_segment(&self, source: &impl Source, entry: &Entry, readable: bool) -> (Segment, Option<Exchange>) {
        let mut segment = Segment {
            place: entry.uri.clone(),
            entry: entry.clone(),
            bytes: 0,
            content: None,
        };
        let Ok(url) = self.url.join(&entry.uri) else {
            return (segment, None);
        };
        url.path().clone_into(&mut segment.place);
        let (exchange, body) = source.get(&url, Kind::Segment, entry.range).await;
        if exchange.succeeded() {
            let body = asked(&body, entry.range.filter(|_| !exchange.is_partial()));
            segment.bytes = body.len() as u64;
            let description = self.init_of(entry).and_then(Init::main).filter(|_| readable);
            segment.content = description.map(|track| Content::parse(body, track));
        }
        (segment, Some(exchange))
    }

    fn init_of(&self, entry: &Entry) -> Option<&Init> {
        let map = entry.map.as_ref()?;
        let loaded = self.inits.iter().find(|loaded| &loaded.map == map)?;
        loaded.init.as_ref().ok()
    }

    pub(crate) fn place(&self) -> &str {
        self.url.path()
    }

    /// What is played of it: the picture, or the sound if there is none.
    pub(crate) fn header(&self) -> Option<&init::Track> {
        let mut inits = self.inits.iter().filter_map(|loaded| loaded.init.as_ref().ok());
        inits.next()?.main()
    }

    pub(crate) fn is(&self, kind: init::Kind) -> bool {
        self.header().is_some_and(|header| header.kind == kind)
    }

    /// Of every track in its init segments: more than one, if they are not demuxed.
    pub(crate) fn sample_entries(&self) -> impl Iterator<Item = &SampleEntry> {
        let inits = self.inits.iter().filter_map(|loaded| loaded.init.as_ref().ok());
        inits.flat_map(|init| &init.tracks).flat_map(|track| &track.entries)
    }

    pub(crate) fn codecs(&self) -> Vec<String> {
        let mut codecs: Vec<String> = self.sample_entries().map(|entry| entry.codec.clone()).collect();
        codecs.sort();
        codecs.dedup();
        codecs
    }

    /// All segments could be read.
    pub(crate) fn is_whole(&self) -> bool {
        !self.segments.is_empty() && self.segments.iter().all(|segment| segment.content.is_some())
    }

    pub(crate) fn contents(&self) -> impl Iterator<Item = (&Segment, &Content)> {
        self.segments
            .iter()
            .filter_map(|segment| Some((segment, segment.content.as_ref()?)))
    }

    pub(crate) fn fragments(&self) -> impl Iterator<Item = (&Segment, &Fragment)> {
        self.contents()
            .flat_map(|(segment, content)| content.fragments.iter().map(move |fragment| (segment, fragment)))
    }

    pub(crate) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.contents().flat_map(|(_, content)| content.samples())
    }

    pub(crate) fn idrs(&self) -> usize {
        self.samples().filter(|sample| sample.is_idr()).count()
    }

    /// Of ticks, in seconds.
    #[expect(clippy::cast_precision_loss, reason = "times of a presentation")]
    pub(crate) fn seconds(&self, ticks: u64) -> f64 {
        ticks as f64 / self.timescale()
    }

    pub(crate) fn timescale(&self) -> f64 {
        self.header().map_or(1.0, |header| f64::from(header.timescale))
    }

    /// Of all samples, in seconds.
    pub(crate) fn duration(&self) -> f64 {
        self.seconds(self.contents().map(|(_, content)| content.ticks()).sum())
    }

    /// Of the longest sample, in seconds: one picture, or what AAC makes of 1024 samples.
    pub(crate) fn frame(&self) -> f64 {
        let longest = self.samples().map(|sample| sample.duration).max();
        self.seconds(longest.unwrap_or_default().into())
    }

    /// Frames a second.
    #[expect(clippy::cast_precision_loss, reason = "frames of a presentation")]
    pub(crate) fn frame_rate(&self) -> Option<f64> {
        let duration = self.duration();
        (duration > 0.0).then(|| self.samples().count() as f64 / duration)
    }

    /// When each segment begins, in seconds, by its first fragment.
    pub(crate) fn starts(&self) -> Vec<Option<f64>> {
        let first = |segment: &Segment| segment.content.as_ref()?.fragments.first()?.decode_time;
        let starts = self.segments.iter().map(first);
        starts.map(|ticks| ticks.map(|ticks| self.seconds(ticks))).collect()
    }

    /// When the first sample is shown, in seconds, by `tfdt`, composition offsets and edit list.
    #[expect(clippy::cast_precision_loss, reason = "times of a presentation")]
    pub(crate) fn presented_from(&self) -> Option<f64> {
        let (_, first) = self.fragments().next()?;
        let mut decoded = i64::try_from(first.decode_time?).ok()?;
        let mut shown = i64::MAX;
        for sample in self.segments.first()?.content.as_ref()?.samples() {
            shown = shown.min(decoded.saturating_add(sample.composition));
            decoded = decoded.saturating_add(sample.duration.into());
        }
        Some(shown as f64 / self.timescale() - self.shift())
    }

    /// By how much the edit list moves the track to the front, in seconds.
    fn shift(&self) -> f64 {
        let mut shift = 0.0;
        for edit in self.header().map(|header| &header.edits[..]).unwrap_or_default() {
            match edit.media_time {
                Some(time) => return shift + time,
                None => shift -= edit.duration,
            }
        }
        shift
    }

    /// Sizes in bytes and durations in seconds, as announced.
    pub(crate) fn sizes(&self) -> Vec<(u64, f64)> {
        let size = |segment: &Segment| (segment.bytes, segment.entry.duration);
        self.segments.iter().map(size).collect()
    }

    pub(crate) fn range(segment: &Segment) -> String {
        let range = segment.entry.range;
        range.map(Range::header).unwrap_or_default()
    }

    /// The paths of its segments.
    pub(crate) fn places(&self) -> HashMap<&str, usize> {
        let places = self.segments.iter().enumerate();
        places
            .map(|(position, segment)| (segment.place.as_str(), position))
            .collect()
    }
}

//! Init segments: what they say of their tracks.

use crate::boxes::{Reader, all, find, need, walk};

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Init {
    pub(crate) tracks: Vec<Track>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    Video,
    Audio,
    #[default]
    Other,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Track {
    pub(crate) id: u32,
    pub(crate) kind: Kind,
    /// Ticks a second.
    pub(crate) timescale: u32,
    /// Of `tkhd`: as shown.
    pub(crate) shown: (f64, f64),
    pub(crate) entries: Vec<SampleEntry>,
    pub(crate) edits: Vec<Edit>,
    pub(crate) defaults: Defaults,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SampleEntry {
    pub(crate) format: [u8; 4],
    /// The entry as it is.
    pub(crate) bytes: Vec<u8>,
    /// RFC 6381, in small letters. Of formats other than H.264 and MPEG-4 audio only the four characters.
    pub(crate) codec: String,
    pub(crate) size: (u32, u32),
    pub(crate) units: Option<Units>,
}

/// How the NAL units of a sample are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Units {
    pub(crate) length_size: usize,
    pub(crate) hevc: bool,
}

/// A piece of the edit list, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Edit {
    pub(crate) duration: f64,
    /// None: nothing is shown for so long.
    pub(crate) media_time: Option<f64>,
}

/// Of `trex`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Defaults {
    pub(crate) description: u32,
    pub(crate) duration: u32,
    pub(crate) size: u32,
    pub(crate) flags: u32,
}

impl Init {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if let (_, Some(fault)) = walk(bytes) {
            return Err(fault);
        }
        need(bytes, *b"ftyp")?;
        let moov = need(bytes, *b"moov")?;
        let movie_timescale = timescale(need(moov, *b"mvhd")?).ok_or("mvhd ends early, or has no timescale")?;
        let mvex = need(moov, *b"mvex")?;
        let tracks = all(moov, *b"trak");
        let tracks = tracks.iter().map(|trak| track(trak.body, mvex, movie_timescale));
        let tracks = tracks.collect::<Result<Vec<_>, _>>()?;
        if tracks.is_empty() {
            return Err("there is no trak".to_owned());
        }
        Ok(Self { tracks })
    }

    /// The picture, or what there is without one.
    pub(crate) fn main(&self) -> Option<&Track> {
        let of = |kind| self.tracks.iter().find(|track| track.kind == kind);
        of(Kind::Video).or_else(|| of(Kind::Audio)).or(self.tracks.first())
    }
}

/// Of `mvhd` and `mdhd`, which begin alike.
fn timescale(body: &[u8]) -> Option<u32> {
    let mut reader = Reader(body);
    let (version, _) = reader.full()?;
    reader.wide(version)?;
    reader.wide(version)?;
    reader.u32().filter(|timescale| *timescale > 0)
}

fn track(trak: &[u8], mvex: &[u8], movie_timescale: u32) -> Result<Track, String> {
    let (id, shown) = header(need(trak, *b"tkhd")?).ok_or("tkhd ends early")?;
    let mdia = need(trak, *b"mdia")?;
    let timescale = timescale(need(mdia, *b"mdhd")?).ok_or("mdhd ends early, or has no timescale")?;
    let kind = match need(mdia, *b"hdlr")?.get(8..12) {
        Some(b"vide") => Kind::Video,
        Some(b"soun") => Kind::Audio,
        _ => Kind::Other,
    };
    let stbl = need(need(mdia, *b"minf")?, *b"stbl")?;
    let stsd = need(stbl, *b"stsd")?.get(8..).ok_or("stsd ends early")?;
    let (atoms, fault) = walk(stsd);
    if let Some(fault) = fault {
        return Err(format!("in stsd {fault}"));
    }
    let entry = |atom: &crate::boxes::Atom<'_>| sample_entry(atom.kind, atom.body, kind);
    let entries = atoms.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    if entries.is_empty() {
        return Err("stsd describes nothing".to_owned());
    }
    let elst = find(trak, *b"edts").and_then(|edts| find(edts, *b"elst"));
    let edits = elst.map(|elst| edits(elst, movie_timescale, timescale).ok_or("elst ends early"));
    let trex = all(mvex, *b"trex");
    let defaults = trex.iter().filter_map(|trex| defaults(trex.body));
    let defaults = defaults.into_iter().find(|(track, _)| *track == id);
    Ok(Track {
        id,
        kind,
        timescale,
        shown,
        entries,
        edits: edits.transpose()?.unwrap_or_default(),
        defaults: defaults.ok_or("there is no trex of the track")?.1,
    })
}

/// Identity and size of `tkhd`.
fn header(body: &[u8]) -> Option<(u32, (f64, f64))> {
    let mut reader = Reader(body);
    let (version, _) = reader.full()?;
    reader.wide(version)?;
    reader.wide(version)?;
    let id = reader.u32()?;
    reader.u32()?;
    reader.wide(version)?;
    // Reserved, layer, group, volume, matrix.
    reader.take(8 + 8 + 36)?;
    let fixed = |value: u32| f64::from(value) / 65536.0;
    Some((id, (fixed(reader.u32()?), fixed(reader.u32()?))))
}

#[expect(clippy::cast_precision_loss, reason = "times of a presentation")]
fn edits(body: &[u8], movie_timescale: u32, timescale: u32) -> Option<Vec<Edit>> {
    let mut reader = Reader(body);
    let (version, _) = reader.full()?;
    let count = reader.u32()?;
    let mut edits = Vec::new();
    for _ in 0..count {
        let duration = reader.wide(version)? as f64 / f64::from(movie_timescale);
        let time = if version == 0 {
            i64::from(reader.i32()?)
        } else {
            reader.i64()?
        };
        reader.u32()?;
        let media_time = (time >= 0).then(|| time as f64 / f64::from(timescale));
        edits.push(Edit { duration, media_time });
    }
    Some(edits)
}

fn defaults(body: &[u8]) -> Option<(u32, Defaults)> {
    let mut reader = Reader(body);
    reader.full()?;
    let track = reader.u32()?;
    let defaults = Defaults {
        description: reader.u32()?,
        duration: reader.u32()?,
        size: reader.u32()?,
        flags: reader.u32()?,
    };
    Some((track, defaults))
}

/// Bytes before the boxes of an entry.
const VISUAL: usize = 78;
const AUDIO: usize = 28;

fn sample_entry(format: [u8; 4], body: &[u8], kind: Kind) -> Result<SampleEntry, String> {
    let name = crate::boxes::name(format);
    let mut entry = SampleEntry {
        format,
        bytes: body.to_vec(),
        codec: name.clone(),
        ..SampleEntry::default()
    };
    let fixed = match kind {
        Kind::Video => VISUAL,
        Kind::Audio => AUDIO,
        Kind::Other => return Ok(entry),
    };
    let boxes = body.get(fixed..).ok_or_else(|| format!("{name} ends early"))?;
    if kind == Kind::Video {
        let mut reader = Reader(&body[24..]);
        entry.size = reader
            .u16()
            .zip(reader.u16())
            .map_or((0, 0), |(w, h)| (w.into(), h.into()));
    }
    match &format {
        b"avc1" | b"avc3" => avc(&mut entry, &name, need(boxes, *b"avcC")?).ok_or("avcC ends early")?,
        b"hvc1" | b"hev1" => {
            let lengths = need(boxes, *b"hvcC")?.get(21).ok_or("hvcC ends early")?;
            let length_size = usize::from(lengths & 3) + 1;
            entry.units = Some(Units {
                length_size,
                hevc: true,
            });
        }
        b"mp4a" => entry.codec = mpeg4_audio(need(boxes, *b"esds")?).ok_or("esds cannot be read")?,
        _ => {}
    }
    Ok(entry)
}

fn avc(entry: &mut SampleEntry, name: &str, body: &[u8]) -> Option<()> {
    let [_, profile, compatibility, level, lengths] = Reader(body).array()?;
    entry.codec = format!("{name}.{profile:02x}{compatibility:02x}{level:02x}");
    entry.units = Some(Units {
        length_size: usize::from(lengths & 3) + 1,
        hevc: false,
    });
    Some(())
}

/// RFC 6381 3.3: the object type, then the audio object type that the decoder's configuration begins with.
fn mpeg4_audio(body: &[u8]) -> Option<String> {
    let es = descriptor(body.get(4..)?, 3)?;
    let mut reader = Reader(es);
    reader.u16()?;
    let flags = reader.u8()?;
    if flags & 0x80 != 0 {
        reader.u16()?;
    }
    if flags & 0x40 != 0 {
        let length = reader.u8()?;
        reader.take(length.into())?;
    }
    if flags & 0x20 != 0 {
        reader.u16()?;
    }
    let config = descriptor(reader.0, 4)?;
    let (object, rest) = config.split_first()?;
    let Some(specific) = descriptor(rest.get(12..)?, 5) else {
        return Some(format!("mp4a.{object:02x}"));
    };
    let bits = Reader(specific).u16()?;
    let kind = match bits >> 11 {
        31 => 32 + (bits >> 5 & 63),
        kind => kind,
    };
    Some(format!("mp4a.{object:02x}.{kind}"))
}

/// The body of the first descriptor of this kind (ISO/IEC 14496-1 8.3.3: a length of seven bits a byte).
fn descriptor(bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut reader = Reader(bytes);
    loop {
        let kind = reader.u8()?;
        let mut length = 0_usize;
        for _ in 0..4 {
            let byte = reader.u8()?;
            length = length << 7 | usize::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let body = reader.take(length)?;
        if kind == wanted {
            return Some(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Show, init_bytes};
    use proptest::prelude::*;

    #[test]
    fn an_init_segment_of_a_picture_is_read() {
        let show = Show::new();
        let init = Init::parse(&init_bytes(&show.tracks[0])).unwrap();
        let track = init.main().unwrap();
        assert_eq!((track.id, track.kind, track.timescale), (1, Kind::Video, 15360));
        assert_eq!(track.shown, (640.0, 360.0));
        assert_eq!(track.entries[0].size, (640, 360));
        assert_eq!(track.entries[0].codec, "avc1.64001e");
        let units = Units {
            length_size: 4,
            hevc: false,
        };
        assert_eq!(track.entries[0].units, Some(units));
        assert_eq!(track.edits[0].media_time, Some(1024.0 / 15360.0));
    }

    #[test]
    fn an_init_segment_of_a_sound_is_read() {
        let show = Show::new();
        let init = Init::parse(&init_bytes(&show.tracks[2])).unwrap();
        let track = init.main().unwrap();
        assert_eq!((track.kind, track.timescale), (Kind::Audio, 48000));
        assert_eq!(track.entries[0].codec, "mp4a.40.2");
    }

    #[test]
    fn long_audio_object_types_are_read() {
        let escape = [
            0, 0, 0, 0, 3, 22, 0, 1, 0, 4, 17, 0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0xf9, 0x40,
        ];
        assert_eq!(mpeg4_audio(&escape).as_deref(), Some("mp4a.40.42"));
    }

    #[test]
    fn what_is_missing_is_told() {
        assert_eq!(Init::parse(b""), Err("there is no ftyp".to_owned()));
        assert_eq!(Init::parse(b"\0\0\0\x08ftyp"), Err("there is no moov".to_owned()));
        assert!(Init::parse(b"\0\0\0\x09ftyp").is_err());
    }

    proptest! {
        #[test]
        fn damage_is_survived(track in 0_usize..3, at in 0_usize..700, byte in any::<u8>(), length in 0_usize..700) {
            let mut bytes = init_bytes(&Show::new().tracks[track]);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            Init::parse(&bytes).ok();
            bytes.truncate(length);
            Init::parse(&bytes).ok();
        }
    }
}

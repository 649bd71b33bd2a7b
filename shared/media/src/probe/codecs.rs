//! Which codecs are decoded. Formats that people's devices, editors and screen recorders write; not those of games of
//! the 1990s, whose decoders nobody looks after.

/// ffmpeg's name of the codec, and of the decoders for it where they are called otherwise.
type Row = (&'static str, &'static [&'static str]);

const VIDEO: &[Row] = &[
    ("apng", &[]),
    ("av1", &["libdav1d", "libaom-av1", "av1"]),
    ("cfhd", &[]),
    ("cinepak", &[]),
    ("dnxhd", &[]),
    ("dvvideo", &[]),
    ("ffv1", &[]),
    ("ffvhuff", &[]),
    ("flashsv", &[]),
    ("flashsv2", &[]),
    ("flv1", &["flv"]),
    ("gif", &[]),
    ("h261", &[]),
    ("h263", &[]),
    ("h263p", &[]),
    ("h264", &[]),
    ("hap", &[]),
    ("hevc", &[]),
    ("huffyuv", &[]),
    ("jpeg2000", &["jpeg2000", "libopenjpeg"]),
    ("magicyuv", &[]),
    ("mjpeg", &[]),
    ("mpeg1video", &[]),
    ("mpeg2video", &["mpeg2video", "mpegvideo"]),
    ("mpeg4", &[]),
    ("msmpeg4v1", &[]),
    ("msmpeg4v2", &[]),
    ("msmpeg4v3", &["msmpeg4"]),
    ("msrle", &[]),
    ("msvideo1", &[]),
    ("png", &[]),
    ("prores", &[]),
    ("qtrle", &[]),
    ("rawvideo", &[]),
    ("rpza", &[]),
    ("rv10", &[]),
    ("rv20", &[]),
    ("rv30", &[]),
    ("rv40", &[]),
    ("svq1", &[]),
    ("svq3", &[]),
    ("theora", &[]),
    ("utvideo", &[]),
    ("v210", &[]),
    ("vc1", &[]),
    ("vp6", &[]),
    ("vp6a", &[]),
    ("vp6f", &[]),
    ("vp8", &["vp8", "libvpx"]),
    ("vp9", &["vp9", "libvpx-vp9"]),
    ("wmv1", &[]),
    ("wmv2", &[]),
    ("wmv3", &[]),
    ("zmbv", &[]),
];

const AUDIO: &[Row] = &[
    ("aac", &[]),
    ("aac_latm", &[]),
    ("ac3", &[]),
    ("adpcm_ima_qt", &[]),
    ("adpcm_ima_wav", &[]),
    ("adpcm_ms", &[]),
    ("adpcm_swf", &[]),
    ("alac", &[]),
    ("amr_nb", &["amrnb"]),
    ("amr_wb", &["amrwb"]),
    ("cook", &[]),
    ("dts", &["dca"]),
    ("eac3", &[]),
    ("flac", &[]),
    ("gsm", &[]),
    ("mp1", &["mp1float", "mp1"]),
    ("mp2", &["mp2float", "mp2"]),
    ("mp3", &["mp3float", "mp3"]),
    ("mlp", &[]),
    ("nellymoser", &[]),
    ("opus", &["opus", "libopus"]),
    ("pcm_alaw", &[]),
    ("pcm_bluray", &[]),
    ("pcm_dvd", &[]),
    ("pcm_f32be", &[]),
    ("pcm_f32le", &[]),
    ("pcm_f64be", &[]),
    ("pcm_f64le", &[]),
    ("pcm_mulaw", &[]),
    ("pcm_s16be", &[]),
    ("pcm_s16le", &[]),
    ("pcm_s24be", &[]),
    ("pcm_s24le", &[]),
    ("pcm_s32be", &[]),
    ("pcm_s32le", &[]),
    ("pcm_s8", &[]),
    ("pcm_u8", &[]),
    ("qdm2", &[]),
    ("speex", &["speex", "libspeex"]),
    ("truehd", &[]),
    ("vorbis", &["vorbis", "libvorbis"]),
    ("wmapro", &[]),
    ("wmav1", &[]),
    ("wmav2", &[]),
];

/// Text and pictures beside the film, which are never shown, but which ffprobe opens; and pictures that are covers.
const ASIDE: &[&str] = &[
    "ass",
    "bmp",
    "cc_dec",
    "dvbsub",
    "dvdsub",
    "libzvbi_teletextdec",
    "mov_text",
    "pgssub",
    "ssa",
    "srt",
    "subrip",
    "text",
    "tiff",
    "webp",
    "webvtt",
    "xsub",
];

pub(super) fn is_video(codec: &str) -> bool {
    VIDEO.iter().any(|(name, _)| *name == codec)
}

pub(super) fn is_audio(codec: &str) -> bool {
    AUDIO.iter().any(|(name, _)| *name == codec)
}

/// The value of ffmpeg's input option `-codec_whitelist`: these decoders and no others.
pub fn decoder_whitelist() -> String {
    let played = VIDEO.iter().chain(AUDIO).flat_map(decoders);
    let decoders: Vec<&str> = played.chain(ASIDE.iter().copied()).collect();
    decoders.join(",")
}

fn decoders((codec, decoders): &Row) -> Vec<&'static str> {
    if decoders.is_empty() {
        vec![codec]
    } else {
        decoders.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_is_known_by_its_own_name_and_a_decoder_by_its() {
        assert!(is_video("av1") && !is_video("libdav1d") && !is_video("aac"));
        assert!(is_audio("dts") && !is_audio("dca") && !is_audio("h264"));
        let whitelist = decoder_whitelist();
        let has = |name| whitelist.split(',').any(|decoder| decoder == name);
        assert!(has("h264") && has("libdav1d") && has("mp3float") && has("dca") && !has("dts"));
    }
}

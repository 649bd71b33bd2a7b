use super::*;
use crate::cost::Host;
use crate::plan::{Options, plan};
use crate::source::{Source, Transfer, Video, Weight};

fn source() -> Source {
    Source {
        demuxer: "mov".to_owned(),
        duration: 6.0,
        video: Video {
            stream: 0,
            codec: "h264".to_owned(),
            width: 640,
            height: 360,
            start: 0.04,
            frame_rate: Fraction::new(30, 1),
            variable_frame_rate: false,
            interlaced: false,
            transfer: Transfer::Sdr,
            pixel_format: "yuv420p".to_owned(),
            color_range: None,
            color_space: Some("bt709".to_owned()),
            wide_gamut: false,
        },
        audio: Some(Audio {
            stream: 1,
            codec: "aac".to_owned(),
            channels: 2,
            sample_rate: 48_000,
        }),
        weight: Weight::default(),
        gops: Vec::new(),
    }
}

fn planned(source: &Source) -> Plan {
    plan(source, &Options::default())
}

fn only(runs: &[Vec<String>]) -> String {
    let [run] = runs else { panic!("{runs:?}") };
    run.join(" ")
}

fn input() -> String {
    format!(
        "-y -copyts -protocol_whitelist file,pipe -format_whitelist mov -f mov -codec_whitelist {} -max_error_rate 0.5 \
         -threads 4 -reinit_filter:v 0 -i in",
        crate::probe::decoder_whitelist()
    )
}

#[test]
fn picture() {
    let plan = planned(&source());
    assert_eq!(
        only(&unit_runs(&plan, &plan.units[1], Reading::Near, "in")),
        format!(
            "{} -filter_complex_threads 2 -filter_complex \
             [0:0]setpts=PTS-round(0.04/TB),fps=30/1:start_time=0:eof_action=pass,tpad=stop=-1:stop_mode=clone,\
             trim=start_pts=0:end_pts=180,setpts=N,setparams=field_mode=prog,\
             zscale=w=640:h=360:f=bicubic:param_a=0:param_b=0.6:rin=limited:min=709:m=709:r=limited,format=yuv420p,setsar=1,\
             setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709,split=2[360p][from-240p];\
             [from-240p]zscale=w=426:h=240:f=bicubic:param_a=0:param_b=0.6,setsar=1[240p] \
             -map [360p] -c:v libx264 -preset veryfast -profile:v high -level:v 3.0 -refs 2 -crf 23 -maxrate 800000 \
             -bufsize 1600000 {TAIL} 360p.mp4 \
             -map [240p] -c:v libx264 -preset veryfast -profile:v high -level:v 2.1 -refs 2 -crf 25 -maxrate 87792 \
             -bufsize 43896 -subq 6 -trellis 1 {TAIL} 240p.mp4",
            input()
        )
    );
}

const TAIL: &str = "-g 60 -keyint_min 1 -sc_threshold 0 -flags +cgop+bitexact -force_key_frames 0.991667,1.991667 -threads 2 -color_primaries bt709 \
                    -color_trc bt709 -colorspace bt709 -color_range tv -fps_mode passthrough \
                    -bsf:v filter_units=remove_types=6 -video_track_timescale 10020 -map_metadata -1 -map_chapters -1 \
                    -fflags +bitexact -movflags +default_base_moof+skip_trailer+frag_keyframe+delay_moov -f mp4";

/// The lowest rungs of a 4k60 clip that thins, on a host where the others wait for them or not.
fn first_of_4k60(cpus: f64) -> String {
    let mut source = source();
    (source.video.width, source.video.height) = (3840, 2160);
    source.video.frame_rate = Fraction::new(60, 1);
    source.weight.thins = true;
    let host = Host {
        cpus,
        ..Options::default().host
    };
    let plan = plan(
        &source,
        &Options {
            host,
            ..Options::default()
        },
    );
    let unit = plan.units.iter().find(|unit| unit.id == "low-0").expect("a low pass");
    only(&unit_runs(&plan, unit, Reading::Near, "in"))
}

#[test]
fn every_second_picture_where_the_host_would_fall_behind() {
    let few = first_of_4k60(1.0);
    assert!(few.starts_with("-skip_frame noref -y "), "{few}");
    // One that stands for two is scaled once.
    let (scaled, doubled) = (few.find("zscale=").unwrap(), few.find("fps=60/1").unwrap());
    assert!(scaled < doubled, "{few}");

    let all = first_of_4k60(4.0);
    assert!(!all.contains("-skip_frame"), "{all}");
}

/// The second segment of a clip in this format.
fn from_the_middle(demuxer: &str, reading: Reading) -> String {
    let mut source = source();
    demuxer.clone_into(&mut source.demuxer);
    let plan = planned(&source);
    let work = Work::Video {
        rungs: vec!["240p".to_owned()],
        first_frame: 120,
        frames: 30,
    };
    let unit = Unit {
        id: "video-1".to_owned(),
        grows: false,
        waits: false,
        work,
    };
    only(&unit_runs(&plan, &unit, reading, "in"))
}

#[test]
fn picture_from_the_middle() {
    let args = from_the_middle("mov", Reading::Near);
    // A second and 16 frames before the fourth second.
    assert!(
        args.starts_with("-seek_timestamp 1 -noaccurate_seek -ss 2.506667 -y -copyts"),
        "{args}"
    );
    assert!(args.contains("fps=30/1:eof_action=pass,"), "{args}");
    assert!(
        args.contains("trim=start_pts=120:end_pts=150,") && args.contains("split=1[240p]"),
        "{args}"
    );
    assert!(args.contains(" -rc_init_occupancy 21948 "), "{args}");
}

#[test]
fn picture_from_the_middle_of_what_has_no_index() {
    let args = from_the_middle("avi", Reading::Near);
    assert!(
        !args.contains("-ss ") && args.contains("fps=30/1:start_time=0:eof_action=pass,"),
        "{args}"
    );
    let broadcast = from_the_middle("mpegts", Reading::Near);
    assert!(
        broadcast.contains("-map 0:0 -map 0:1 -t 6.573333 -c copy -f null - "),
        "{broadcast}"
    );
}

#[test]
fn patience_begins_at_the_start_and_puts_up_with_anything() {
    let args = from_the_middle("mov", Reading::Patient);
    assert!(
        !args.contains("-ss ") && args.contains("-i in -max_error_rate 1 "),
        "{args}"
    );
    assert!(
        args.contains("fps=30/1:start_time=0:eof_action=pass,") && args.contains("trim=start_pts=120:end_pts=150,"),
        "{args}"
    );
}

#[test]
fn judging_decodes_all_and_makes_nothing() {
    assert_eq!(
        judge_args(&planned(&source()), "in").join(" "),
        format!(
            "{} -filter_complex [0:0]setpts=PTS-round(0.04/TB),fps=30/1:start_time=0:eof_action=pass,\
             tpad=stop=-1:stop_mode=clone,trim=start_pts=0:end_pts=180,setpts=N[judged] \
             -map [judged] -fps_mode passthrough -f null -",
            input()
        )
    );
}

#[test]
fn sound() {
    let plan = planned(&source());
    let one = |name: &str, rate: u32| {
        format!(
            "-map [{name}] -c:a aac -b:a {rate} -flags +bitexact -bsf:a noise=drop='eq(n\\,0)' -frag_duration 1000000 \
             -map_metadata -1 -map_chapters -1 -fflags +bitexact \
             -movflags +default_base_moof+skip_trailer+empty_moov -f mp4 {name}.mp4"
        )
    };
    assert_eq!(
        only(&unit_runs(&plan, &plan.units[0], Reading::Near, "in")),
        format!(
            "{} -filter_complex \
             [0:1]asetpts=PTS-round(0.04/TB),aresample=48000:async=1:min_hard_comp=0.03:first_pts=0,\
             aformat=sample_fmts=fltp:channel_layouts=stereo,apad=whole_len=288000,atrim=end_sample=288000,\
             asplit=2[audio][audio-low] {} {}",
            input(),
            one("audio", 128_000),
            one("audio-low", 64_000)
        )
    );
}

#[test]
fn high_dynamic_range_is_mapped_after_scaling() {
    let mut source = source();
    source.video.transfer = Transfer::Pq;
    let plan = planned(&source);
    let args = only(&unit_runs(&plan, &plan.units[1], Reading::Near, "in"));
    let look = "zscale=w=640:h=360:f=bicubic:param_a=0:param_b=0.6:rin=limited:tin=smpte2084:pin=2020:min=2020_ncl:\
                t=linear:npl=100:p=709,format=gbrpf32le,tonemap=hable:desat=0,zscale=t=709:m=709:r=limited,\
                format=yuv420p";
    assert!(args.contains(look), "{args}");
}

/// Picture and sound of a broadcast are read together in each run, so that its jumping clock is mended alike.
#[test]
fn broadcasts() {
    let mut source = source();
    "mpegts".clone_into(&mut source.demuxer);
    let plan = planned(&source);
    let witness = "-i in -map 0:0 -map 0:1 -c copy -f null - ";
    let picture = only(&unit_runs(&plan, &plan.units[1], Reading::Near, "in"));
    assert!(picture.contains(witness) && !picture.contains("-copyts"), "{picture}");
    let sound = unit_runs(&plan, &plan.units[0], Reading::Near, "in");
    let [unify, encode] = &sound[..] else {
        panic!("{sound:?}")
    };
    let (unify, encode) = (unify.join(" "), encode.join(" "));
    assert!(
        unify.contains(witness) && unify.contains("-map 0:1 -af aresample=48000,"),
        "{unify}"
    );
    assert!(encode.contains("-f nut") && encode.contains("-copyts"), "{encode}");
    assert!(encode.contains("-i sound.nut -filter_complex [0:0]asetpts"), "{encode}");
}

#[test]
fn fields_are_joined_before_anything_else() {
    let mut source = source();
    source.video.interlaced = true;
    let plan = planned(&source);
    let args = only(&unit_runs(&plan, &plan.units[1], Reading::Near, "in"));
    assert!(
        args.contains("[0:0]bwdif=mode=send_frame:deint=interlaced,setpts="),
        "{args}"
    );
}

#[test]
fn outputs_of_units() {
    let plan = planned(&source());
    let files = |unit| {
        outputs(&plan, unit)
            .into_iter()
            .map(|output| output.file)
            .collect::<Vec<_>>()
    };
    assert_eq!(files(&plan.units[0]), ["audio.mp4", "audio-low.mp4"]);
    assert_eq!(files(&plan.units[1]), ["360p.mp4", "240p.mp4"]);
}

#[test]
fn mp3() {
    let plan = planned(&source());
    let runs = mp3_runs(&plan, "in", "A title", "a channel");
    let args = &runs[0];
    let tail = [
        "-metadata",
        "title=A title",
        "-metadata",
        "artist=a channel",
        "-id3v2_version",
        "3",
    ];
    assert!(args.windows(tail.len()).any(|window| window == tail), "{args:?}");
}

#[test]
fn download() {
    assert_eq!(
        download_args("v.mp4", Some("a.mp4")).join(" "),
        "-y -protocol_whitelist file,pipe -f mov -i v.mp4 -protocol_whitelist file,pipe -f mov -i a.mp4 -map 0:v:0 \
         -map 1:a:0 -c copy -map_metadata -1 -map_chapters -1 -fflags +bitexact -movflags +faststart -f mp4 download.mp4"
    );
}

#[test]
fn a_frame_is_a_whole_number_of_ticks() {
    for (num, den) in [(30, 1), (30_000, 1_001), (1, 1), (60, 1), (17, 1), (120_000, 7_u32)] {
        let ticks = u64::from(timescale(Fraction::new(num, den))) * u64::from(den);
        assert!(timescale(Fraction::new(num, den)) >= 10_000);
        assert_eq!(ticks % u64::from(num), 0);
    }
}

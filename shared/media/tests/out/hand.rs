
use crate::stage::Stage;
use toktik_media::source::*;
#[test]
#[ignore]
fn hand() {
    let file = std::env::var("CLIP").unwrap();
    let j: Source = serde_json::from_str(&std::env::var("SRC").unwrap()).unwrap();
    let stage = Stage::new();
    let t = std::time::Instant::now();
    let made = stage.produce(&j, &file);
    println!("made in {:?} {:?}", t.elapsed(), stage.path());
    println!("{}", std::fs::read_to_string(stage.path().join("playlist.m3u8")).unwrap());
    for v in &made.manifest.variants { let t = stage.frame_times(&format!("{}.m3u8", v.name)); println!("{} frames {} of {} first {} last {}", v.name, t.len(), made.plan.frames, t[0], t[t.len()-1]); }
    for s in &made.manifest.sounds { println!("{} {} of {}", s.name, s.rendition.duration(), made.plan.duration()); }
    let out = std::path::PathBuf::from("/tmp/m/out"); std::fs::create_dir_all(&out).unwrap();
    stage.ffmpeg(&toktik_media::images::poster_args(&made.plan, Default::default(), &file));
    let sheet = toktik_media::images::sheet(&made.plan);
    stage.ffmpeg(&toktik_media::images::storyboard_args(&made.plan, &sheet, &file));
    stage.ffmpeg(&toktik_media::images::preview_args(&made.plan, &file));
    let name = std::path::Path::new(&file).file_stem().unwrap().to_string_lossy().into_owned();
    for f in ["poster.jpg", "storyboard.jpg", "preview.webp"] { std::fs::copy(stage.path().join(f), out.join(format!("{name}-{f}"))).unwrap(); }
}

//! Clips and people: something to look at.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::attempt::api::Api;
use crate::attempt::{self, Outcome, watch};
use crate::workspace::{must, say};

/// Who posts; those behind them watch and like.
const AUTHORS: [&str; 5] = ["mila", "noor", "tomas", "june", "kofi"];
const AUDIENCE: usize = 24;
/// Of everybody: the whole lives for a minute, on a port of this machine.
pub(crate) const PASSWORD: &str = "screenshots only 7";
const SECONDS: u32 = 8;
const PATIENCE: Duration = Duration::from_mins(5);

struct Seed {
    title: &'static str,
    description: &'static str,
    tags: &'static [&'static str],
    /// One of ffmpeg's sources, and what is done to it.
    picture: &'static str,
    /// Hertz of a chord; none, and the clip is silent.
    sound: &'static [u32],
}

/// In the order in which they are posted; the feed begins with the last.
const SEEDS: [Seed; 10] = [
    Seed {
        title: "Every triangle has smaller friends",
        description: "Sierpinski's gasket, walked over slowly.",
        tags: &["math", "loop"],
        picture: "sierpinski=s=960x540:r=30:type=triangle:jump=60,lutrgb=r='val*0.95+12':g='val*0.55+18':b='val*0.35+40'",
        sound: &[196, 294],
    },
    Seed {
        title: "A garden of cells",
        description: "Conway's rules, with a memory: what dies fades from yellow to red.",
        tags: &["life", "math"],
        picture: "life=s=180x320:mold=12:r=24:ratio=0.18:seed=7:death_color=0x16213e:life_color=0xffd166:mold_color=0xef476f,\
                  scale=540:960:flags=neighbor",
        sound: &[220, 330, 440],
    },
    Seed {
        title: "Rule 110, all night long",
        description: "One line of cells, and the rule that can compute everything.",
        tags: &["math", "code"],
        picture: "cellauto=s=240x135:r=24:rule=110:seed=3,format=rgb24,\
                  lutrgb=r='20+val*0.2':g='24+val*0.75':b='48+val*0.6',scale=960:540:flags=neighbor",
        sound: &[110, 165],
    },
    Seed {
        title: "Lava lamp, take three",
        description: "Two waves that do not know of each other.",
        tags: &["slow", "color", "loop"],
        picture: "nullsrc=s=90x160:r=24,geq=r='150+95*sin(X/13+T*1.2)*cos(Y/21-T)':g='70+60*sin((X+Y)/24-T*0.8)':\
                  b='120+90*cos(X/17-Y/29+T)',scale=540:960:flags=bicubic",
        sound: &[147, 220, 277],
    },
    Seed {
        title: "Test card, but make it fashion",
        description: "Somebody had to.",
        tags: &["retro"],
        picture: "testsrc2=s=960x540:r=30,hue=h='t*24':s=1.1",
        sound: &[1000],
    },
    Seed {
        title: "Falling into the set",
        description: "Straight down into Seahorse Valley. The edge never ends, and that is the point.\n\nNo sound, on purpose.",
        tags: &["math", "fractal"],
        picture: "mandelbrot=s=540x960:r=24:maxiter=600:start_scale=0.6:end_scale=0.004:end_pts=190:\
                  start_x=-0.743643887037:start_y=0.131825904205",
        sound: &[],
    },
    Seed {
        title: "Northern lights, no coat needed",
        description: "Green over dark blue. Best watched in the dark, with the sound low.",
        tags: &["slow", "color", "night"],
        picture: "gradients=s=540x960:r=30:n=4:c0=0x03101f:c1=0x0b6e4f:c2=0x6bffb8:c3=0x1b1464:type=radial:speed=0.012:\
                  x0=60:y0=900:x1=480:y1=120:seed=11",
        sound: &[174, 261, 349],
    },
    Seed {
        title: "Waves & wires",
        description: "What the sea would look like if it were made of cables.",
        tags: &["sea", "loop"],
        picture: "nullsrc=s=240x135:r=24,geq=r='40+40*sin(Y/3+6*sin(X/40+T))':g='110+90*sin(Y/3+6*sin(X/40+T))':\
                  b='150+80*sin(Y/3+5*sin(X/46+T*1.1))',scale=960:540:flags=bicubic",
        sound: &[130, 196, 261],
    },
    Seed {
        title: "Peach sky at a quarter to nine",
        description: "The last eight seconds before the street lamps. Filmed from nowhere in particular.",
        tags: &["sunset", "slow", "color"],
        picture: "nullsrc=s=108x192:r=24,geq=r='60+195*exp(-pow((Y-118-7*sin(X/24+T))/64,2))':\
                  g='36+150*exp(-pow((Y-126-6*sin(X/29-T))/44,2))':b='104+52*cos(Y/62)+20*sin(X/33+T*0.6)',\
                  scale=540:960:flags=bicubic",
        sound: &[196, 247, 294],
    },
    Seed {
        title: "Marble, still warm",
        description: "Stirred once, then left alone.",
        tags: &["color", "slow", "loop"],
        picture: "nullsrc=s=108x192:r=24,geq=r='128+110*sin(X/16+3*sin(Y/23+T*0.7)+T*0.5)':\
                  g='96+70*sin(X/16+3*sin(Y/23+T*0.7)+T*0.5+0.9)':b='110+60*sin(Y/19+2*sin(X/15-T*0.6))',\
                  scale=540:960:flags=bicubic",
        sound: &[165, 208, 247],
    },
];

/// Fills a Toktik: everybody signs up, clips are posted, watched and liked. Returns the name of somebody who has posted.
pub(crate) fn sow(server: &str, directory: &Path) -> Result<&'static str> {
    say("drawing clips, and posting them");
    let mut authors = Vec::new();
    for name in AUTHORS {
        authors.push(Api::named(server, name, PASSWORD)?);
    }
    let mut posted = Vec::new();
    for (index, seed) in SEEDS.iter().enumerate() {
        let file = directory.join(format!("clip-{index}.mp4"));
        must(Command::new("ffmpeg").args(seed.arguments()).arg(&file))?;
        let author = index % authors.len();
        let id = attempt::post(&mut authors[author], &file, seed.words())?;
        posted.push((author, id));
    }
    refuse(&mut authors[0], directory)?;
    for (author, id) in &posted {
        if let Outcome::Refused(why) = watch::until_final(&mut authors[*author], id, PATIENCE)? {
            bail!("a clip was refused: {why}");
        }
    }
    say("watching and liking them");
    for number in 0..AUDIENCE {
        let mut viewer = Api::named(server, &format!("viewer{number:02}"), PASSWORD)?;
        for (index, (_, id)) in posted.iter().enumerate() {
            if watches(number, index) {
                viewer
                    .post(&format!("/videos/{id}/views"), &json!({}))?
                    .accept("watching")?;
            }
            if likes(number, index) {
                viewer.put_empty(&format!("/videos/{id}/like"))?.accept("liking")?;
            }
        }
    }
    Ok(AUTHORS[0])
}

/// Posts what is no clip: that has to look well, too.
fn refuse(author: &mut Api, directory: &Path) -> Result<()> {
    let file = directory.join("voice memo.m4a");
    let sound = ["-v", "error", "-f", "lavfi", "-i", "sine=d=3", "-c:a", "aac"];
    must(Command::new("ffmpeg").args(sound).arg(&file))?;
    let id = attempt::post(author, &file, json!({"title": "Voice memo"}))?;
    watch::until_final(author, &id, PATIENCE).map(drop)
}

/// Tastes that differ, and are the same each time.
fn watches(viewer: usize, clip: usize) -> bool {
    (viewer * 7 + clip * 5) % 10 < 3 + clip % 7
}

fn likes(viewer: usize, clip: usize) -> bool {
    watches(viewer, clip) && (viewer + clip * 3) % 5 < 2
}

impl Seed {
    fn words(&self) -> Value {
        json!({"title": self.title, "description": self.description, "tags": self.tags})
    }

    fn arguments(&self) -> Vec<String> {
        let mut words = vec!["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", self.picture];
        let chord = self.chord();
        if let Some(chord) = &chord {
            words.extend(["-f", "lavfi", "-i", chord]);
        }
        let seconds = SECONDS.to_string();
        words.extend([
            "-t", &seconds, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-crf", "20",
        ]);
        words.extend(["-c:a", "aac", "-movflags", "+faststart"]);
        words.into_iter().map(str::to_owned).collect()
    }

    /// Sines that swell and fade, as ffmpeg's `aevalsrc` wants them.
    fn chord(&self) -> Option<String> {
        let sines: Vec<String> = self
            .sound
            .iter()
            .map(|hertz| format!("0.06*sin(2*PI*{hertz}*t)"))
            .collect();
        (!sines.is_empty()).then(|| format!("aevalsrc=({})*(0.6+0.4*sin(2*PI*t/4)):s=48000", sines.join("+")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_drawn_with_its_chord_or_without_any() {
        let loud = SEEDS.iter().find(|seed| !seed.sound.is_empty()).unwrap();
        assert!(
            loud.arguments()
                .iter()
                .any(|word| word.starts_with("aevalsrc=(0.06*sin(2*PI*"))
        );
        let silent = SEEDS.iter().find(|seed| seed.sound.is_empty()).unwrap();
        assert_eq!(silent.arguments().iter().filter(|word| *word == "-i").count(), 1);
    }

    #[test]
    fn whoever_likes_a_clip_has_watched_it() {
        let all = (0..AUDIENCE).flat_map(|viewer| (0..SEEDS.len()).map(move |clip| (viewer, clip)));
        assert!(
            all.clone()
                .all(|(viewer, clip)| !likes(viewer, clip) || watches(viewer, clip))
        );
        assert!(all.clone().any(|(viewer, clip)| likes(viewer, clip)));
    }
}

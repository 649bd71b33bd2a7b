//! What the steps leave in the ledger for package to read.

use serde::{Deserialize, Serialize};
use toktik_events::Function;
use toktik_media::manifest::{Object, Part, Poster, Rendition, Storyboard};
use toktik_media::plan::{Plan, Unit as Planned};

use crate::ledger::{State, StepItem};

/// What one unit of transcode made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    pub tracks: Vec<Track>,
}

/// A rung's or a sound's share of a unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// The rung or the sound.
    pub name: String,
    /// RFC 6381.
    pub codecs: String,
    /// Those of earlier runs that came to no end, whose segments were published, and that of the run which did.
    pub parts: Vec<Part>,
}

/// What thumbnail made of the source. It has to be there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Still {
    pub poster: Poster,
}

/// What thumbnail made of a rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    pub storyboard: Option<Storyboard>,
    pub preview: Option<Object>,
    /// What could not be made.
    pub warnings: Vec<String>,
}

/// What audio made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sound {
    pub mp3: Option<Object>,
    /// What could not be made.
    pub warnings: Vec<String>,
}

/// What package joined; none if it could not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    pub download: Option<Object>,
}

/// What has been made of a rung or a sound so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    pub rendition: Rendition,
    /// To the end of the clip.
    pub is_whole: bool,
}

/// What the units that make this track have made of it so far, from the beginning on and without a gap. None before its
/// first segment.
pub fn made(plan: &Plan, steps: &[StepItem], track: &str) -> Option<Made> {
    let mut made: Option<Made> = None;
    // The plan lists them in order.
    for unit in plan.units.iter().filter(|unit| unit.work.makes(plan, track)) {
        let next = share(steps, unit, track);
        let Some((next, is_done)) = next else {
            return made.map(|made| Made {
                is_whole: false,
                ..made
            });
        };
        let parts = match made.take() {
            Some(before) => [before.rendition.parts, next.parts].concat(),
            None => next.parts,
        };
        made = Some(Made {
            rendition: Rendition {
                codecs: next.codecs,
                parts,
            },
            is_whole: is_done,
        });
        if !is_done {
            break;
        }
    }
    made
}

/// A unit's share of a track: all of it, or what was published while it grows.
fn share(steps: &[StepItem], unit: &Planned, track: &str) -> Option<(Track, bool)> {
    let of_it = |item: &&StepItem| item.step == Function::Transcode.name() && item.unit == unit.id;
    let item = steps.iter().find(of_it)?;
    let made: Unit = serde_json::from_value(item.result.clone()?).ok()?;
    let track = made.tracks.into_iter().find(|made| made.name == track)?;
    Some((track, item.state == State::Done))
}

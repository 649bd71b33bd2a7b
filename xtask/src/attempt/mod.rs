//! `cargo xtask try FILE` (`try` is a word of the language, hence the module's name): one clip's way through a running
//! Toktik, as a stranger with nothing but the HTTP API would send it.
//!
//! stdout is the playlist's URL and nothing else, so that `ffplay "$(cargo xtask try clip.mp4)"` works; everything that a
//! person reads goes to stderr.

pub(crate) mod api;
pub(crate) mod clip;
mod problem;
mod progress;
pub(crate) mod upload;
pub(crate) mod watch;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use api::Api;
use clip::Clip;

/// Upload a clip as a new user would, and print the URL of its playlist
///
/// Registers a user with a random name, uploads FILE with a progress bar on stderr and waits until the clip is ready.
/// stdout is the URL of the HLS playlist alone.
///
/// Exit status: 0 the clip is ready; 2 it was refused, with the reason on stderr; 1 anything else went wrong.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The clip
    file: PathBuf,
    /// Where Toktik runs
    #[arg(long, value_name = "URL", default_value = "http://localhost:8080")]
    server: String,
    /// Give up after so many seconds without any progress
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    patience: u64,
}

/// How it ended, if nothing went wrong on the way.
pub(crate) enum Outcome {
    /// The absolute URL of the playlist.
    Ready(String),
    /// Why the clip is not wanted, in a sentence.
    Refused(String),
}

/// The answer to `POST /videos`.
#[derive(Deserialize)]
struct Created {
    video: Id,
    upload: upload::Plan,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match follow(args)? {
        Outcome::Ready(url) => {
            writeln!(std::io::stdout(), "{url}").context("cannot write to stdout")?;
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Refused(why) => {
            eprintln!("{} was refused: {why}", args.file.display());
            Ok(ExitCode::from(2))
        }
    }
}

fn follow(args: &Args) -> Result<Outcome> {
    let clip = Clip::open(&args.file)?;
    let mut api = Api::register(&args.server)?;
    let created = match announce(&mut api, &clip)? {
        Ok(created) => created,
        Err(why) => return Ok(Outcome::Refused(why)),
    };
    let id = &created.video.id;
    if let Some(why) = deliver(&mut api, &clip, &created)? {
        return Ok(Outcome::Refused(why));
    }
    watch::until_final(&mut api, id, Duration::from_secs(args.patience))
}

/// Uploads a clip with these words and returns its id; nothing of it is waited for.
pub(crate) fn post(api: &mut Api, file: &Path, words: Value) -> Result<String> {
    let clip = Clip::open(file)?;
    let mut fields = json!({"filename": clip.name, "size": clip.size, "content_type": clip.content_type()});
    if let (Some(fields), Value::Object(words)) = (fields.as_object_mut(), words) {
        fields.extend(words);
    }
    let created: Created = api.post("/videos", &fields)?.parse("announcing the clip")?;
    match deliver(api, &clip, &created)? {
        Some(why) => bail!("{} was refused: {why}", file.display()),
        None => Ok(created.video.id),
    }
}

/// Sends the bytes; says why they are not wanted, if so.
fn deliver(api: &mut Api, clip: &Clip, created: &Created) -> Result<Option<String>> {
    let id = &created.video.id;
    upload::send(api, id, clip, &created.upload)?;
    let completed = api.post(&format!("/videos/{id}/upload/complete"), &json!({}))?;
    if completed.refuses_the_file() {
        return Ok(Some(completed.sentence()));
    }
    completed.accept("completing the upload")?;
    Ok(None)
}

/// Tells the server what will come: an upload plan, or the reason why it does not want that.
fn announce(api: &mut Api, clip: &Clip) -> Result<Result<Created, String>> {
    let answer = api.post(
        "/videos",
        &json!({
            "title": clip.title(),
            "filename": clip.name,
            "size": clip.size,
            "content_type": clip.content_type(),
        }),
    )?;
    if answer.refuses_the_file() {
        return Ok(Err(refusal(clip, &answer.sentence())));
    }
    answer.parse("announcing the clip").map(Ok)
}

/// An empty file is refused as a size out of range; a person wants to read that there is nothing in it.
fn refusal(clip: &Clip, sentence: &str) -> String {
    if clip.size == 0 && !sentence.to_lowercase().contains("empty") {
        return format!("the file is empty ({sentence})");
    }
    sentence.to_owned()
}

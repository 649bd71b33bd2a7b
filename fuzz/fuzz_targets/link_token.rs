//! Tokens of playback links.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Private to playback, and read from where it is.
#[path = "../../functions/playback/src/link.rs"]
mod link;
mod settings {
    #[derive(Clone)]
    pub struct Settings {
        pub link_secret: Option<toktik_identity::Secret>,
    }
}

use toktik_events::VideoId;

fuzz_target!(|text: &str| {
    let settings = settings::Settings {
        link_secret: Some("0123456789abcdef0123456789abcdef".to_owned().into()),
    };
    let key = link::LinkKey::new(&settings).expect("a secret of 32 bytes");
    let video = VideoId::derived("fuzzed");
    assert!(
        !key.admits(text, video, chrono::DateTime::UNIX_EPOCH),
        "a token that nobody signed"
    );
    let _ = key.anonymous(text, chrono::DateTime::UNIX_EPOCH);
    let _ = key.sign(video, chrono::DateTime::UNIX_EPOCH);
});

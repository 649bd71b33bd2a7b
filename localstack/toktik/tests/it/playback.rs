//! What players ask for: playlists, segments, pictures, files, and links to private clips.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Method, StatusCode};
use serde_json::json;
use toktik_events::Function;

use crate::client::{Answer, client, send};
use crate::clips::{play, tiny_clip};
use crate::harness::{House, User};

const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";
const FINAL: &str = "public, max-age=60";
const PRIVATE: &str = "private, no-store";
/// All that a clip with sound has, beside the playlists.
const FILES: [&str; 5] = ["poster.jpg", "poster.webp", "preview.webp", "audio.mp3", "download.mp4"];

async fn ask(house: &House, id: &str, rest: &str, user: Option<&User>) -> Answer {
    house.get(&format!("/videos/{id}/{rest}"), user).await
}

/// The addresses that a playlist names, in quotes or on lines of their own.
fn addresses(playlist: &str) -> Vec<String> {
    let quoted = |line: &str| {
        line.split_once("URI=\"")
            .map(|(_, rest)| rest.split('"').next().unwrap().to_owned())
    };
    let lines = playlist.lines().filter(|line| !line.is_empty());
    lines
        .filter_map(|line| {
            if line.starts_with('#') {
                quoted(line)
            } else {
                Some(line.to_owned())
            }
        })
        .collect()
}

/// The media playlists that a multivariant playlist names, as it names them.
async fn media_playlists(house: &House, id: &str, user: Option<&User>) -> Vec<String> {
    let playlist = ask(house, id, "playlist.m3u8", user).await;
    assert_eq!(playlist.status, StatusCode::OK, "{playlist:?}");
    addresses(&playlist.text())
}

async fn with_visibility(house: &House, id: &str, user: &User, visibility: &str) {
    let body = json!({"visibility": visibility});
    let path = format!("/videos/{id}");
    house
        .call(Method::PATCH, &path, Some(user), Some(body))
        .await
        .expect(StatusCode::OK);
}

async fn segment(url: &str, range: Option<&str>) -> Answer {
    let mut request = client().get(url);
    if let Some(range) = range {
        request = request.header("Range", format!("bytes={range}"));
    }
    let answer = send(request).await;
    assert_eq!(answer.header("content-security-policy"), "sandbox; default-src 'none'");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_clip_is_served_as_players_want_it() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, tiny_clip(house.directory())).await;

    let playlist = ask(&house, &id, "playlist.m3u8", None).await;
    assert_eq!(playlist.header("content-type"), PLAYLIST_TYPE);
    assert_eq!(playlist.header("cache-control"), FINAL);
    let named = media_playlists(&house, &id, None).await;
    assert!(named.contains(&"playlists/120p.m3u8".to_owned()), "{named:?}");
    assert!(named.contains(&"playlists/120p-iframes.m3u8".to_owned()), "{named:?}");
    assert!(
        named.iter().any(|name| name.starts_with("playlists/audio")),
        "{named:?}"
    );
    for name in &named {
        let media = ask(&house, &id, name, None).await;
        assert_eq!(
            (media.status, media.header("content-type")),
            (StatusCode::OK, PLAYLIST_TYPE)
        );
        assert_eq!(media.header("cache-control"), FINAL);
        assert!(media.text().contains("#EXT-X-PLAYLIST-TYPE:VOD\n") && media.text().ends_with("#EXT-X-ENDLIST\n"));
        let urls = addresses(&media.text());
        assert!(urls.len() >= 2, "{urls:?}");
        for url in urls {
            let answer = segment(&url, None).await;
            assert_eq!(
                answer.status,
                StatusCode::OK,
                "a segment redirects or is not there: {url}"
            );
            assert!(!answer.body.is_empty());
        }
    }
    for other in [
        "999p.m3u8",
        "120p",
        "120p.mpd",
        "audio-iframes.m3u8",
        "..%2Fplaylist.m3u8",
    ] {
        ask(&house, &id, &format!("playlists/{other}"), None)
            .await
            .problem(404, "not_found");
    }
    for file in FILES {
        let answer = ask(&house, &id, file, None).await;
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (StatusCode::FOUND, FINAL),
            "{file}"
        );
        assert_eq!(
            segment(answer.header("location"), None).await.status,
            StatusCode::OK,
            "{file}"
        );
    }
    let cues = ask(&house, &id, "storyboard.vtt", None).await;
    assert_eq!((cues.status, cues.header("cache-control")), (StatusCode::OK, FINAL));
    assert_eq!(cues.header("content-type"), "text/vtt; charset=utf-8");
    let text = cues.text();
    let sprite = text.lines().find(|line| line.starts_with("http")).unwrap();
    assert_eq!(segment(sprite, None).await.status, StatusCode::OK);

    let bare = addresses(&ask(&house, &id, "playlists/120p.m3u8", None).await.text())[0].clone();
    let unsigned = bare.split('?').next().unwrap();
    assert_eq!(
        segment(unsigned, None).await.status,
        StatusCode::FORBIDDEN,
        "the bucket is open"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn i_frames_can_be_fetched_by_their_ranges() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, tiny_clip(house.directory())).await;
    let text = ask(&house, &id, "playlists/120p-iframes.m3u8", None).await.text();
    assert!(text.contains("#EXT-X-I-FRAMES-ONLY\n"));
    let mut lines = text.lines();
    let mut fetched = 0;
    while let Some(line) = lines.next() {
        let Some(range) = line.strip_prefix("#EXT-X-BYTERANGE:") else {
            continue;
        };
        let (size, offset) = range.split_once('@').unwrap();
        let (size, offset): (usize, usize) = (size.parse().unwrap(), offset.parse().unwrap());
        let answer = segment(lines.next().unwrap(), Some(&format!("{offset}-{}", offset + size - 1))).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::PARTIAL_CONTENT, size));
        assert_eq!(&answer.body[4..8], b"moof");
        fetched += 1;
    }
    assert!(fetched > 0, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_last_for_the_hour_and_playlists_are_sent_small() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.publish(&user, tiny_clip(house.directory())).await;
    let text = || async { ask(&house, &id, "playlists/120p.m3u8", None).await.text() };
    let poster = || async { ask(&house, &id, "poster.jpg", None).await.header("location").to_owned() };
    // At a full hour, whatever time it is.
    let past = house.now().timestamp() % 3600;
    house.advance(TimeDelta::seconds(3600 - past));
    let first = (text().await, poster().await);
    house.advance(TimeDelta::minutes(58));
    assert_eq!((text().await, poster().await), first);
    house.advance(TimeDelta::minutes(3));
    let next = (text().await, poster().await);
    assert!(next.0 != first.0 && next.1 != first.1, "the addresses never change");
    assert!(next.1.contains("X-Amz-Expires=14400"), "{}", next.1);

    let path = format!("/api/v1/videos/{id}/playlists/120p.m3u8");
    let answer = send(house.request(Method::GET, &path).header("Accept-Encoding", "gzip")).await;
    assert_eq!(
        (answer.header("content-encoding"), &answer.body[..2]),
        ("gzip", &[0x1f, 0x8b][..])
    );
    assert!(answer.header("vary").to_lowercase().contains("accept-encoding"));
    assert!(answer.body.len() < next.0.len());
    let head = send(house.request(Method::HEAD, &path)).await;
    assert_eq!(
        (head.status, head.header("content-type")),
        (StatusCode::OK, PLAYLIST_TYPE)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_made_yet_says_when_to_come_again() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, tiny_clip(house.directory())).await;
    let all = ["playlist.m3u8", "playlists/120p.m3u8", "storyboard.vtt"]
        .into_iter()
        .chain(FILES);
    for file in all.clone() {
        let answer = ask(&house, &id, file, None).await;
        answer.problem(404, "not_ready");
        assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    house
        .post(&format!("/videos/{id}/views"), None, json!({}))
        .await
        .problem(404, "not_ready");

    // Playable, while the pictures are still to come.
    let never = tokio_util::sync::CancellationToken::new();
    for function in [Function::Probe, Function::Transcode, Function::Package] {
        house.worker(function).drain(&never).await.unwrap();
    }
    assert_eq!(house.video(&id, None).await["status"], "playable");
    for file in ["playlist.m3u8", "playlists/120p.m3u8"] {
        let answer = ask(&house, &id, file, None).await;
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (StatusCode::OK, "no-cache"),
            "{file}"
        );
    }
    let growing = ask(&house, &id, "playlists/120p.m3u8", None).await.text();
    assert!(growing.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n"), "{growing}");
    assert!(growing.contains("#EXT-X-START:TIME-OFFSET=0,PRECISE=YES\n"));
    assert!(
        growing.ends_with("#EXT-X-ENDLIST\n"),
        "this rendition is whole: {growing}"
    );
    for file in ["storyboard.vtt", "poster.jpg", "audio.mp3", "download.mp4"] {
        ask(&house, &id, file, None).await.problem(404, "not_ready");
    }
    house.drain().await;
    assert_eq!(house.video(&id, None).await["status"], "ready");
    assert_eq!(
        ask(&house, &id, "playlist.m3u8", None).await.header("cache-control"),
        FINAL
    );

    // Nothing will ever be made of a clip that was refused.
    let refused = house.publish(&user, b"junk".to_vec()).await;
    for file in all {
        let answer = ask(&house, &refused, file, Some(&user)).await;
        answer.problem(404, "not_found");
        assert_eq!(answer.header("retry-after"), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_clip_is_its_owners() {
    let house = House::open().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let id = house.publish(&ada, tiny_clip(house.directory())).await;
    with_visibility(&house, &id, &ada, "unlisted").await;
    assert_eq!(ask(&house, &id, "playlist.m3u8", None).await.status, StatusCode::OK);
    with_visibility(&house, &id, &ada, "private").await;

    let mut everything = media_playlists(&house, &id, Some(&ada)).await;
    everything.extend(["playlist.m3u8", "storyboard.vtt"].map(str::to_owned));
    everything.extend(FILES.map(str::to_owned));
    for file in everything {
        let own = ask(&house, &id, &file, Some(&ada)).await;
        assert!(matches!(own.status, StatusCode::OK | StatusCode::FOUND), "{own:?}");
        assert_eq!(own.header("cache-control"), PRIVATE, "{file}");
        for viewer in [None, Some(&bob)] {
            ask(&house, &id, &file, viewer).await.problem(404, "not_found");
        }
    }
    for viewer in [None, Some(&bob)] {
        house
            .post(&format!("/videos/{id}/views"), viewer, json!({}))
            .await
            .problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_plays_a_private_clip_until_it_runs_out() {
    let house = House::open().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let id = house.publish(&ada, tiny_clip(house.directory())).await;
    let links = format!("/videos/{id}/links");
    house
        .post(&links, Some(&bob), json!({}))
        .await
        .problem(403, "forbidden");
    with_visibility(&house, &id, &ada, "private").await;
    house.post(&links, None, json!({})).await.problem(401, "unauthorized");
    house
        .post(&links, Some(&bob), json!({}))
        .await
        .problem(404, "not_found");

    let link = house.post(&links, Some(&ada), json!({})).await.expect(StatusCode::OK);
    let url = link["url"].as_str().unwrap();
    let ends: DateTime<Utc> = link["expires_at"].as_str().unwrap().parse().unwrap();
    assert_eq!((ends - house.now()).num_minutes(), 24 * 60 - 1);
    play(url).await;
    let open = |url: String| send(house.request(Method::GET, &url));
    let playlist = open(url.to_owned()).await;
    assert_eq!(
        (playlist.status, playlist.header("cache-control")),
        (StatusCode::OK, PRIVATE)
    );
    let folder = url.rsplit_once('/').unwrap().0;
    let token = url.split_once('?').unwrap().1;
    let nested = addresses(&playlist.text());
    assert!(nested.iter().all(|name| name.ends_with(token)), "{nested:?}");
    for name in nested {
        let media = open(format!("{folder}/{name}")).await;
        assert_eq!(media.status, StatusCode::OK);
        let bytes = segment(&addresses(&media.text())[0], None).await;
        assert_eq!(bytes.header("cache-control"), PRIVATE, "{name}");
    }
    for file in FILES {
        assert_eq!(
            open(format!("{folder}/{file}?{token}")).await.status,
            StatusCode::FOUND,
            "{file}"
        );
    }

    let other = house.publish(&ada, b"junk".to_vec()).await;
    let last = if url.ends_with('A') { "B" } else { "A" };
    let first_digit = url.find("token=").unwrap() + "token=".len();
    let tampered = [
        format!("{}{last}", &url[..url.len() - 1]),
        format!("{}9{}", &url[..first_digit], &url[first_digit + 1..]),
        url.replace(&id, &other),
        format!("{folder}/playlist.m3u8?token="),
        format!("{folder}/playlist.m3u8"),
    ];
    for wrong in tampered {
        open(wrong).await.problem(404, "not_found");
    }
    house.advance(TimeDelta::hours(24) - TimeDelta::minutes(1));
    assert_eq!(open(url.to_owned()).await.status, StatusCode::OK);
    house.advance(TimeDelta::minutes(1));
    open(url.to_owned()).await.problem(404, "not_found");
}

//! The web app: what stands in its pages before any script runs, and what browsers are told about them.

use std::collections::BTreeSet;

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use toktik_events::VideoId;

use crate::client::{Answer, send};
use crate::clips::tiny_clip;
use crate::harness::{House, User};

const HOSTILE: &str = "</title><script>alert(\"1\")</script>'";

async fn fetch(house: &House, path: &str) -> Answer {
    send(house.request(Method::GET, path)).await
}

async fn with(house: &House, path: &str, name: &'static str, value: &str) -> Answer {
    send(house.request(Method::GET, path).header(name, value)).await
}

/// A page as a browser asks for it in which somebody is signed in.
async fn page_of(house: &House, path: &str, user: &User) -> Answer {
    with(house, path, "cookie", &format!("toktik_access={}", user.token)).await
}

/// A clip that can be watched.
async fn published(house: &House, user: &User, fields: Value) -> String {
    let id = house.publish(user, tiny_clip(house.directory())).await;
    let changed = house
        .call(Method::PATCH, &format!("/videos/{id}"), Some(user), Some(fields))
        .await;
    changed.expect(StatusCode::OK);
    id
}

/// What the page says of itself under this name.
fn meta<'a>(page: &'a str, name: &str) -> &'a str {
    let starts = [
        format!("<meta name=\"{name}\" content=\""),
        format!("<meta property=\"{name}\" content=\""),
    ];
    let after = starts.iter().find_map(|start| Some(page.split_once(start)?.1));
    after.and_then(|after| after.split('"').next()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_says_what_may_run_in_it_and_who_may_show_it() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = published(&house, &user, json!({})).await;
    let (watch, embed) = (format!("/v/{id}"), format!("/embed/{id}"));
    let own = [
        "/", "/browse", "/upload", "/my", "/me", "/signin", "/signup", "/tag/x", "/c/ada", &watch,
    ];
    for path in own.into_iter().chain([&*embed]) {
        let page = fetch(&house, path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}");
        assert_eq!(page.header("cache-control"), "no-cache", "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert!(!page.header("referrer-policy").is_empty() && !page.header("permissions-policy").is_empty());
        assert!(!page.headers.contains_key("access-control-allow-origin"), "{path}");
        let policy = page.header("content-security-policy");
        for directive in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "base-uri 'none'",
        ] {
            assert!(policy.split("; ").any(|told| told == directive), "{path}: {policy}");
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains("http"),
            "{path}: {policy}"
        );
        let text = page.text();
        assert!(
            !text.contains("<style") && !text.contains(" style=") && !text.contains("<script>"),
            "{text}"
        );
        let framed = (policy.ends_with("frame-ancestors *"), page.header("x-frame-options"));
        let expected = if path == embed { (true, "") } else { (false, "DENY") };
        assert_eq!(framed, expected, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_at_another_address_is_named() {
    let arguments = [
        "--public-s3-url",
        "https://s3.example:9000",
        "--cdn-url",
        "https://cdn.example/clips",
    ];
    let house = House::with(&arguments).await;
    let page = fetch(&house, "/").await;
    let policy = page.header("content-security-policy");
    for directive in ["connect-src", "media-src", "img-src"] {
        let told = policy.split("; ").find(|told| told.starts_with(directive)).unwrap();
        assert!(
            told.ends_with(" https://s3.example:9000 https://cdn.example"),
            "{policy}"
        );
    }
    assert!(policy.contains("script-src 'self'; "), "{policy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_nowhere_is_a_page_for_people_and_a_problem_for_programs() {
    let house = House::open().await;
    for path in [
        "/nothing",
        "/toktikfoo",
        "/v/x",
        "/embed/x",
        "/v/x/y",
        "/index.html",
        "/../x",
        "/V",
    ] {
        let missing = fetch(&house, path).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(missing.header("content-type"), "text/html; charset=utf-8", "{path}");
        assert_eq!(meta(&missing.text(), "robots"), "noindex");
    }
    for path in [
        "/api/v1/nothing",
        "/api",
        "/api/v2/videos",
        "/.well-known/nothing",
        "/assets/nothing-1234.js",
    ] {
        fetch(&house, path).await.problem(404, "not_found");
    }
    let posted = send(house.request(Method::POST, "/nothing")).await;
    posted.problem(404, "not_found");
    send(house.request(Method::POST, "/browse"))
        .await
        .problem(405, "method_not_allowed");
    // What was there before pages were is where it was.
    for path in [
        "/healthz",
        "/metrics",
        "/openapi.json",
        "/docs/",
        "/.well-known/jwks.json",
    ] {
        assert_eq!(fetch(&house, path).await.status, StatusCode::OK, "{path}");
    }
    let bucket = format!("/{}/x", house.context.objects.bucket());
    assert_eq!(
        fetch(&house, &bucket).await.status,
        StatusCode::FORBIDDEN,
        "the store's"
    );
    assert!(fetch(&house, "/robots.txt").await.text().starts_with("User-agent: *\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_clip_shows_what_it_leads_to() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let described = json!({"title": "Waves & more", "description": "First\n\nsecond \"line\""});
    let id = published(&house, &user, described).await;
    let page = fetch(&house, &format!("/v/{id}")).await.text();
    let base = &house.base;
    assert!(page.contains("<title>Waves &amp; more · Toktik</title>"), "{page}");
    let media = format!("{base}/api/v1/videos/{id}");
    for (name, content) in [
        ("description", "First second &quot;line&quot;".to_owned()),
        ("og:title", "Waves &amp; more".to_owned()),
        ("og:type", "video.other".to_owned()),
        ("og:url", format!("{base}/v/{id}")),
        ("og:image", format!("{media}/poster.jpg")),
        ("og:video", format!("{media}/download.mp4")),
        ("og:video:width", "160".to_owned()),
        ("twitter:card", "player".to_owned()),
        ("twitter:player", format!("{base}/embed/{id}")),
        ("robots", String::new()),
    ] {
        assert_eq!(meta(&page, name), content, "{name}");
    }
    assert!(page.contains(&format!("<link rel=\"canonical\" href=\"{base}/v/{id}\">")));
    // Whoever has no scripts has the browser's own player.
    assert!(
        page.contains(&format!("<source src=\"{media}/download.mp4\" type=\"video/mp4\">")),
        "{page}"
    );
    assert!(page.contains(&format!("poster=\"{media}/poster.jpg\"")) && page.contains("<h1>Waves &amp; more</h1>"));

    let link = page.split("type=\"application/json+oembed\" href=\"").nth(1).unwrap();
    let link = link.split('"').next().unwrap().replace("&amp;", "&");
    let embedding = send(house.request(Method::GET, &link)).await.expect(StatusCode::OK);
    assert_eq!(
        (&embedding["version"], &embedding["type"]),
        (&json!("1.0"), &json!("video"))
    );
    assert_eq!(
        (&embedding["title"], &embedding["author_name"]),
        (&json!("Waves & more"), &json!("ada"))
    );
    assert_eq!((&embedding["width"], &embedding["height"]), (&json!(640), &json!(480)));
    let frame = embedding["html"].as_str().unwrap();
    assert!(
        frame.starts_with(&format!("<iframe src=\"{base}/embed/{id}\" ")),
        "{frame}"
    );
    let small = send(house.request(Method::GET, &format!("{link}&maxwidth=80")))
        .await
        .expect(StatusCode::OK);
    assert_eq!((&small["width"], &small["height"]), (&json!(80), &json!(60)));
    let thumbnail = send(house.request(Method::GET, embedding["thumbnail_url"].as_str().unwrap())).await;
    assert_eq!(thumbnail.status, StatusCode::FOUND);

    let xml = link.replace("format=json", "format=xml");
    send(house.request(Method::GET, &xml))
        .await
        .problem(501, "unknown_format");
    for other in [
        "http://evil.example/v/x".to_owned(),
        format!("{base}/v/{}", VideoId::random()),
    ] {
        let answer = fetch(&house, &format!("/oembed?url={other}")).await;
        answer.problem(404, "not_found");
    }
    send(house.request(Method::GET, "/oembed")).await.invalid(&["url"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_title_never_is_more_than_text() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let fields = json!({"title": HOSTILE, "description": HOSTILE});
    let id = published(&house, &user, fields).await;
    for path in [format!("/v/{id}"), format!("/embed/{id}")] {
        let page = fetch(&house, &path).await.text();
        assert_eq!(page.matches("</title>").count(), 1, "{page}");
        assert!(!page.contains("<script>") && !page.contains("alert(\"1\")"), "{page}");
        assert!(page.contains("<h1>&lt;/title&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;</h1>"));
    }
    let address = format!("{}/v/{id}", house.base);
    let embedding = fetch(&house, &format!("/oembed?url={address}")).await;
    let frame = embedding.expect(StatusCode::OK)["html"].take();
    assert_eq!(frame.as_str().unwrap().matches('<').count(), 2, "{frame}");
    for path in ["/tag/%3C%2Ftitle%3E%3Cscript%3E", "/c/%3C%2Ftitle%3E%3Cscript%3E"] {
        let page = fetch(&house, path).await.text();
        assert!(page.contains("&lt;/title&gt;&lt;script&gt; · Toktik</title>"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_tells_no_more_of_a_clip_than_its_visitor_may_know() {
    let house = House::open().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let unlisted = published(&house, &ada, json!({"visibility": "unlisted", "title": "Half hidden"})).await;
    let shown = fetch(&house, &format!("/v/{unlisted}")).await;
    assert_eq!(
        (shown.status, meta(&shown.text(), "robots")),
        (StatusCode::OK, "noindex")
    );
    assert_eq!(meta(&shown.text(), "og:title"), "Half hidden");

    let hidden = published(&house, &ada, json!({"visibility": "private", "title": "Secret"})).await;
    for kind in ["v", "embed"] {
        let nothing = fetch(&house, &format!("/{kind}/{}", VideoId::random())).await;
        assert_eq!(nothing.status, StatusCode::NOT_FOUND);
        let path = format!("/{kind}/{hidden}");
        for answer in [fetch(&house, &path).await, page_of(&house, &path, &bob).await] {
            assert_eq!((answer.status, answer.text()), (nothing.status, nothing.text()));
            assert_eq!(without_time(&answer.headers), without_time(&nothing.headers));
        }
    }
    let address = format!("{}/v/{hidden}", house.base);
    fetch(&house, &format!("/oembed?url={address}"))
        .await
        .problem(404, "not_found");
    let own = page_of(&house, &format!("/v/{hidden}"), &ada).await;
    assert_eq!(
        (own.status, own.header("cache-control")),
        (StatusCode::OK, "private, no-store")
    );
    assert!(own.text().contains("<title>Secret · Toktik</title>"));
    let framed = page_of(&house, &format!("/embed/{hidden}"), &ada).await;
    assert_eq!(framed.status, StatusCode::NOT_FOUND);
    // A session that has run out is no reason to show nothing of what everybody may see.
    let late = with(&house, &format!("/v/{unlisted}"), "cookie", "toktik_access=x.y.z").await;
    assert_eq!(late.status, StatusCode::OK);
}

fn without_time(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for changing in ["date", "traceparent"] {
        headers.remove(changing);
    }
    headers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_that_is_not_made_yet_has_a_page_without_pictures() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.upload(&user, tiny_clip(house.directory())).await;
    let page = fetch(&house, &format!("/v/{id}")).await;
    assert_eq!(page.status, StatusCode::OK);
    let text = page.text();
    assert_eq!((meta(&text, "og:image"), meta(&text, "twitter:card")), ("", "summary"));
    assert!(!text.contains("<video") && !text.contains("oembed"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_known_is_not_sent_again() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = published(&house, &user, json!({})).await;
    let path = format!("/v/{id}");
    let first = fetch(&house, &path).await;
    let again = with(&house, &path, "if-none-match", first.header("etag")).await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(
        again.header("content-security-policy"),
        first.header("content-security-policy")
    );
    let renamed = json!({"title": "Another"});
    house
        .call(Method::PATCH, &format!("/videos/{id}"), Some(&user), Some(renamed))
        .await
        .expect(StatusCode::OK);
    let changed = with(&house, &path, "if-none-match", first.header("etag")).await;
    assert_eq!(changed.status, StatusCode::OK);
    let head = send(house.request(Method::HEAD, &path)).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("etag"), changed.header("etag"));
    let packed = with(&house, &path, "accept-encoding", "gzip").await;
    assert_eq!(packed.header("content-encoding"), "gzip");
}

/// Everything under `/assets/` that these pages lead to, by any way.
async fn assets(house: &House) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut texts = Vec::new();
    for path in ["/", &format!("/embed/{}", VideoId::random())] {
        texts.push(fetch(house, path).await.text());
    }
    while let Some(text) = texts.pop() {
        for name in named(&text) {
            let path = format!("/assets/{name}");
            if !found.contains(&path) {
                let asset = fetch(house, &path).await;
                assert_eq!(asset.status, StatusCode::OK, "{path}");
                if ["js", "css"].contains(&kind(&path)) {
                    texts.push(asset.text());
                }
                found.insert(path);
            }
        }
    }
    assert!(
        !found.is_empty(),
        "the pages are not built: `cargo xtask test` builds them"
    );
    found
}

fn kind(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or_default()
}

/// Names of built files: a word, a dash, eight letters of hash, a kind.
fn named(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let words = text.split(|c| !is_name(c));
    let kinds = [".js", ".css", ".svg", ".woff2", ".png", ".webp"];
    let built = |word: &&str| {
        let Some(kind) = kinds.iter().find(|kind| word.ends_with(**kind)) else {
            return false;
        };
        let stem = word.trim_end_matches(kind);
        stem.len() > 9 && stem.is_char_boundary(stem.len() - 9) && stem[stem.len() - 9..].starts_with('-')
    };
    words.filter(built).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn assets_are_kept_for_long_and_sent_small() {
    let house = House::open().await;
    for path in assets(&house).await {
        let plain = with(&house, &path, "accept-encoding", "identity").await;
        assert_eq!(
            plain.header("cache-control"),
            "public, max-age=31536000, immutable",
            "{path}"
        );
        assert_eq!(plain.header("x-content-type-options"), "nosniff", "{path}");
        assert!(plain.header("content-encoding").is_empty(), "{path}");
        let known = with(&house, &path, "if-none-match", plain.header("etag")).await;
        assert_eq!(
            (known.status, known.body.len()),
            (StatusCode::NOT_MODIFIED, 0),
            "{path}"
        );
        let head = send(house.request(Method::HEAD, &path)).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0), "{path}");
        assert_eq!(head.header("content-length"), plain.body.len().to_string(), "{path}");
        let is_text = [".js", ".css", ".svg"].iter().any(|kind| path.ends_with(kind));
        for coding in ["br", "gzip"].iter().filter(|_| is_text) {
            let packed = with(&house, &path, "accept-encoding", coding).await;
            assert_eq!(packed.header("content-encoding"), *coding, "{path}");
            assert_eq!(packed.header("vary"), "accept-encoding", "{path}");
            assert_eq!(packed.header("content-type"), plain.header("content-type"), "{path}");
            assert_ne!(packed.header("etag"), plain.header("etag"), "{path}");
            assert!(packed.body.len() < plain.body.len() || plain.body.len() < 300, "{path}");
        }
        let bare = fetch(&house, &format!("{path}.br")).await;
        assert_eq!(
            bare.status,
            StatusCode::NOT_FOUND,
            "a compressed file is no file of its own"
        );
    }
}

/// More than any first page loads: all of the scripts that there are, but the player's.
#[tokio::test(flavor = "multi_thread")]
async fn all_scripts_but_the_players_are_small() {
    const MOST: usize = 120 * 1024;
    let house = House::open().await;
    let mut total = 0;
    for path in assets(&house).await {
        let of_player = ["hls", "chrome"]
            .iter()
            .any(|name| path.starts_with(&format!("/assets/{name}-")));
        if kind(&path) == "js" && !of_player {
            total += with(&house, &path, "accept-encoding", "gzip").await.body.len();
        }
    }
    assert!((1024..MOST).contains(&total), "{total} bytes");
    println!("all scripts but the player's: {total} bytes");
}

/// Nobody is given the address of what was uploaded, and with it there would be a page that may do nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_uploaded_page_is_no_page() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let text = b"<!doctype html><script>document.title='run'</script>".to_vec();
    let id = house.upload(&user, text).await;
    let key = house.kept(&id).await.upload.key;
    let bucket = house.context.objects.bucket();
    let unsigned = fetch(&house, &format!("/{bucket}/{key}")).await;
    assert_eq!(unsigned.status, StatusCode::FORBIDDEN);
    let signer = house.context.objects.signer(Some(&house.base));
    let hour = std::time::Duration::from_hours(1);
    let answer = toktik_objects::Answer::default();
    let address = signer.get(&key, answer, house.now(), hour).await.unwrap();
    let raw = fetch(&house, &address).await;
    assert_eq!(
        (raw.status, raw.header("x-content-type-options")),
        (StatusCode::OK, "nosniff")
    );
    assert_eq!(raw.header("content-security-policy"), "sandbox; default-src 'none'");
    assert_eq!(raw.header("content-type"), "video/mp4");
    house.drain().await;
    let refused = house.video(&id, Some(&user)).await;
    assert_eq!(refused["error"]["code"], "not_a_video", "{refused}");
    assert_eq!(fetch(&house, &address).await.status, StatusCode::NOT_FOUND);
}

/// The API takes the cookie for everything, and for changes only from pages of ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_changes_things_from_our_pages_alone() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let id = house.listed(&user, json!({})).await;
    let cookie = format!("toktik_access={}", user.token);
    let changes = [
        (
            Method::POST,
            "/api/v1/videos".to_owned(),
            json!({"title": "A", "filename": "a", "size": 1, "content_type": "video/mp4"}),
        ),
        (Method::PATCH, format!("/api/v1/videos/{id}"), json!({"title": "B"})),
        (Method::PUT, format!("/api/v1/videos/{id}/like"), Value::Null),
        (Method::POST, format!("/api/v1/videos/{id}/views"), Value::Null),
        (Method::PATCH, "/api/v1/me".to_owned(), json!({"bio": "x"})),
        (Method::DELETE, format!("/api/v1/videos/{id}"), Value::Null),
    ];
    for (method, path, body) in changes {
        let ask = |origin: &'static str| {
            let request = house.request(method.clone(), &path).header("cookie", &cookie);
            let request = if body.is_null() { request } else { request.json(&body) };
            send(request.header("sec-fetch-site", origin))
        };
        for origin in ["cross-site", "same-site"] {
            ask(origin).await.problem(403, "cross_site");
        }
        let status = ask("same-origin").await.status;
        assert!(status.is_success(), "{method} {path}: {status}");
    }
    let stream = house.request(Method::GET, "/api/v1/events").header("cookie", &cookie);
    assert_eq!(stream.send().await.unwrap().status(), StatusCode::OK);
}

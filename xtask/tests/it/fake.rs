//! A Toktik that is only its contract: the routes that one upload uses, storage included, answered from a script.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

/// What the server does.
#[derive(Clone)]
pub(crate) struct Script {
    /// The answer to `POST /videos`, where it is not 201.
    pub(crate) refusal: Option<(u16, Value)>,
    /// Parts of this size, or one PUT.
    pub(crate) part_size: Option<u64>,
    /// The first PUT of this part (1 for a plain PUT) breaks off half-way.
    pub(crate) broken_part: Option<u64>,
    /// Answers to `GET /videos/{id}`, one after the other; the last one stays.
    pub(crate) statuses: Vec<Value>,
    /// Each token is good for so many requests.
    pub(crate) token_lasts: usize,
}

/// What the server saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) user: Value,
    pub(crate) video: Value,
    pub(crate) logins: usize,
    /// Storage: parts by number.
    pub(crate) stored: BTreeMap<u64, Vec<u8>>,
    /// Every PUT's part, those that broke off included.
    pub(crate) puts: Vec<u64>,
    pub(crate) completed: bool,
    polls: usize,
    token_used: usize,
}

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

struct Request {
    route: String,
    headers: BTreeMap<String, String>,
    length: u64,
}

impl Default for Script {
    fn default() -> Self {
        let playlist = json!({ "playlist": "/api/v1/videos/v1/playlist.m3u8" });
        Self {
            refusal: None,
            part_size: None,
            broken_part: None,
            statuses: vec![
                json!({ "id": "v1", "status": "processing", "progress": 0.25, "urls": null, "error": null }),
                json!({ "id": "v1", "status": "ready", "progress": 1.0, "urls": playlist }),
            ],
            token_lasts: usize::MAX,
        }
    }
}

impl Server {
    pub(crate) fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (shared, own_url) = (Arc::clone(&seen), url.clone());
        // Ends with the test's process; nextest gives each test one of its own.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut seen = shared.lock().unwrap_or_else(PoisonError::into_inner);
                serve(&script, &own_url, &mut seen, stream.unwrap());
            }
        });
        Self { url, seen }
    }
}

fn serve(script: &Script, url: &str, seen: &mut Seen, stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    let Some(request) = read_head(&mut reader) else { return };
    let breaks_off = breaks_off(script, seen, &request);
    let wanted = if breaks_off { request.length / 2 } else { request.length };
    let mut body = Vec::new();
    reader.by_ref().take(wanted).read_to_end(&mut body).unwrap();
    if breaks_off {
        return;
    }
    let (status, answer) = answer(script, url, seen, &request, &body);
    let text = if answer.is_null() {
        String::new()
    } else {
        answer.to_string()
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    reader.get_mut().write_all((head + &text).as_bytes()).unwrap();
}

fn breaks_off(script: &Script, seen: &mut Seen, request: &Request) -> bool {
    let Some(part) = part_of(&request.route) else {
        return false;
    };
    seen.puts.push(part);
    script.broken_part == Some(part) && seen.puts.iter().filter(|&&sent| sent == part).count() == 1
}

fn part_of(route: &str) -> Option<u64> {
    route.strip_prefix("PUT /uploads/part/")?.parse().ok()
}

fn read_head(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let route = line.rsplit_once(' ')?.0.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    Some(Request { route, headers, length })
}

fn answer(script: &Script, url: &str, seen: &mut Seen, request: &Request, body: &[u8]) -> (u16, Value) {
    if let Some(part) = part_of(&request.route) {
        return store(seen, part, request, body);
    }
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    match request.route.as_str() {
        "POST /api/v1/auth/register" => {
            seen.user = json;
            (
                201,
                json!({ "user": { "id": "u1", "username": seen.user["username"] } }),
            )
        }
        "POST /api/v1/auth/login" => {
            assert_eq!(json["password"], seen.user["password"]);
            seen.logins += 1;
            seen.token_used = 0;
            (
                200,
                json!({ "access_token": format!("token{}", seen.logins), "token_type": "Bearer" }),
            )
        }
        _ if !is_signed_in(script, seen, request) => (401, json!({ "code": "unauthorized", "title": "No token" })),
        route => signed_in(script, url, seen, route, json),
    }
}

fn is_signed_in(script: &Script, seen: &mut Seen, request: &Request) -> bool {
    seen.token_used += 1;
    request.headers.get("authorization") == Some(&format!("Bearer token{}", seen.logins))
        && seen.token_used <= script.token_lasts
}

fn signed_in(script: &Script, url: &str, seen: &mut Seen, route: &str, json: Value) -> (u16, Value) {
    match route {
        "POST /api/v1/videos" => {
            seen.video = json;
            script.refusal.clone().unwrap_or_else(|| {
                (
                    201,
                    json!({ "video": { "id": "v1" }, "upload": plan(script, url, seen) }),
                )
            })
        }
        "POST /api/v1/videos/v1/upload/parts" => {
            let numbers = json["part_numbers"].as_array().unwrap();
            let sign =
                |n: &Value| json!({ "part_number": n, "url": format!("{url}/uploads/part/{n}"), "headers": signed() });
            (200, json!({ "parts": numbers.iter().map(sign).collect::<Vec<_>>() }))
        }
        "GET /api/v1/videos/v1/upload/parts" => {
            let part = |(n, bytes): (&u64, &Vec<u8>)| json!({ "part_number": n, "size": bytes.len() });
            (
                200,
                json!({ "parts": seen.stored.iter().map(part).collect::<Vec<_>>() }),
            )
        }
        "POST /api/v1/videos/v1/upload/complete" => {
            seen.completed = true;
            (202, Value::Null)
        }
        "GET /api/v1/videos/v1" => {
            let last = script.statuses.len() - 1;
            seen.polls += 1;
            (200, script.statuses[(seen.polls - 1).min(last)].clone())
        }
        other => panic!("{other} is not in the contract"),
    }
}

fn plan(script: &Script, url: &str, seen: &Seen) -> Value {
    match script.part_size {
        None => json!({ "kind": "put", "url": format!("{url}/uploads/part/1"), "headers": signed() }),
        Some(size) => {
            let count = seen.video["size"].as_u64().unwrap().div_ceil(size);
            json!({ "kind": "multipart", "part_size": size, "part_count": count })
        }
    }
}

fn signed() -> Value {
    json!({ "If-None-Match": "*", "Content-Type": "video/mp4" })
}

/// Storage takes only what was signed, and no credentials beside the signature.
fn store(seen: &mut Seen, part: u64, request: &Request, body: &[u8]) -> (u16, Value) {
    let header = |name: &str| request.headers.get(name).map(String::as_str);
    assert_eq!(header("if-none-match"), Some("*"));
    assert_eq!(header("content-type"), Some("video/mp4"));
    assert_eq!(
        header("transfer-encoding"),
        None,
        "a signed length is sent as Content-Length"
    );
    assert_eq!(header("authorization"), None);
    seen.stored.insert(part, body.to_vec());
    (200, Value::Null)
}

//! Asks for one thing over HTTP and keeps what the answer says about itself. Follows no redirect: whether there was one
//! is a question of the check.

use std::future::Future;
use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use url::Url;

/// Far above any playlist or segment; whoever sends more is not listened to any longer.
const LARGEST_SEGMENT: u64 = 128 << 20;
const LARGEST_PLAYLIST: u64 = 16 << 20;
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);
/// Browsers name the page that asks, and a server may allow others only then.
const ORIGIN: &str = "https://player.example";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Playlist,
    Init,
    Segment,
}

impl Kind {
    fn largest(self) -> u64 {
        match self {
            Self::Playlist => LARGEST_PLAYLIST,
            Self::Init | Self::Segment => LARGEST_SEGMENT,
        }
    }
}

/// Bytes of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// What was asked for, and what came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) kind: Kind,
    /// The path; the query may be a signature.
    pub(crate) place: String,
    pub(crate) range: Option<Range>,
    /// Or why nothing came.
    pub(crate) answer: Result<Answer, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) content_encoding: String,
    pub(crate) content_range: String,
    pub(crate) content_length: Option<u64>,
    pub(crate) allows_origin: bool,
    /// Bytes of the body as sent.
    pub(crate) received: u64,
    /// Why the body is not whole.
    pub(crate) cut: Option<String>,
}

/// Where presentations come from: the network, or a site made by a test.
pub(crate) trait Source {
    /// The body is unpacked, and empty where there is none.
    fn get(&self, url: &Url, kind: Kind, range: Option<Range>) -> impl Future<Output = (Exchange, Vec<u8>)> + Send;
}

pub(crate) struct Network {
    client: Client,
}

impl Network {
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .build()?;
        Ok(Self { client })
    }

    async fn ask(&self, url: &Url, kind: Kind, range: Option<Range>) -> Result<(Answer, Vec<u8>), reqwest::Error> {
        let mut request = self.client.get(url.clone()).header(header::ORIGIN, ORIGIN);
        if kind == Kind::Playlist {
            request = request.header(header::ACCEPT_ENCODING, "gzip");
        }
        if let Some(range) = range {
            request = request.header(header::RANGE, range.header());
        }
        let response = request.send().await.map_err(reqwest::Error::without_url)?;
        let mut answer = Answer::read(response.status().as_u16(), response.headers());
        let (body, cut) = read(response, kind.largest()).await;
        answer.received = body.len() as u64;
        answer.cut = cut;
        let body = if answer.content_encoding == "gzip" {
            answer.unpack(&body)
        } else {
            body
        };
        Ok((answer, body))
    }
}

impl Source for Network {
    async fn get(&self, url: &Url, kind: Kind, range: Option<Range>) -> (Exchange, Vec<u8>) {
        let (answer, body) = match self.ask(url, kind, range).await {
            Ok((answer, body)) => (Ok(answer), body),
            Err(error) => (Err(causes(&error)), Vec::new()),
        };
        let place = url.path().to_owned();
        let exchange = Exchange {
            kind,
            place,
            range,
            answer,
        };
        (exchange, body)
    }
}

impl Exchange {
    /// The body is only the range that was asked for.
    pub(crate) fn is_partial(&self) -> bool {
        matches!(&self.answer, Ok(answer) if answer.status == 206)
    }

    /// The body is what was asked for, at least by its status.
    pub(crate) fn succeeded(&self) -> bool {
        matches!(&self.answer, Ok(answer) if matches!(answer.status, 200 | 206))
    }
}

impl Answer {
    fn read(status: u16, headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().trim().to_ascii_lowercase()
        };
        Self {
            status,
            content_type: text(header::CONTENT_TYPE),
            content_encoding: text(header::CONTENT_ENCODING),
            content_range: text(header::CONTENT_RANGE),
            content_length: text(header::CONTENT_LENGTH).parse().ok(),
            allows_origin: headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN),
            received: 0,
            cut: None,
        }
    }

    fn unpack(&mut self, packed: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        let read = GzDecoder::new(packed).take(LARGEST_PLAYLIST).read_to_end(&mut body);
        if let Err(error) = read {
            self.cut = Some(format!("the body is not gzip: {error}"));
        }
        body
    }
}

impl Range {
    pub(crate) fn header(self) -> String {
        format!("bytes={}-{}", self.offset, self.last())
    }

    pub(crate) fn last(self) -> u64 {
        self.offset.saturating_add(self.length).saturating_sub(1)
    }
}

/// The body, and why it ended early.
async fn read(mut response: Response, largest: u64) -> (Vec<u8>, Option<String>) {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return (body, None),
            Err(error) => return (body, Some(causes(&error.without_url()))),
        }
        if body.len() as u64 > largest {
            return (body, Some(format!("it is larger than {largest} bytes")));
        }
    }
}

/// An error of the client says what failed; why is in what caused it.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

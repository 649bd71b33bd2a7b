//! Where an answer ends.

use anyhow::{Context as _, bail};

/// Whether this is an answer from its first to its last byte. An error for one that is no 200, or whose end cannot be told.
pub(crate) fn whole(bytes: &[u8]) -> anyhow::Result<bool> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(false);
    };
    let text = std::str::from_utf8(&bytes[..head]).context("an answer that is not HTTP")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        bail!("it answered {status}");
    }
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.context("an answer without a length")?;
    Ok(bytes.len() >= head + 4 + length)
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn an_answer_ends_with_its_body() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: 5\r\n\r\nhello";
        for end in 0..answer.len() {
            assert!(!whole(&answer[..end]).unwrap(), "{end}");
        }
        assert!(whole(answer).unwrap());
    }

    #[test]
    fn only_a_whole_200_is_one() {
        assert!(whole(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").is_err());
        assert!(whole(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}

//! What a server says went wrong, as a sentence for a person. RFC 9457, or whatever a proxy in between answers.

use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    code: Option<String>,
    errors: Vec<Field>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Field {
    field: String,
    message: String,
}

/// The most telling sentence in an answer: what is wrong with each field, else the detail, the title, the code, the status.
pub(crate) fn sentence(status: u16, body: &str) -> String {
    let problem: Problem = serde_json::from_str(body).unwrap_or_default();
    let fields: Vec<String> = problem.errors.iter().filter_map(Field::sentence).collect();
    if !fields.is_empty() {
        return fields.join("; ");
    }
    let said = [problem.detail, problem.title, problem.code]
        .into_iter()
        .flatten()
        .find(|text| !text.is_empty());
    said.unwrap_or_else(|| plain(status))
}

impl Field {
    fn sentence(&self) -> Option<String> {
        let is_sentence = self.message.starts_with(char::is_uppercase);
        let names_itself = is_sentence || self.field.is_empty() || self.message.contains(&self.field);
        match self.message.as_str() {
            "" => None,
            message if names_itself => Some(message.to_owned()),
            message => Some(format!("{}: {message}", self.field)),
        }
    }
}

fn plain(status: u16) -> String {
    match status {
        413 => "the file is too large".to_owned(),
        422 => "the server does not take such a file".to_owned(),
        _ => format!("the server answered {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn fields_say_more_than_the_title() {
        let body = r#"{"title":"Invalid","code":"invalid","errors":[
            {"field":"size","code":"empty","message":"the file is empty"},
            {"field":"title","code":"too_long","message":"at most 100 characters"},
            {"field":"tags","message":"tags are words"}]}"#;
        assert_eq!(
            sentence(422, body),
            "size: the file is empty; title: at most 100 characters; tags are words"
        );
    }

    #[test]
    fn detail_then_title_then_code() {
        assert_eq!(
            sentence(
                413,
                r#"{"title":"Too large","detail":"At most 1 GiB.","code":"too_large"}"#
            ),
            "At most 1 GiB."
        );
        assert_eq!(
            sentence(413, r#"{"title":"Too large","code":"too_large"}"#),
            "Too large"
        );
        assert_eq!(sentence(409, r#"{"code":"upload_incomplete"}"#), "upload_incomplete");
    }

    #[test]
    fn a_proxys_page_is_not_shown() {
        assert_eq!(
            sentence(413, "<html>413 Request Entity Too Large</html>"),
            "the file is too large"
        );
        assert_eq!(sentence(502, ""), "the server answered 502");
    }
}

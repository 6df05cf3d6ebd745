//! Topics of data: what is one, which pattern names it, and what a member follows.

use roundtable_protocol::ErrorCode;
use roundtable_protocol::grant::topic_matches;
use roundtable_protocol::limit::{MAX_TOPIC_BYTES, MAX_TOPIC_PATTERNS};

/// Why a topic or a pattern is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// It is none.
    #[error(
        "a topic has 1 to {MAX_TOPIC_BYTES} bytes: words without control characters, with a slash between; {0:?} is none"
    )]
    Topic(String),
    /// It is no pattern.
    #[error("a pattern is a topic with * for any one word, and ** at its end for all that follows; {0:?} is none")]
    Pattern(String),
    /// More than [`MAX_TOPIC_PATTERNS`].
    #[error("a member follows at most {MAX_TOPIC_PATTERNS} patterns")]
    TooMany,
}

impl TopicError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Topic(_) | Self::Pattern(_) => ErrorCode::BadTopic,
            Self::TooMany => ErrorCode::TooManyTopics,
        }
    }
}

/// Which topics a member follows, at most [`MAX_TOPIC_PATTERNS`] patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics(Vec<String>);

impl Default for Topics {
    /// All of them.
    fn default() -> Self {
        Self(vec![EVERYTHING.to_owned()])
    }
}

impl Topics {
    /// These topics after a change; what is taken out goes first.
    ///
    /// # Errors
    /// [`TopicError`]; nothing has changed then.
    pub fn changed(&self, unsubscribe: &[String], subscribe: Vec<String>) -> Result<Self, TopicError> {
        let mut patterns = self.0.clone();
        patterns.retain(|pattern| !unsubscribe.contains(pattern));
        for pattern in subscribe {
            if patterns.contains(&pattern) {
                continue;
            }
            if patterns.len() == MAX_TOPIC_PATTERNS {
                return Err(TopicError::TooMany);
            }
            check_pattern(&pattern)?;
            patterns.push(pattern);
        }
        Ok(Self(patterns))
    }

    /// Whether a topic is among them.
    #[must_use]
    pub fn follow(&self, topic: &str) -> bool {
        self.0.iter().any(|pattern| pattern == EVERYTHING || topic_matches(pattern, topic))
    }
}

/// Checks that data can be published to a topic.
///
/// # Errors
/// [`TopicError::Topic`].
pub fn check_topic(topic: &str) -> Result<(), TopicError> {
    let is_topic = is_shaped(topic) && !topic.contains('*');
    if is_topic { Ok(()) } else { Err(TopicError::Topic(shown(topic))) }
}

fn check_pattern(pattern: &str) -> Result<(), TopicError> {
    let mut words = pattern.split('/').rev();
    let last_fits = words.next().is_some_and(|word| word == "*" || word == "**" || !word.contains('*'));
    let is_pattern = is_shaped(pattern) && last_fits && words.all(|word| word == "*" || !word.contains('*'));
    if is_pattern { Ok(()) } else { Err(TopicError::Pattern(shown(pattern))) }
}

fn is_shaped(text: &str) -> bool {
    text.len() <= MAX_TOPIC_BYTES && !text.chars().any(char::is_control) && text.split('/').all(|word| !word.is_empty())
}

/// As much of what a client sent as is worth repeating.
fn shown(text: &str) -> String {
    text.chars().take(MAX_TOPIC_BYTES).collect()
}

/// The pattern of all topics.
const EVERYTHING: &str = "**";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_and_patterns_have_a_shape() {
        for topic in ["a", "a/b", "doc/Plan 1", "größe/é", &"x".repeat(128)] {
            assert_eq!(check_topic(topic), Ok(()), "{topic}");
            assert_eq!(check_pattern(topic), Ok(()), "{topic}");
        }
        for topic in ["", "/", "/a", "a/", "a//b", "a\nb", "a/*", "**", &"x".repeat(129)] {
            assert_eq!(check_topic(topic), Err(TopicError::Topic(shown(topic))), "{topic:?}");
        }
        for pattern in ["*", "**", "a/*", "*/b", "*/*/**"] {
            assert_eq!(check_pattern(pattern), Ok(()), "{pattern}");
        }
        for pattern in ["**/a", "a*", "a/**/b", "a/b*/c", "***", "a/", ""] {
            assert!(check_pattern(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn everything_is_followed_until_something_else_is_said() {
        let all = Topics::default();
        assert!(all.follow("board/1") && all.follow("cursor"));
        let some = all.changed(&["**".into()], vec!["board/*".into(), "chess".into()]).unwrap();
        assert!(some.follow("board/1") && some.follow("chess"));
        assert!(!some.follow("cursor") && !some.follow("board/1/ink"));
        let none = some.changed(&["board/*".into(), "chess".into(), "never".into()], Vec::new()).unwrap();
        assert!(!none.follow("chess"));
    }

    #[test]
    fn a_member_follows_so_many_patterns_and_no_more() {
        let none = Topics(Vec::new());
        let patterns: Vec<String> = (0..64).map(|n| format!("topic/{n}")).collect();
        let full = none.changed(&[], patterns.clone()).unwrap();
        assert_eq!(full.changed(&[], vec!["one/more".into()]), Err(TopicError::TooMany));
        assert_eq!(full.changed(&[], patterns).as_ref(), Ok(&full), "what is followed already costs nothing");
        assert!(full.changed(&["topic/1".into()], vec!["one/more".into()]).is_ok());
        assert_eq!(full.changed(&["topic/1".into()], vec!["a*".into()]), Err(TopicError::Pattern("a*".into())));
    }
}

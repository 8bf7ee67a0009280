//! What the user of a process must be allowed by brokers that ask, and allowing it.

use super::asking::metadata;
use super::native;
use super::settings::{KafkaOptions, PATIENCE};
use super::topics::TopicsError;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Topic,
    Group,
    TransactionalId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Literal,
    Prefixed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    Write,
    Describe,
    DescribeConfigs,
}

/// One thing that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    pub(super) operation: Operation,
    pub(super) resource: Resource,
    pub(super) pattern: Pattern,
    pub(super) name: String,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = match self.resource {
            Resource::Topic => "topics",
            Resource::Group => "groups",
            Resource::TransactionalId => "transactional ids",
        };
        let pattern = match self.pattern {
            Pattern::Literal => "by the name",
            Pattern::Prefixed => "that begin with",
        };
        write!(f, "{:?} on {resource} {pattern} {}", self.operation, self.name)
    }
}

/// All that a process, an audit and `topics verify` do. Making topics is somebody else's right.
pub fn rights(options: &KafkaOptions) -> Vec<Right> {
    let right =
        |operation, resource, pattern, name: String| Right { operation, resource, pattern, name };
    let topics = format!("{}.", options.topic_prefix);
    let ids = options.transactional_id("");
    let mut rights = vec![];
    use Operation::{Describe, DescribeConfigs, Read, Write};
    for operation in [Read, Write, Describe, DescribeConfigs] {
        rights.push(right(operation, Resource::Topic, Pattern::Prefixed, topics.clone()));
    }
    for operation in [Write, Describe] {
        rights.push(right(operation, Resource::TransactionalId, Pattern::Prefixed, ids.clone()));
    }
    for group in [options.group.clone(), options.reading_group()] {
        rights.push(right(Read, Resource::Group, Pattern::Literal, group));
    }
    rights
}

/// Allows `principal`, such as `User:tidegate`, all of it.
pub async fn allow(options: &KafkaOptions, principal: &str) -> Result<Vec<Right>, TopicsError> {
    let (asked, principal) = (options.clone(), principal.to_owned());
    let allowing = tokio::task::spawn_blocking(move || {
        metadata(&asked)?;
        let (admin, rights) = (asked.admin()?, rights(&asked));
        let made = native::create_acls(admin.inner(), &principal, &rights, PATIENCE);
        made.map(|()| rights).map_err(|why| TopicsError::NotAllowed { principal, why })
    });
    allowing.await.map_err(|_| super::topics::gone())?
}

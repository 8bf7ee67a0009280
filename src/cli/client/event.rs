//! Events as 0Gate would send them, and the stories that they tell.

use crate::cli::{Failure, kept};
use serde_json::{Value, json};

/// A customer's story, as the webhooks that it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Story {
    /// Created, processing, completed: fulfilled.
    Completed,
    /// The payment is declined.
    Failed,
    /// The customer never came.
    Expired,
    /// The customer went away.
    Cancelled,
    /// Failed, then completed after all: a person must look.
    LateCompletion,
    /// The same completion, delivered three times: fulfilled once.
    Duplicate,
    /// The completion comes first: fulfilled.
    OutOfOrder,
    /// Two completions with two transactions: fulfilled once, and an alarm.
    SecondPayment,
    /// The completion says another amount: a person must look.
    WrongAmount,
    /// Many attempts at once, with duplicates and reordering.
    Storm,
    /// 0Gate's own test event: proves plumbing, touches nothing.
    Test,
}

/// What is the same in all events of one session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) reference: Option<String>,
    pub(super) amount: String,
    pub(super) currency: String,
    pub(super) flow: String,
    /// When it began, in seconds.
    pub(super) at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) body: String,
}

impl Session {
    /// One event. Ids are made of the session's, so that a story told twice is the same story.
    pub(super) fn event(&self, name: &str, mark: &str, more: &Value) -> Event {
        let id = format!("evt_{}_{mark}", self.id);
        self.event_with_id(name, &id, more)
    }

    pub(super) fn event_with_id(&self, name: &str, id: &str, more: &Value) -> Event {
        let status = name.strip_prefix("gate_session.");
        let mut data = json!({
            "id": self.id,
            "object": "gate_session",
            "mode": "test",
            "status": status,
            "flow": self.flow,
            "amount": self.amount,
            "currency": self.currency,
        });
        if let (Some(fields), Some(reference)) = (data.as_object_mut(), &self.reference) {
            fields.insert("user_reference".to_owned(), json!(reference));
        }
        if name == "gate_session.completed" {
            data["tx_refid"] = json!(format!("tx_{}", self.id));
        }
        if name == "webhook.test" {
            data = json!({ "livemode": false });
        }
        if let (Some(fields), Some(more)) = (data.as_object_mut(), more.as_object()) {
            fields.extend(more.clone());
        }
        let body = json!({ "id": id, "type": name, "created_at": self.at, "data": data });
        Event { id: id.to_owned(), name: name.to_owned(), body: body.to_string() }
    }

    /// The deliveries of a story, in the order in which they come in.
    pub(super) fn tell(&self, story: Story) -> Vec<Event> {
        let none = Value::Null;
        let plain = |name: &str| self.event(&format!("gate_session.{name}"), name, &none);
        let [created, processing, completed] = ["created", "processing", "completed"].map(plain);
        let failed = || {
            let why = json!({ "failure_reason": "card_declined" });
            self.event("gate_session.failed", "failed", &why)
        };
        match story {
            Story::Completed | Story::Storm => vec![created, processing, completed],
            Story::Failed => vec![created, processing, failed()],
            Story::Expired => vec![created, plain("expired")],
            Story::Cancelled => vec![created, plain("cancelled")],
            Story::LateCompletion => vec![created, failed(), completed],
            Story::Duplicate => vec![created, completed.clone(), completed.clone(), completed],
            Story::OutOfOrder => vec![completed, processing, created],
            Story::SecondPayment => {
                let another = json!({ "tx_refid": format!("tx_{}_second", self.id) });
                let second = self.event("gate_session.completed", "completed_again", &another);
                vec![created, completed, second]
            }
            Story::WrongAmount => {
                let other = json!({ "amount": "0.01" });
                let wrong = self.event("gate_session.completed", "completed", &other);
                vec![created, wrong]
            }
            Story::Test => vec![self.event("webhook.test", "test", &none)],
        }
    }
}

/// A session id that nobody else has.
pub(super) fn fresh_session() -> Result<String, Failure> {
    Ok(format!("gs_test_{}", kept::random_hex(8)?))
}

//! One client's conversation.
use crate::{Answer, Service};
/// Where the answer of a [`Command::later`](crate::Command::later) goes.
#[derive(Debug)]
pub struct Responder {}
impl Responder {
    /// Answers.
    pub fn answer(self, _answer: Answer) {}
}
/// One client's conversation: bytes in, bytes out.
#[derive(Debug)]
pub struct Session {}
impl Session {
    /// A fresh connection.
    pub fn new(_service: Service) -> Self {
        Self {}
    }
}

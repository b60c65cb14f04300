//! The README's table of events.

use std::fmt::Write as _;

use anyhow::Context as _;

use super::{Facts, facts::Event};

const BEGIN: &str = "<!-- events: made by `cargo xtask codegen` -->\n";
const END: &str = "<!-- end of events -->";

/// The README with its table as the facts have it.
pub(crate) fn with_table(readme: &str, facts: &Facts) -> anyhow::Result<String> {
    let (before, rest) = readme.split_once(BEGIN).context("the README has no place for the table of events")?;
    let (_, after) = rest.split_once(END).context("the README's table of events has no end")?;
    Ok(format!("{before}{BEGIN}{}{END}{after}", table(facts)))
}

fn table(facts: &Facts) -> String {
    let mut events: Vec<&Event> = facts.events.iter().collect();
    events.sort_unstable_by_key(|event| &event.name);
    let mut out = String::from(
        "| event | since | data (`?`: may be absent) | at most one a second |\n| --- | --- | --- | --- |\n",
    );
    for event in events {
        let mut since = event.since.clone();
        if let Some(until) = &event.until {
            write!(since, ", until {until}").unwrap_or_default();
        }
        if event.unstable {
            since.push_str(", unstable");
        }
        let data: Vec<String> = event
            .members
            .iter()
            .map(|member| {
                let may_lack = member.optional || facts.is_new(&member.age);
                format!("{}{}", member.name, if may_lack { "?" } else { "" })
            })
            .collect();
        let limit = event.rate_limit.as_ref().map_or_else(String::new, |limit| match (&limit.per, &limit.since) {
            (Some(per), Some(since)) => format!("for each {per}, since {since}"),
            (Some(per), None) => format!("for each {per}"),
            (None, _) => "yes".to_owned(),
        });
        writeln!(out, "| `{}` | {since} | {} | {limit} |", event.name, data.join(", ")).unwrap_or_default();
    }
    out
}

//! `/metrics`: what Prometheus reads. No label names a client or a session.

use std::{
    collections::BTreeMap,
    fmt::{self, Error},
};

use axum::{
    extract::State,
    http::{HeaderMap, header::ACCEPT, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric as _, NoLabelSet, prometheus_text, text,
    },
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use spice_relay::spice_events::spice_link::ChannelType;
use spice_sessions::Reason;

use super::{
    Content, LimitCounts,
    answer::{Shared, json, read},
    process::Process,
};
use crate::outputs::{Durations, Snapshot, VmTotals};

/// The media type of OpenMetrics, as Prometheus asks for it.
const OPEN_METRICS: &str = "application/openmetrics-text";

/// The version of OpenMetrics that is written.
const OPEN_METRICS_1: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn serve(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let accepted = headers.get(ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    let wants_open_metrics = accepted.contains(OPEN_METRICS);
    let written = read(&shared, move |content| Ok(write(Scrape::new(content), wants_open_metrics))).await;
    let kind = if wants_open_metrics { OPEN_METRICS_1 } else { prometheus_text::CONTENT_TYPE };
    match written {
        Ok(text) => ([(CONTENT_TYPE, kind)], text).into_response(),
        Err(failure) => json(Err(failure)),
    }
}

fn write(scrape: Scrape, is_open_metrics: bool) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ =
        if is_open_metrics { text::encode(&mut out, &registry) } else { prometheus_text::encode(&mut out, &registry) };
    out
}

/// Everything at the time of one request.
#[derive(Debug)]
struct Scrape {
    seen: Snapshot,
    limits: Option<LimitCounts>,
    /// For each VM, in seconds since 1970.
    certificates: Vec<(String, i64)>,
    process: Process,
}

impl Scrape {
    fn new(content: &Content) -> Self {
        Self {
            seen: content.hub.snapshot(),
            limits: content.limits.as_ref().map(|limits| limits()),
            certificates: content.certificates.not_after(),
            process: Process::read(),
        }
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut out = Out(encoder);
        self.sessions(&mut out)?;
        self.connections(&mut out)?;
        self.ends(&mut out)?;
        self.bytes(&mut out)?;
        out.histogram(
            "spicewatch_link_duration_seconds",
            "Time from accept to the end of a link stage that succeeded",
            &self.seen.links,
        )?;
        out.histogram("spicewatch_session_duration_seconds", "How long ended sessions were", &self.seen.sessions)?;
        self.sinks(&mut out)?;
        self.certificates(&mut out)?;
        self.limits(&mut out)?;
        self.process(&mut out)
    }
}

impl Scrape {
    fn sessions(&self, out: &mut Out<'_>) -> fmt::Result {
        let version = env!("CARGO_PKG_VERSION");
        let build = [("version", version), ("source", self.seen.source)];
        out.gauges("spicewatch_build_info", "The program's version and command; the value is 1", [(build, 1_u64)])?;
        let live = self.seen.open.iter().map(|vm| ([("vm", &*vm.vm)], vm.sessions));
        out.gauges("spicewatch_sessions", "Live sessions", live)?;
        let started = self.totals().map(|(vm, totals)| ([("vm", vm)], totals.started));
        out.counters("spicewatch_sessions_started", "Sessions that began", started)
    }

    fn connections(&self, out: &mut Out<'_>) -> fmt::Result {
        let connections = self.seen.open.iter().flat_map(|vm| {
            [("linking", vm.linking), ("linked", vm.linked)]
                .map(|(state, count)| ([("vm", &*vm.vm), ("state", state)], count))
        });
        out.gauges(
            "spicewatch_connections",
            "Open connections: linking until their link stage is over, then linked",
            connections,
        )?;
        let channels = self.seen.open.iter().flat_map(|vm| {
            let mut named = BTreeMap::<_, usize>::new();
            for (kind, count) in &vm.channels {
                *named.entry(ChannelType(*kind).name().unwrap_or("other")).or_default() += count;
            }
            named.into_iter().map(|(name, count)| ([("vm", &*vm.vm), ("type", name)], count))
        });
        out.gauges("spicewatch_channels", "Open channels, by their type", channels)
    }

    fn ends(&self, out: &mut Out<'_>) -> fmt::Result {
        let by_reason = |of: fn(&VmTotals) -> &BTreeMap<Reason, u64>| {
            self.totals().flat_map(move |(vm, totals)| {
                of(totals).iter().map(move |(reason, count)| ([("vm", vm), ("reason", reason.name())], *count))
            })
        };
        out.counters("spicewatch_sessions_ended", "Sessions that ended, by why", by_reason(|vm| &vm.ended))?;
        out.counters(
            "spicewatch_links_refused",
            "Connections that did not become a channel, by why; without retries with TLS and health checks",
            by_reason(|vm| &vm.refused),
        )?;
        out.counter(
            "spicewatch_health_checks",
            "Connections that ended before the client sent a byte",
            self.seen.health_checks,
        )
    }

    fn bytes(&self, out: &mut Out<'_>) -> fmt::Result {
        let bytes = self.totals().flat_map(|(vm, totals)| {
            [("to_server", totals.to_server), ("to_client", totals.to_client)]
                .map(|(direction, bytes)| ([("vm", vm), ("direction", direction)], bytes))
        });
        out.counters("spicewatch_bytes", "Bytes of all connections, by direction", bytes)
    }

    fn sinks(&self, out: &mut Out<'_>) -> fmt::Result {
        let sinks = &self.seen.sinks;
        let pending = sinks.iter().map(|sink| ([("sink", sink.name)], sink.pending));
        out.gauges("spicewatch_sink_pending", "Session records that wait for an output", pending)?;
        let lost = sinks.iter().map(|sink| ([("sink", sink.name)], sink.lost));
        out.counters("spicewatch_sink_lost", "Session records that an output could not take", lost)
    }

    fn certificates(&self, out: &mut Out<'_>) -> fmt::Result {
        let ends = self.certificates.iter().map(|(vm, end)| ([("vm", vm.as_str())], *end));
        out.gauges(
            "spicewatch_certificate_expiry_timestamp_seconds",
            "Until when the certificate that clients are shown is valid, in seconds since 1970",
            ends,
        )
    }

    fn limits(&self, out: &mut Out<'_>) -> fmt::Result {
        let Some(limits) = self.limits else { return Ok(()) };
        out.gauge("spicewatch_connections_max", "Maximum concurrent connections", limits.max_connections)?;
        out.gauge("spicewatch_connections_open", "Open connections that the limit counts", limits.connections)?;
        out.counter(
            "spicewatch_connections_over_limit",
            "Connections that were closed at once, because there were too many",
            limits.refused as u64,
        )?;
        out.counter("spicewatch_log_lines_lost", "Lines of the log that were lost", limits.log_lines_lost)
    }

    /// The names and meanings are those of Prometheus's own clients.
    fn process(&self, out: &mut Out<'_>) -> fmt::Result {
        let process = &self.process;
        if let Some(seconds) = process.cpu_seconds {
            out.counter("process_cpu_seconds", "User and system time of the process, in seconds", seconds)?;
        }
        for (name, help, value) in [
            ("process_open_fds", "Open file descriptors", process.open_fds),
            ("process_max_fds", "Maximum number of open file descriptors", process.max_fds),
            ("process_virtual_memory_bytes", "Virtual memory, in bytes", process.virtual_memory),
            ("process_resident_memory_bytes", "Resident memory, in bytes", process.resident_memory),
            ("process_threads", "Threads of the process", process.threads),
        ] {
            if let Some(value) = value {
                out.gauge(name, help, value)?;
            }
        }
        if let Some(start) = process.start {
            out.gauge("process_start_time_seconds", "When the process began, in seconds since 1970", start)?;
        }
        Ok(())
    }

    fn totals(&self) -> impl Iterator<Item = (&str, &VmTotals)> {
        self.seen.vms.iter().map(|(vm, totals)| (&**vm, totals))
    }
}

/// Writes metrics, with their names and what they mean.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn gauges<'v, const N: usize, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'v str); N], V)>,
    ) -> fmt::Result {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counters<'v, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'v str); N], u64)>,
    ) -> fmt::Result {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        let gauge = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(gauge)
    }

    fn counter(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> fmt::Result {
        let counter = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(counter)
    }

    fn histogram<const N: usize>(&mut self, name: &str, help: &str, durations: &Durations<N>) -> fmt::Result {
        let Durations { bounds, counts, above, sum } = durations;
        let mut buckets: Vec<_> = bounds.iter().copied().zip(counts.iter().copied()).collect();
        buckets.push((f64::MAX, *above));
        let all = counts.iter().sum::<u64>() + above;
        let mut histogram = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        histogram.encode_histogram::<NoLabelSet>(*sum, all, &buckets, None)
    }
}

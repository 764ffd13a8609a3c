//! What is asked of a publisher's admission, as it is typed.

use proto::wire::Name;

use super::{AdmissionFlags, Receive, UsageError};
use crate::admission::{Admission, check_pattern};
use crate::config::{AdmissionConfig, Config, StreamWanted};
use crate::endpoint;
use crate::output::OutputSpec;

impl AdmissionFlags {
    /// Where it is, and what is shown there.
    fn into_admission(self) -> Result<Admission, UsageError> {
        if self.identity.is_none() && self.admission_token_file.is_none() {
            return Err(UsageError::NothingToShow);
        }
        let address = self.admission.unwrap_or_default();
        let publisher = self.publisher.unwrap_or_default();
        let mut admission = Admission::at(address, &publisher).map_err(UsageError::Admission)?;
        if let Some(file) = &self.identity {
            admission = admission.identity(file).map_err(UsageError::Admission)?;
        }
        if let Some(file) = &self.admission_token_file {
            admission = admission.token_file(file).map_err(UsageError::Admission)?;
        }
        Ok(admission)
    }
}

impl Receive {
    /// What these flags mean with `--admission`.
    pub(super) fn into_admission(self) -> Result<Config, UsageError> {
        let names = self.stream.streams.clone();
        let (pattern, outputs) = outputs(self.outputs)?;
        let given = [
            (outputs.len(), "outputs"),
            (self.endpoints.len(), "endpoints"),
            (self.on_full.len(), "policies of --on-full"),
            (self.fallbacks.len(), "fallbacks"),
        ];
        if let Some((count, what)) = given.into_iter().find(|(count, _)| *count > names.len()) {
            let what = format!("{count} {what}");
            return Err(UsageError::NotOfStreams { what, streams: names.len() });
        }
        if names.is_empty() && pattern.is_none() {
            return Err(UsageError::NoPattern);
        }
        let mut streams = wanted(names, outputs, pattern.as_deref())?;
        for (wanted, on_full) in streams.iter_mut().zip(self.on_full) {
            wanted.on_full = Some(on_full);
        }
        for (wanted, text) in streams.iter_mut().zip(&self.endpoints) {
            let (endpoint, interface) = endpoint::parse(text)?;
            (wanted.endpoint, wanted.interface) = (Some(endpoint), interface);
        }
        for (wanted, text) in streams.iter_mut().zip(&self.fallbacks) {
            wanted.fallback = Some(endpoint::parse_fallback(text)?);
        }
        let admission = self.admission.into_admission()?;
        let mut defaults = self.stream.into_defaults(streams.len().max(1))?;
        defaults.stream = None;
        let config = self.program.config(defaults)?;
        check(&streams, config.json)?;
        let admission = Some(AdmissionConfig { admission, streams, pattern });
        Ok(Config { admission, ..config })
    }
}

/// The output with `{stream}` in it, if there is one, and the others.
fn outputs(given: Vec<OutputSpec>) -> Result<(Option<String>, Vec<OutputSpec>), UsageError> {
    let (patterns, others): (Vec<_>, Vec<_>) =
        given.into_iter().partition(|output| check_pattern(&output.to_string()));
    let mut patterns = patterns.into_iter().map(|pattern| pattern.to_string());
    let pattern = patterns.next();
    match patterns.next() {
        Some(another) => Err(UsageError::Pattern(another)),
        None => Ok((pattern, others)),
    }
}

/// Each stream with its output: its own, or that of the pattern, or stdout.
fn wanted(
    names: Vec<Name>,
    outputs: Vec<OutputSpec>,
    pattern: Option<&str>,
) -> Result<Vec<StreamWanted>, UsageError> {
    let mut outputs = outputs.into_iter();
    let wanted = names.into_iter().map(|name| {
        let output = match (outputs.next(), pattern) {
            (Some(output), _) => output,
            (None, Some(pattern)) => {
                crate::admission::of_pattern(pattern, &name).map_err(|error| {
                    UsageError::Admission(anyhow::anyhow!("stream {name}: {error}"))
                })?
            }
            (None, None) => OutputSpec::Stdout,
        };
        let nothing = (None, None, None, None);
        let (endpoint, fallback, interface, on_full) = nothing;
        Ok(StreamWanted { name, output, endpoint, fallback, interface, on_full })
    });
    wanted.collect()
}

fn check(streams: &[StreamWanted], is_json: bool) -> Result<(), UsageError> {
    for (place, this) in streams.iter().enumerate() {
        let before = streams.get(..place).unwrap_or_default();
        let is_shared = before.iter().any(|other| other.output == this.output);
        if is_shared && !this.output.is_nowhere() {
            return Err(UsageError::SharedOutput(this.output.spoken()));
        }
        if before.iter().any(|other| other.name == this.name) {
            return Err(UsageError::Twice(this.name.to_string()));
        }
        if is_json && this.output == OutputSpec::Stdout {
            return Err(UsageError::JsonAndPayload);
        }
    }
    Ok(())
}

//! The contract's `metrics`: the plugin's own, beside the gateway's.

use wasmtime::Result;

use super::bindings::tollgate::plugin::metrics;
use super::state::State;

fn bytes(name: &str, labels: &[(String, String)]) -> usize {
    let labels = labels.iter().map(|(name, value)| name.len() + value.len());
    name.len() + labels.sum::<usize>()
}

impl metrics::Host for State {
    fn counter_add(
        &mut self,
        name: String,
        labels: Vec<(String, String)>,
        value: u64,
    ) -> Result<()> {
        self.only_in_calls("metrics.counter-add")?;
        self.works(bytes(&name, &labels))?;
        let plugin = &self.identity.plugin;
        self.grants
            .metrics
            .counter_add(plugin, &name, &labels, value);
        Ok(())
    }

    fn histogram_record(
        &mut self,
        name: String,
        labels: Vec<(String, String)>,
        value: f64,
    ) -> Result<()> {
        self.only_in_calls("metrics.histogram-record")?;
        self.works(bytes(&name, &labels))?;
        let plugin = &self.identity.plugin;
        self.grants
            .metrics
            .histogram_record(plugin, &name, &labels, value);
        Ok(())
    }
}

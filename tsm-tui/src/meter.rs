//! What was measured lately, and how that looks in a line of text.

use std::collections::VecDeque;

/// How many measurements are kept of each process.
pub(crate) const KEPT: usize = 40;

/// CPU and memory of a process, or of the machine, as they were measured lately; the last one last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meter {
    cpu: VecDeque<f32>,
    memory: VecDeque<f32>,
}

impl Meter {
    /// Adds a measurement: CPU in percent, memory in bytes.
    pub fn push(&mut self, cpu: f64, memory: u64) {
        for (kept, value) in [
            (&mut self.cpu, cpu as f32),
            (&mut self.memory, memory as f32),
        ] {
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(value);
        }
    }

    /// Forgets what was measured: another run, other numbers.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// CPU so many columns wide. Full height is the most that there was, but at least `full` percent, so that a process
    /// that does next to nothing looks like it.
    pub fn cpu(&self, columns: usize, full: f32) -> String {
        let most = self.cpu.iter().copied().fold(full, f32::max);
        bars(&self.cpu, columns, most)
    }

    /// Memory so many columns wide. The most that there was is half the height, so that what stays as it is does not stand
    /// out.
    pub fn memory(&self, columns: usize) -> String {
        let most = self.memory.iter().copied().fold(1.0, f32::max);
        bars(&self.memory, columns, most * 2.0)
    }
}

/// The last values as bars, the newest at the right.
fn bars(values: &VecDeque<f32>, columns: usize, most: f32) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let skipped = values.len().saturating_sub(columns);
    let mut text = " ".repeat(columns.saturating_sub(values.len()));
    for value in values.iter().skip(skipped) {
        let share = value / most.max(f32::EPSILON);
        let bar = (share * BARS.len() as f32) as usize;
        text.push(BARS[bar.min(BARS.len() - 1)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stands_at_the_right_and_the_oldest_goes() {
        let mut meter = Meter::default();
        assert_eq!(meter.cpu(4, 100.0), "    ");
        for cpu in [0.0, 50.0, 100.0] {
            meter.push(cpu, 1 << 20);
        }
        assert_eq!(meter.cpu(4, 100.0), " ▁▅█");
        assert_eq!(meter.cpu(2, 100.0), "▅█");
        assert_eq!(meter.memory(3), "▅▅▅");
        for _ in 0..2 * KEPT {
            meter.push(200.0, 0);
        }
        assert_eq!(
            meter.cpu(KEPT + 1, 100.0).trim_start().chars().count(),
            KEPT
        );
        meter.clear();
        assert_eq!(meter.memory(1), " ");
    }
}

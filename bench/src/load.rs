//! How much processor time other programs take while a row is measured, which
//! is the usual reason why two runs disagree.

use std::fs::read_to_string;

use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{SysconfVar, sysconf};

use crate::common::Result;

/// Processor time in seconds, summed over the measurements of a row.
#[derive(Default)]
pub struct Load {
    others: f64,
    available: f64,
}

/// Processor time since the machine started.
#[derive(Clone, Copy)]
struct Clocks {
    /// Of this program and the processes that it has waited for.
    own: f64,
    /// Of all programs and, in a virtual machine, what the host took away.
    busy: f64,
    idle: f64,
}

impl Load {
    /// Adds up what other programs take while `work` runs.
    pub fn during<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = Clocks::read()?;
        let done = work()?;
        let after = Clocks::read()?;
        let busy = after.busy - before.busy;
        self.others += (busy - (after.own - before.own)).max(0.0);
        self.available += busy + after.idle - before.idle;
        Ok(done)
    }

    /// A remark for the row if other programs took enough to matter.
    pub fn remark(&self) -> Option<String> {
        let share = self.others / self.available;
        (share >= 0.05).then(|| {
            format!(
                "The machine was not quiet: other programs took {:.0} % of its processors.",
                100.0 * share
            )
        })
    }
}

impl Clocks {
    fn read() -> Result<Self> {
        let mut own = 0.0;
        for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
            let usage = getrusage(who)?;
            for time in [usage.user_time(), usage.system_time()] {
                own += time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
            }
        }
        let ticks = sysconf(SysconfVar::CLK_TCK)?.ok_or("no clock tick")? as f64;
        let stat = read_to_string("/proc/stat")?;
        let all = stat.lines().next().ok_or("/proc/stat is empty")?;
        // In proc(5)'s order: user, nice, system, idle, iowait, irq, softirq,
        // steal. What follows is already part of user and nice.
        let fields = all.split_whitespace().skip(1).take(8);
        let fields: Vec<f64> = fields
            .map(|field| Ok(field.parse::<f64>()? / ticks))
            .collect::<Result<_>>()?;
        let idle: f64 = fields.iter().skip(3).take(2).sum();
        let busy = fields.iter().sum::<f64>() - idle;
        Ok(Self { own, busy, idle })
    }
}

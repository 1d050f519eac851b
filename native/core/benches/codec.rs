//! Times the hot functions: `cargo bench -p liminal-core`, or `cargo bench -p liminal-core -- scan` for some of them.

mod workloads;

use std::time::Duration;

use criterion::{Criterion, Throughput};

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = criterion.benchmark_group("liminal-core");
    for mut workload in workloads::all() {
        group.throughput(Throughput::Elements(workload.operations.into()));
        group.bench_function(workload.name, |bencher| bencher.iter(|| workload.run()));
    }
    group.finish();
    criterion.final_summary();
}

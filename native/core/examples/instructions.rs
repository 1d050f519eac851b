//! Runs one workload so many times and nothing else, for callgrind to count: `instructions <name> <times>`. Without arguments it lists the
//! workloads, and how many operations one run of each handles. `bench/codec/instructions.ts` drives it.

#[path = "../benches/workloads/mod.rs"]
mod workloads;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            for workload in workloads::all() {
                println!("{} {}", workload.name, workload.operations);
            }
            ExitCode::SUCCESS
        }
        [name, times] => run(name, times),
        _ => refuse("instructions takes a workload's name and a number of times, or nothing"),
    }
}

fn run(name: &str, times: &str) -> ExitCode {
    let Ok(times) = times.parse::<u32>() else { return refuse(&format!("{times} is not a number of times")) };
    let Some(mut workload) = workloads::all().into_iter().find(|workload| workload.name == name) else {
        return refuse(&format!("there is no workload {name}; without arguments they are listed"));
    };
    let mut sum = 0_usize;
    for _ in 0..times {
        sum = sum.wrapping_add(workload.run());
    }
    println!("{sum}");
    ExitCode::SUCCESS
}

fn refuse(reason: &str) -> ExitCode {
    eprintln!("{reason}");
    ExitCode::FAILURE
}

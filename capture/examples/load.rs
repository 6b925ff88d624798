use afterimage_capture_abi::{config::Config, spec::*};
fn main() {
    let btf = afterimage_capture_lib();
    let _ = btf;
}
fn afterimage_capture_lib() {
    let btf = afterimage_capture::btf::Btf::of_kernel().unwrap();
    let config = Config {
        own_tgid: std::process::id(),
        payload_file: 256,
        payload_stream: 1024,
        v1_subsys: u32::MAX,
        argv_bytes: 4096,
        kernel_paths: 1,
        default_policy: 0x107,
        exit_tells_group: u32::from(btf.tracepoint_arguments("sched_process_exit") == Some(2)),
        v1_hierarchy: u32::MAX,
        root_cgroup: 1,
    };
    let mut specs =
        vec![
            CallSpec { nargs: 6, handler: 0, a: 255, b: 255, c: 255, d: 255, profiles: 7, special: 0 };
            1024
        ];
    specs[257] = CallSpec { nargs: 4, handler: 1, a: 1, b: 255, c: 1, d: 0, profiles: 7, special: 0 };
    let o = afterimage_capture::programs::LoadOptions {
        config,
        data_ring: 1 << 24,
        control_ring: 1 << 22,
        specs,
    };
    let mut p = match afterimage_capture::programs::Programs::load(&btf, &o) {
        Ok(p) => p,
        Err(e) => {
            eprintln!("{e}");
            let mut s: Option<&dyn std::error::Error> = std::error::Error::source(&e);
            while let Some(x) = s {
                let t = x.to_string();
                let n = t.len();
                eprintln!(
                    "caused by {}",
                    if n > 6000 { format!("{} .... {}", &t[..1500], &t[n - 4500..]) } else { t }
                );
                s = x.source();
            }
            std::process::exit(1)
        }
    };
    println!("degraded {:?}", p.degraded);
    p.attach().unwrap();
    let mut d = p.take_ring("DATA").unwrap();
    let mut c = p.take_ring("CONTROL").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let mut n = 0;
    while let Some(r) = d.next() {
        n += 1;
        if n < 5 {
            println!("{} {:x?}", r.len(), &r[..]);
        }
    }
    let mut m = 0;
    while let Some(r) = c.next() {
        m += 1;
        if m < 4 {
            println!("{} {}", r.len(), String::from_utf8_lossy(&r[..]));
        }
    }
    println!("{n} {m} {:?}", p.counters().unwrap());
}

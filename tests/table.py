"""The tests and the machines they run on. tests/run.py runs them.

Host unit tests (tests/host/test_*.c), fuzzers, proofs and tiny guests (tests/guest/*.c) are found by their files;
here is what differs from the rule, and the whole-machine runs, whose steps are in tests/boot/*.py.
"""

import os
import re

# Fuzzers (tests/fuzz/fuzz_*.c, found by their files) run their corpus, and search this long when it is not 0.
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS") or 0)

# Caisson's statuses for a VM whose guest gave none.
RESET, TRIPLE_FAULT = 120, 121

# Tiny guests that end with another status than 0; on QEMU's own PC a reset or triple fault ends QEMU with 0.
GUEST_STATUS = {
    "debug-exit": 42,
    "reset-cf9": RESET,
    "reset-kbc": RESET,
    "triple-fault": TRIPLE_FAULT,
}
RESETTING = ("reset-cf9", "reset-kbc", "triple-fault")

GUEST_MEMORY = "16M"
# Of those that use more than one.
GUEST_VCPUS = {"ap-start": 4, "code-changes": 2, "init-races": 3, "init-sipi": 4, "ipi-64": 64, "ipi-destinations": 4,
               "ipi-lowest": 4, "ipi-nmi": 4, "irq-held": 2, "mp-table": 4, "pv-smp": 4, "shootdown-storm": 8, "tsc-adjust": 2}

# How a machine finds the image ({image}), where it is not a CD under BIOS.
UEFI = ["-drive", "if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
        "-drive", "if=pflash,format=raw,unit=1,snapshot=on,file=/usr/share/OVMF/OVMF_VARS_4M.fd", "-net", "none"]
USB = ["-device", "qemu-xhci", "-drive", "if=none,id=stick,format=raw,snapshot=on,file={image}",
       "-device", "usb-storage,drive=stick,bootindex=1"]
SATA = ["-drive", "if=none,id=disk,format=raw,snapshot=on,file={image}", "-device", "ide-hd,drive=disk,bus=ide.0,bootindex=1"]
VIRTIO = ["-drive", "if=none,id=disk,format=raw,snapshot=on,file={image}", "-device", "virtio-blk-pci,drive=disk,bootindex=1"]
BOCHS_CPU, BOCHS_MEMORY = ", count=2, ips=50000000, ignore_bad_msrs=0, reset_on_triple_fault=0", "memory: guest=512, host=512"
SMALL = ["-smp", "2", "-m", "512M"]



def pxe(file, rom=True):
    """The network, with QEMU's TFTP server in {image}. QEMU's network ROMs are iPXE; without one OVMF has its own."""
    return ["-netdev", "user,id=net,tftp={image},bootfile=caisson/" + file,
            "-device", "virtio-net-pci,netdev=net,bootindex=1" + ("" if rom else ",romfile=")]


# 8 NUMA nodes of different sizes, a CPU at each: not the one of its number, so that neither can pass for the other.
NUMA_CPUS = 8


def numa_megabytes(node):
    return 128 + 16 * node


def numa_node(cpu):
    return (cpu + 5) % NUMA_CPUS


def numa_distance(a, b):
    return 10 + 3 * abs(a - b)


def numa():
    nodes = range(NUMA_CPUS)
    options = ["-smp", "8,sockets=8,cores=1,threads=1", "-m", f"{sum(map(numa_megabytes, nodes))}M"]
    for n in nodes:
        options += ["-object", f"memory-backend-ram,id=m{n},size={numa_megabytes(n)}M",
                    "-numa", f"node,nodeid={n},memdev=m{n}"]
    for n in nodes:
        options += ["-numa", f"cpu,node-id={numa_node(n)},socket-id={n}"]
        for other in range(n + 1, NUMA_CPUS):
            options += ["-numa", f"dist,src={n},dst={other},val={numa_distance(n, other)}"]
    return options


MICROVM = ["-machine", "microvm,acpi=on,pit=off,pic=off,rtc=on,isa-serial=on", "-bios", "bios-microvm.bin", "-drive",
           "if=none,id=disk,format=raw,snapshot=on,file={image}", "-device", "virtio-blk-device,drive=disk"]

# Machines. host: this one, without an emulator. pc: QEMU's own PC, the tiny guest as its kernel. The others run
# Caisson under QEMU's TCG, on q35 with AMD-V where the options, which come after the common ones, say nothing else.
MACHINES = {
    "host": [],
    "pc": [],
    "svm-qemu": ["-smp", "2", "-m", "2G"],
    "svm-qemu-1cpu": ["-smp", "1", "-m", "1G"],
    "svm-qemu-3cpu": ["-smp", "3", "-m", "2G"],  # two that run VMs: the first one does not under TCG
    "svm-qemu-4cpu": ["-smp", "4", "-m", "2G"],
    "svm-qemu-smt": ["-smp", "4,cores=2,threads=2", "-m", "1G"],
    "svm-qemu-256M": ["-smp", "2", "-m", "256M"],
    "svm-qemu-8G": ["-smp", "2", "-m", "8G"],
    "svm-qemu-debug": ["-smp", "2", "-m", "2G"],  # the kernel of DEBUG=1: guest state audited before each entry
    # Time is the number of instructions executed: the host's load has no influence.
    "svm-qemu-icount": ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-smp", "2", "-m", "2G"],
    "svm-qemu-icount-1cpu": ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-smp", "1", "-m", "2G"],
    "svm-qemu-64cpu": ["-smp", "64", "-m", "1G"],
    "svm-qemu-numa": numa(),
    "svm-qemu-pc": ["-machine", "pc"] + SMALL,
    "svm-qemu-microvm": SMALL + MICROVM,  # hardware-reduced ACPI
    "svm-qemu-usb": SMALL + USB,
    "svm-qemu-sata": SMALL + SATA,
    "svm-qemu-virtio": SMALL + VIRTIO,
    "svm-qemu-no-com1": SMALL + ["-serial", "none"],
    "svm-qemu-com1-irq10": SMALL + ["-global", "isa-serial.irq=10"],
    "svm-qemu-uefi": ["-smp", "2", "-m", "2G"] + UEFI,
    "svm-qemu-uefi-bare": SMALL + UEFI,
    "svm-qemu-uefi-no-com1": SMALL + UEFI + ["-serial", "none"],
    # without MWAIT, in which the firmware's other CPUs wait: QEMU's is a loop of pauses
    "svm-qemu-uefi-64cpu": ["-cpu", "max,+svm,-monitor", "-smp", "64", "-m", "1G"] + UEFI,
    "svm-qemu-uefi-direct": ["-smp", "2", "-m", "5G"] + UEFI + SATA,
    "svm-qemu-uefi-usb": SMALL + UEFI + USB,
    "svm-qemu-uefi-sata": SMALL + UEFI + SATA,
    "svm-qemu-uefi-virtio": SMALL + UEFI + VIRTIO,
    "svm-qemu-pxe": SMALL + pxe("grub-bios.0"),
    "svm-qemu-pxe-uefi": SMALL + UEFI + pxe("grub-uefi.efi", rom=False),
    "svm-qemu-ipxe": SMALL + pxe("caisson.ipxe"),
    "svm-qemu-ipxe-uefi": SMALL + UEFI + pxe("caisson.ipxe"),
    # Machines that lack something.
    "qemu-32bit": ["-cpu", "max,-lm"] + SMALL,
    "qemu-no-nx": ["-cpu", "max,+svm,-nx"] + SMALL,
    "qemu-no-svm": ["-cpu", "max,-svm"] + SMALL,
    "qemu-no-npt": ["-cpu", "max,+svm,-npt"] + SMALL,
    "svm-qemu-16M": ["-smp", "2", "-m", "16M"],
    # Bochs: lines of its configuration. Its CPU models have what the CPU of that name has.
    "bochs-no-ept": ["cpu: model=core2_penryn_t9600" + BOCHS_CPU, BOCHS_MEMORY],
    "svm-bochs": ["cpu: model=trinity_apu" + BOCHS_CPU, "memory: guest=1024, host=1024"],
    "vmx-bochs-1cpu": ["cpu: model=corei7_skylake_x" + BOCHS_CPU.replace("count=2", "count=1"), BOCHS_MEMORY],
    "vmx-bochs-smt": ["cpu: model=corei7_skylake_x" + BOCHS_CPU.replace("count=2", "count=1:1:2"), BOCHS_MEMORY],
    "vmx-bochs-debug": ["cpu: model=corei7_skylake_x" + BOCHS_CPU, "memory: guest=1024, host=1024"],
    "vmx-bochs-restricted": ["cpu: model=corei5_lynnfield_750" + BOCHS_CPU, "memory: guest=1024, host=1024"],
    "vmx-bochs": ["cpu: model=corei7_skylake_x" + BOCHS_CPU, "memory: guest=1024, host=1024"],
    "vmx-bochs-2G": ["cpu: model=corei7_skylake_x" + BOCHS_CPU, "memory: guest=2048, host=2048"],
}


def on_bochs(machine):
    return "bochs" in machine


# Where the tiny guests run as VMs: kind of test, its machine, how many to a boot, time limit in seconds.
GUEST_RUNS = [
    ("vmx-bochs", "vmx-bochs", 30, 600),
    ("vmx-bochs-1cpu", "vmx-bochs-1cpu", 30, 240),
    ("vmx-bochs-debug", "vmx-bochs-debug", 30, 900),
    ("vmx-bochs-noapicv", "vmx-bochs", 30, 240),
    ("vmx-bochs-restricted", "vmx-bochs-restricted", 30, 400),
    ("svm-bochs", "svm-bochs", 30, 600),
    ("guest", "svm-qemu-3cpu", 8, 240),
]
# All of them, but for what the emulator does wrong (docs/testing.md, "Bochs") or Caisson does not do.
NMI_BLOCKED = "a guest that leaves a CPU in its NMI handler gets no NMI there again: it runs with one CPU"
IF_IGNORED = "a virtual interrupt that waits for IF is delivered when one of the host comes: it runs with noapicv"
GUESTS_LEFT_OUT = {
    "svm-bochs": {
        "debug-regs": "an intercepted #DB sets no DR6, and a trap by TF that meets an exit is taken by the host",
        "triple-fault": "there is no exit for a guest's triple fault: the emulator stops",
    },
    "vmx-bochs": {"nmi": NMI_BLOCKED, "ipi-nmi": NMI_BLOCKED, "real-insns": IF_IGNORED},
    "vmx-bochs-debug": {"nmi": NMI_BLOCKED, "ipi-nmi": NMI_BLOCKED, "real-insns": IF_IGNORED},
}
# On Bochs: others in the same boot would take CPU time that shootdown-storm measures, and cause interrupts of the host
# amid those that self-ipi holds back by IF, which Bochs then delivers (docs/testing.md).
GUESTS_ALONE = ("self-ipi", "shootdown-storm")
GUESTS_ONLY = {"vmx-bochs-1cpu": ("ipi-nmi", "nmi"),
               "vmx-bochs-restricted": ("ap-start", "apic-timer", "cr-writes", "extint-once", "hlt-wakeup", "ioapic-level",
                                        "msr-denied", "paging-32", "paging-long", "paging-pae", "pit-pic", "real-insns", "real-mode",
                                        "string-io", "task-switch", "triple-fault", "user-mode"),
               "vmx-bochs-noapicv": ("apic-errors", "apic-insns", "apic-modes", "apic-timer", "directed-eoi", "extint-once", "hlt-wakeup",
                                     "init-races", "init-sipi", "ioapic-level", "ipi-64", "ipi-destinations", "ipi-lowest",
                                     "irq-held", "mmio-widths", "msr-denied", "pit-pic",
                                     "pv-eoi", "real-insns", "self-ipi", "tsc-deadline")}
GUEST_ARGS = {"vmx-bochs-noapicv": " noapicv"}  # boot options, which the guests have on their command lines too


def runs_guest(kind, guest):
    return guest in GUESTS_ONLY.get(kind, (guest,)) and guest not in GUESTS_LEFT_OUT.get(kind, ())


# Daily work (`make test-quick`): under 5 minutes.
QUICK = re.compile(r"host/|guest/|vmx-bochs(-1cpu|-restricted|-noapicv)?/|svm-bochs/|"
                   r"check/(format|columns|functions|files|deps|twins|syscalls|tree|links|scripts|mutants|machines)$|"
                   r"boot/(linux-1cpu|console|destroy|definition-errors|destroy-vmx|hostile-guest-vmx)$")

# Whole-machine runs: name, machine, scene, time limit in seconds.
BOOTS = [
    ("linux-shell", "svm-qemu", "linux_shell", 360),
    ("linux-status", "svm-qemu", "linux_status", 240),
    ("linux-without-acpi", "svm-qemu", "linux_without_acpi", 360),
    ("linux-debug", "svm-qemu-debug", "linux_smoke", 360),
    ("linux-1cpu", "svm-qemu-1cpu", "linux_smoke", 360),
    ("linux-4cpu", "svm-qemu-4cpu", "linux_smoke", 360),
    ("linux-256M", "svm-qemu-256M", "linux_smoke_small", 360),
    ("linux-8G", "svm-qemu-8G", "linux_smoke", 360),
    ("three-linux", "svm-qemu-3cpu", "three_linux", 600),
    ("linux-smp", "svm-qemu-3cpu", "linux_smp", 900),
    ("vms-256", "svm-qemu-3cpu", "vms_256", 600),
    ("vms-256-vmx", "vmx-bochs-2G", "vms_256", 1200),
    ("hotplug", "svm-qemu-3cpu", "hotplug", 900),
    ("hotplug-vmx", "vmx-bochs", "hotplug_bochs", 600),
    ("linux-hotplug", "svm-qemu-3cpu", "linux_hotplug", 600),
    ("linux-idle", "svm-qemu", "linux_idle", 400),
    ("linux-idle-vmx", "vmx-bochs-1cpu", "linux_idle_bochs", 1200),
    ("clock-drift", "svm-qemu", "clock_drift", 240),
    ("clock-drift-vmx", "vmx-bochs-1cpu", "clock_drift", 400),
    ("linux-16", "svm-qemu-3cpu", "linux_16", 400),
    ("extint-once", "svm-qemu-3cpu", "extint_once", 600),
    ("steal-time", "svm-qemu-icount-1cpu", "steal_time", 600),
    ("steal-time-vmx", "vmx-bochs-1cpu", "steal_time", 600),
    ("crash-beside-linux", "svm-qemu", "crash_beside_linux", 360),
    ("definition-errors", "svm-qemu", "definition_errors", 240),
    ("memory-refused", "svm-qemu-256M", "memory_refused", 240),
    ("memory-preserved", "svm-qemu-256M", "memory_preserved", 240),
    ("boot-options", "svm-qemu", "boot_options", 240),
    ("spec-ctrl", "svm-qemu", "spec_ctrl", 240),
    ("spec-ctrl-vmx", "vmx-bochs-1cpu", "spec_ctrl", 400),
    ("no-vm", "svm-qemu", "no_vm", 120),
    ("usb", "svm-qemu-usb", "no_vm", 180),
    ("sata", "svm-qemu-sata", "no_vm", 180),
    ("virtio", "svm-qemu-virtio", "no_vm", 180),
    ("screen-text", "svm-qemu", "screen_text", 120),
    ("screen-no-serial", "svm-qemu-no-com1", "screen_no_serial", 120),
    ("screen-no-serial-uefi", "svm-qemu-uefi-no-com1", "screen_no_serial", 180),
    ("screen-only", "svm-qemu", "screen_only", 120),
    ("serial-only", "svm-qemu", "serial_only", 120),
    ("serial-other-irq", "svm-qemu-com1-irq10", "linux_status", 240),
    ("screen-framebuffer", "svm-qemu-uefi", "screen_framebuffer", 180),
    ("screen-panic", "svm-qemu-uefi", "screen_panic", 180),
    ("uefi", "svm-qemu-uefi", "linux_shell", 480),
    ("uefi-usb", "svm-qemu-uefi-usb", "no_vm", 240),
    ("direct", "svm-qemu-uefi-direct", "direct_linux_shell", 480),
    ("direct-usb", "svm-qemu-uefi-usb", "direct", 240),
    ("direct-virtio", "svm-qemu-uefi-virtio", "direct", 240),
    ("direct-errors", "svm-qemu-uefi-bare", "direct_errors", 480),
    ("uefi-sata", "svm-qemu-uefi-sata", "no_vm", 240),
    ("uefi-virtio", "svm-qemu-uefi-virtio", "no_vm", 240),
    ("console", "svm-qemu", "console", 360),
    ("shutdown", "svm-qemu", "shutdown", 360),
    ("destroy", "svm-qemu", "destroy", 360),
    ("restart-manager", "svm-qemu", "restart_manager", 360),
    ("on-exit-restart", "svm-qemu", "on_exit_restart", 240),
    ("restart-leaves-terminal", "svm-qemu", "on_exit_restart_leaves_terminal", 240),
    ("pause-clocks", "svm-qemu-3cpu", "pause_clocks", 400),
    ("pause-clocks-vmx", "vmx-bochs", "pause_clocks", 900),
    ("pause-disturbs-none", "svm-qemu-3cpu", "pause_disturbs_none", 900),
    ("pause-linux", "svm-qemu-3cpu", "pause_linux", 600),
    ("live-tables", "svm-qemu", "live_tables", 360),
    ("reboot", "svm-qemu", "reboot", 240),
    ("many-cpus", "svm-qemu-64cpu", "many_cpus", 400),
    ("many-cpus-uefi", "svm-qemu-uefi-64cpu", "many_cpus", 480),
    ("cpus-left-out", "svm-qemu", "cpus_left_out", 240),
    ("numa-nodes", "svm-qemu-numa", "numa_nodes", 300),
    ("numa-placement", "svm-qemu-numa", "numa_placement", 300),
    ("reset-methods", "svm-qemu", "reset_methods", 240),
    ("reset-methods-pc", "svm-qemu-pc", "reset_methods", 240),
    ("reset-microvm", "svm-qemu-microvm", "reset_by_firmware_register", 240),
    ("s5-of-firmware", "svm-qemu", "s5_of_firmware", 240),
    ("firmware-tables", "svm-qemu", "firmware_tables", 240),
    ("panic-resets", "svm-qemu", "panic_resets", 240),
    ("image-size", "host", "image_size", 120),
    ("esp-image", "host", "esp_image", 120),
    ("image-errors", "host", "image_errors", 120),
    ("image-on-full-disk", "host", "image_on_full_disk", 120),
    ("count-of-linked", "host", "count_of_linked", 120),
    ("setup-guest", "host", "setup_guest", 60),
    ("setup-question", "host", "setup_question", 60),
    ("run-variables", "host", "run_variables", 60),
    ("space-in-path", "host", "space_in_path", 240),
    ("ring3-stress", "svm-qemu", "ring3_stress", 1800),
    ("ring3-stress-debug", "svm-qemu-debug", "ring3_stress_debug", 600),
    ("killed-at-random", "svm-qemu", "killed_at_random", 900),
    ("destroy-states", "svm-qemu", "destroy_states", 600),
    ("destroy-bounded", "svm-qemu-icount", "destroy_bounded", 600),
    ("destroy-populated", "svm-qemu-icount-1cpu", "destroy_populated", 600),
    ("device-interrupts", "svm-qemu", "device_interrupts", 240),
    ("reply", "svm-qemu", "reply", 120),
    ("reply-vmx", "vmx-bochs-1cpu", "reply_bochs", 300),
    ("device-interrupts-vmx", "vmx-bochs", "device_interrupts_bochs", 600),
    ("ring3-heartbeat", "svm-qemu-icount", "ring3_heartbeat", 600),
    ("fair-shares", "vmx-bochs", "fair_shares", 1800),
    ("fair-shares-svm", "svm-bochs", "fair_shares", 1800),
    ("fair-cap-vmx", "vmx-bochs-1cpu", "fair_cap", 600),
    ("pins", "vmx-bochs", "pins", 600),
    ("destroy-floods", "svm-qemu-3cpu", "destroy_floods", 240),
    ("destroy-floods-vmx", "vmx-bochs", "destroy_floods_noapicv", 600),
    ("fair-guests", "svm-qemu-icount-1cpu", "fair_guests", 1800),
    ("fair-guests-vmx", "vmx-bochs-1cpu", "fair_guests_bochs", 1200),
    ("fair-others-vmx", "vmx-bochs", "fair_others", 1200),
    ("fair-others-svm", "svm-bochs", "fair_others", 1200),
    ("core-sched", "svm-qemu-smt", "core_sched", 300),
    ("core-shares", "vmx-bochs-smt", "core_shares", 1800),
    ("hostile-guest", "svm-qemu", "hostile_guest", 3600),
    ("hostile-guest-debug", "svm-qemu-debug", "hostile_guest_debug", 3600),
    ("trace", "svm-qemu", "trace", 240),
    ("trace-vmx", "vmx-bochs", "trace_noapicv", 600),
    ("nmis", "svm-qemu", "nmis", 600),
    ("nmi-everywhere", "svm-qemu-1cpu", "nmi_everywhere", 600),
    ("machine-check", "svm-qemu-1cpu", "machine_check", 400),
    ("machine-check-guest", "svm-qemu-1cpu", "machine_check_guest", 240),
    ("wild-monitors", "svm-qemu", "wild_monitors", 240),
    ("panic", "svm-qemu", "panic", 120),
    ("init-ends", "svm-qemu", "init_ends", 120),
    ("pxe", "svm-qemu-pxe", "pxe", 180),
    ("pxe-uefi", "svm-qemu-pxe-uefi", "pxe", 240),
    ("ipxe", "svm-qemu-ipxe", "pxe", 180),
    ("ipxe-uefi", "svm-qemu-ipxe-uefi", "ipxe_direct", 240),
    ("ipxe-missing", "svm-qemu-ipxe", "ipxe_missing", 180),
    ("ipxe-no-server", "svm-qemu-ipxe", "ipxe_no_server", 180),
    ("ipxe-missing-uefi", "svm-qemu-ipxe-uefi", "ipxe_missing", 240),
    ("pxe-missing", "svm-qemu-pxe", "pxe_missing", 180),
    ("pxe-missing-uefi", "svm-qemu-pxe-uefi", "pxe_missing", 240),
    ("pxe-missing-menu", "svm-qemu-pxe", "pxe_missing_menu", 180),
    ("refuses-32bit-cpu", "qemu-32bit", "no_long_mode", 120),
    ("refuses-no-nx", "qemu-no-nx", "no_nx", 120),
    ("refuses-little-memory", "svm-qemu-16M", "little_memory", 120),
    ("refuses-large-module", "svm-qemu-16M", "large_module", 240),
    ("refuses-mem-option", "svm-qemu", "mem_option", 400),
    ("refuses-mem-option-uefi", "svm-qemu-uefi", "mem_option", 480),
    ("refuses-long-name", "svm-qemu", "long_name", 120),
    ("refuses-no-modules", "svm-qemu", "no_modules", 120),
    ("refuses-no-init", "svm-qemu", "no_init", 120),
    ("no-svm", "qemu-no-svm", "no_svm", 180),
    ("no-npt", "qemu-no-npt", "no_npt", 180),
    ("linux-vmx", "vmx-bochs", "linux_bochs", 1500),
    ("linux-vmx-1cpu", "vmx-bochs-1cpu", "linux_bochs", 1500),
    ("linux-smp-vmx", "vmx-bochs", "linux_smp_bochs", 5400),
    ("linux-vmx-noapicv", "vmx-bochs", "linux_bochs_noapicv", 1500),
    ("linux-16-vmx", "vmx-bochs", "linux_16_bochs", 2400),
    ("apicv", "vmx-bochs-1cpu", "apicv", 900),
    ("refused-entry", "vmx-bochs-1cpu", "refused_entry", 600),
    ("debug-nesting", "vmx-bochs-1cpu", "debug_nesting", 600),
    ("debug-nesting-svm-bochs", "svm-bochs", "debug_nesting", 600),
    ("linux-vmx-restricted", "vmx-bochs-restricted", "linux_bochs_restricted", 1500),
    ("linux-vmx-debug", "vmx-bochs-debug", "linux_bochs", 3600),
    ("linux-svm-bochs", "svm-bochs", "linux_bochs", 1500),
    ("destroy-vmx", "vmx-bochs", "destroy_bochs", 900),
    ("destroy-states-vmx", "vmx-bochs", "destroy_states_bochs", 900),
    ("destroy-svm-bochs", "svm-bochs", "destroy_bochs", 900),
    ("hostile-guest-vmx", "vmx-bochs", "hostile_guest_bochs", 3600),
    ("hostile-guest-restricted", "vmx-bochs-restricted", "hostile_guest_bochs", 3600),
    ("hostile-guest-svm-bochs", "svm-bochs", "hostile_guest_calm", 3600),
    ("run-by-hand", "vmx-bochs", "run_by_hand", 300),
    ("bochs-no-ept", "bochs-no-ept", "bochs_no_ept", 300),
]

"""The tests and the machines they run on. tests/run.py runs them.

Host unit tests (tests/host/test_*.c) and tiny guests (tests/guest/*.c) are found by their files; here is
what differs from the rule, and the whole-machine runs, whose steps are in tests/boot/scenes.py.
"""

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

GUESTS_PER_BOOT = 8
GUEST_MEMORY = "16M"

# Machines: QEMU's options beside the common ones.
MACHINES = {
    "q35": ["-smp", "2", "-m", "2G"],
    "q35-1cpu": ["-smp", "1", "-m", "1G"],
    "q35-4cpu": ["-smp", "4", "-m", "2G"],
    "q35-256M": ["-smp", "2", "-m", "256M"],
    "q35-8G": ["-smp", "2", "-m", "8G"],
}

# Whole-machine runs: name, machine, scene, time limit in seconds.
BOOTS = [
    ("linux-shell", "q35", "linux_shell", 180),
    ("linux-status", "q35", "linux_status", 120),
    ("linux-1cpu", "q35-1cpu", "linux_smoke", 180),
    ("linux-4cpu", "q35-4cpu", "linux_smoke", 180),
    ("linux-256M", "q35-256M", "linux_smoke_small", 180),
    ("linux-8G", "q35-8G", "linux_smoke", 180),
    ("three-linux", "q35", "three_linux", 300),
    ("crash-beside-linux", "q35", "crash_beside_linux", 180),
    ("definition-errors", "q35", "definition_errors", 120),
    ("boot-options", "q35", "boot_options", 120),
    ("no-vm", "q35", "no_vm", 60),
    ("console", "q35", "console", 180),
    ("shutdown", "q35", "shutdown", 180),
    ("destroy", "q35", "destroy", 180),
    ("restart-manager", "q35", "restart_manager", 180),
    ("on-exit-restart", "q35", "on_exit_restart", 120),
    ("live-tables", "q35", "live_tables", 180),
    ("reboot", "q35", "reboot", 120),
    ("image-size", None, "image_size", 60),
    ("image-errors", None, "image_errors", 60),
]

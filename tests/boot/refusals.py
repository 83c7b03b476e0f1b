"""What Caisson does on machines that lack something: it says what and why, and goes on as far as it can."""
from boot.scenes import PROMPT, command, definition, tiny


def bochs_intel(scene):
    """On an Intel CPU, without VT-x: the prompt, all CPUs, and a VM is refused with the reason."""
    vms = [("pass.vm", definition("pass", "port-widths", memory="16M"))]
    with scene.start("", tiny("port-widths"), vms) as m:
        m.expect(r"this machine cannot run VMs: ", 120)
        m.expect(PROMPT, 60)
        command(m, "hostinfo", r"CPU\(s\): +2 of 2\n[\s\S]*Virtualization: none: ")
        m.send("poweroff\r")
        m.expect_power_off()

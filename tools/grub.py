"""GRUB's boot menu, in images and for the network."""
DIR = "/usr/lib/grub"
MODULES = "multiboot2 normal configfile serial terminal test echo sleep reboot".split()     # that a menu needs

GIVE_UP = """\
echo "Caisson: another try in 60 seconds"
sleep --interruptible 60
reboot
"""


def menu(args, parts, complaint):
    """
    grub.cfg. parts: (path, module's name or None for the kernel, how to call it); those that do not come are named below
    the complaint, and nothing is started.
    """
    lines = ['set missing=""']
    for path, name, called in parts:
        load = f"module2 --nounzip {path} {name}" if name else f"multiboot2 {path} {args}".rstrip()
        lines.append(f'if ! {load}; then set missing="$missing {called}"; fi')
    lines += [
        # multiboot2 asked for a framebuffer; a BIOS has text, on which the first instructions can write too.
        'if [ "$grub_platform" = pc ]; then set gfxpayload=text; fi',
        'if [ -z "$missing" ]; then boot; fi',
        f'echo "Caisson: {complaint}"',
        'for file in $missing; do echo "Caisson: $file"; done',
    ]
    return "\n".join(lines) + "\n" + GIVE_UP

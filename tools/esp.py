"""Makes a disk image with one FAT partition, an EFI system partition, from a folder."""
import os
import struct
import subprocess
import uuid
import zlib

SECTOR = 512
PARTITION = 2048            # its first sector
ENTRIES, ENTRY_BYTES = 128, 128
BACKUP = 33                 # sectors at the end: the table's copy and its header
ESP_TYPE = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
FAT16_CLUSTERS = 65000      # at most 65,524, less what the FATs themselves take
FAT16_CLUSTER_MAX = 64      # sectors


class EspError(Exception):
    """Why there is no image, in words."""


def tree_bytes(tree):
    """What the files of a folder take, with a generous cluster each."""
    total = 0
    for where, folders, files in os.walk(tree):
        total += sum(os.path.getsize(os.path.join(where, name)) + 32768 for name in files) + 32768 * len(folders)
    return total


def fat_options(sectors):
    """-> mformat's options for a file system of that size: FAT16 as long as it can be, as it needs less room."""
    cluster = 1
    while cluster <= FAT16_CLUSTER_MAX:
        if sectors // cluster <= FAT16_CLUSTERS:
            return ["-c", str(cluster)]
        cluster *= 2
    return ["-F"]


def gpt_header(sectors, disk, entries, backup):
    """UEFI 2.10, "GUID Partition Table header"."""
    here, other = (sectors - 1, 1) if backup else (1, sectors - 1)
    table = sectors - BACKUP if backup else 2
    fields = [b"EFI PART", 0x10000, 92, 0, 0, here, other, 2 + BACKUP - 1, sectors - BACKUP - 1, disk.bytes_le, table,
              ENTRIES, ENTRY_BYTES, zlib.crc32(entries)]
    layout = "<8sIIIIQQQQ16sQIII"
    fields[3] = zlib.crc32(struct.pack(layout, *fields))
    return struct.pack(layout, *fields).ljust(SECTOR, b"\0")


def protective_mbr(sectors):
    entry = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xee, b"\xff\xff\xff", 1, min(sectors - 1, 0xffffffff))
    return b"\0" * 446 + entry + b"\0" * 48 + b"\x55\xaa"


def write_gpt(f, sectors):
    """Both copies of the partition table, with the one partition."""
    name = "EFI system partition".encode("utf-16-le")
    entry = ESP_TYPE.bytes_le + uuid.uuid4().bytes_le + struct.pack("<QQQ", PARTITION, sectors - BACKUP - 1, 0) + name
    entries = entry.ljust(ENTRIES * ENTRY_BYTES, b"\0")
    disk = uuid.uuid4()
    f.write(protective_mbr(sectors) + gpt_header(sectors, disk, entries, False) + entries)
    f.seek((sectors - BACKUP) * SECTOR)
    f.write(entries + gpt_header(sectors, disk, entries, True))


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise EspError(f"{command[0]} failed: {result.stderr.strip()}")


def make(tree, output):
    """The image of a tree, in output."""
    fat = max(tree_bytes(tree) * 101 // 100 // SECTOR, 8192) + 2048
    sectors = -(-(PARTITION + fat + BACKUP) // 2048) * 2048
    fat = sectors - PARTITION - BACKUP
    where = f"{output}.new@@{PARTITION * SECTOR}"
    with open(output + ".new", "wb") as f:
        write_gpt(f, sectors)
    run("mformat", "-i", where, "-T", str(fat), "-h", "255", "-s", "63", "-H", str(PARTITION), "-v", "CAISSON",
        *fat_options(fat), "::")
    run("mcopy", "-i", where, "-s", "-Q", *(os.path.join(tree, name) for name in sorted(os.listdir(tree))), "::")
    os.rename(output + ".new", output)

#include "vmm/fw_cfg.h"

#include "lib/string.h"
#include "vmm/state.h"

enum fw_cfg_port { PORT_SELECTOR = 0, PORT_DATA = 1 };

/* Items; numbers in them are little-endian, but for the directory. */
/* clang-format off */
enum fw_cfg_key {
	KEY_SIGNATURE = 0x00, KEY_ID = 0x01, KEY_RAM_SIZE = 0x03, KEY_CPUS = 0x05,
	KEY_MAX_CPUS = 0x0f, KEY_DIRECTORY = 0x19, KEY_FIRST_FILE = 0x20,
};
/* clang-format on */
enum { ID_TRADITIONAL = 1, E820_RAM = 1 };

struct item {
	const void *data;
	u32 bytes;
};

/* Empty for a key that nothing has. */
static struct item item_of(const struct fw_cfg *f)
{
	static const char signature[] = {'Q', 'E', 'M', 'U'};
	static const u32 id = ID_TRADITIONAL;

	switch (f->key) {
	case KEY_SIGNATURE: return (struct item){signature, sizeof(signature)};
	case KEY_ID: return (struct item){&id, sizeof(id)};
	case KEY_RAM_SIZE: return (struct item){&f->ram_bytes, sizeof(f->ram_bytes)};
	case KEY_CPUS: return (struct item){&f->vcpus, sizeof(f->vcpus)};
	case KEY_MAX_CPUS: return (struct item){&f->possible, sizeof(f->possible)};
	case KEY_DIRECTORY: return (struct item){&f->directory, sizeof(f->directory)};
	case KEY_FIRST_FILE: return (struct item){f->e820, f->e820_rows * sizeof(f->e820[0])};
	default: return (struct item){NULL, 0};
	}
}

/* Behind an item's end there are zeroes. */
static u64 fw_cfg_read(struct device *d, u64 offset, u32 size)
{
	struct fw_cfg *f = container_of(d, struct fw_cfg, dev);
	struct item item = item_of(f);

	if (offset != PORT_DATA || size != 1)
		return ~0ull;
	return f->offset < item.bytes ? ((const u8 *)item.data)[f->offset++] : 0;
}

/* Data is read-only, as it is in QEMU since 2.4. */
static void fw_cfg_write(struct device *d, u64 offset, u32 size, u64 value)
{
	struct fw_cfg *f = container_of(d, struct fw_cfg, dev);

	if (offset != PORT_SELECTOR || size != 2)
		return;
	f->key = (u16)value;
	f->offset = 0;
}

static void fw_cfg_reset(struct device *d)
{
	struct fw_cfg *f = container_of(d, struct fw_cfg, dev);

	f->key = KEY_SIGNATURE;
	f->offset = 0;
}

static const struct state_field fw_cfg_fields[] = {
	STATE_FIELD(struct fw_cfg, key, 1),
	STATE_FIELD(struct fw_cfg, offset, 1),
};

static const struct dev_ops fw_cfg_ops = {
	.name = "fw_cfg",
	.version = 1,
	.max_size = 2,
	.read = fw_cfg_read,
	.write = fw_cfg_write,
	.reset = fw_cfg_reset,
	.fields = fw_cfg_fields,
	.field_count = ARRAY_SIZE(fw_cfg_fields),
};

static void add_e820(struct fw_cfg *f, u64 base, u64 bytes)
{
	if (bytes)
		f->e820[f->e820_rows++] = (struct fw_cfg_e820){base, bytes, E820_RAM};
}

void fw_cfg_init(struct fw_cfg *f, struct platform *plat, const struct ram *ram, u16 vcpus,
		 u16 possible)
{
	f->ram_bytes = ram->low + ram->high;
	f->vcpus = vcpus;
	f->possible = possible;
	f->e820_rows = 0;
	add_e820(f, 0, ram->low);
	add_e820(f, RAM_HIGH_BASE, ram->high);
	f->directory.count = __builtin_bswap32(FW_CFG_FILES);
	f->directory.file[0] = (struct fw_cfg_file){
		.size = __builtin_bswap32(f->e820_rows * (u32)sizeof(f->e820[0])),
		.key = __builtin_bswap16(KEY_FIRST_FILE),
		.name = "etc/e820"};
	device_init(&f->dev, &fw_cfg_ops, plat);
}

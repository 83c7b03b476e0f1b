/*
 * BOOTX64.EFI: starts Caisson under UEFI without another boot loader. It reads caisson.cfg, the
 * kernel and the boot modules, and enters the kernel as a multiboot2 loader does.
 */
#include "boot/efi/app.h"

#include "boot/efi/config.h"
#include "boot/efi/info.h"
#include "boot/efi/kernel_image.h"
#include "lib/string.h"

#define CONFIG_FILE "caisson.cfg"
#define INFO_BYTES KiB(128)
#define INFO_MAP_ENTRY_MAX 4096u
#define EXIT_TRIES 8
#define MAP_ROOM KiB(64)	   /* beside what the memory map takes now */
#define MEMORY_SPECIFIC 0x40000ull /* EFI_MEMORY_SP: meant for one driver */

/* boot/efi/handoff.asm: copied below 4 GiB; entry and info lie there too. */
typedef void (*handoff_fn)(u64 entry, u64 info);
extern const u8 handoff_start[];
extern const u32 handoff_bytes;

static struct config config;
static struct info info;

static void read_config(void)
{
	struct file f;
	EFI_STATUS s;

	if (!volume_read(CONFIG_FILE, &f, &s))
		app_fail(CONFIG_FILE ": %s: it must stand in the folder of BOOTX64.EFI",
			 app_status(s));
	if (!config_parse(f.data, f.bytes, &config))
		app_fail(CONFIG_FILE ":%s", config.error);
}

/* -> where the kernel was loaded, ready to run; *entry: its entry there. */
static void load_kernel(u64 *entry)
{
	struct kernel_image k;
	struct file f;
	EFI_STATUS s;
	const char *bad;
	void *memory;

	if (!volume_read(config.kernel, &f, &s))
		app_fail(CONFIG_FILE ":%u: kernel = %s: %s", config.kernel_line, config.kernel,
			 app_status(s));
	bad = kernel_image_read(f.data, f.bytes, &k);
	if (bad)
		app_fail(CONFIG_FILE ":%u: kernel = %s: the file %s", config.kernel_line,
			 config.kernel, bad);
	memory = memory_alloc_at(k.high - k.low, k.align, k.load_min, MIN(k.load_max, GiB(4) - 1));
	if (!memory)
		app_fail("no %lu KiB of memory are free below 4 GiB for the kernel",
			 (k.high - k.low) >> 10);
	kernel_image_load(&k, memory);
	*entry = (u64)memory + (k.entry - k.low);
}

static void load_modules(void)
{
	for (u32 i = 0; i < config.modules; i++) {
		const struct config_module *m = &config.module[i];
		struct file f;
		EFI_STATUS s;

		if (!volume_read(m->path, &f, &s))
			app_fail(CONFIG_FILE ":%u: module %s: %s: %s", m->line, m->name, m->path,
				 app_status(s));
		info_module(&info, (u32)(u64)f.data, (u32)((u64)f.data + f.bytes), m->name);
	}
}

static bool same_guid(const EFI_GUID *a, const EFI_GUID *b) { return !memcmp(a, b, sizeof(*a)); }

/* ACPI 6.4, "Root System Description Pointer": 20 bytes, from revision 2 on 36. */
static void add_rsdp(void)
{
	static const EFI_GUID acpi1 = ACPI_TABLE_GUID, acpi2 = ACPI_20_TABLE_GUID;

	for (UINTN i = 0; i < app_st->NumberOfTableEntries; i++) {
		const EFI_CONFIGURATION_TABLE *t = &app_st->ConfigurationTable[i];

		if (same_guid(&t->VendorGuid, &acpi2))
			info_rsdp(&info, t->VendorTable, 36, true);
		else if (same_guid(&t->VendorGuid, &acpi1))
			info_rsdp(&info, t->VendorTable, 20, false);
	}
}

static bool usable_mode(const EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE *mode)
{
	return mode && mode->Info && mode->FrameBufferBase &&
	       (mode->Info->PixelFormat == PixelRedGreenBlueReserved8BitPerColor ||
		mode->Info->PixelFormat == PixelBlueGreenRedReserved8BitPerColor);
}

/* The first screen that can be written to as memory, as the firmware has set it up. */
static void add_screen(void)
{
	static EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
	EFI_BOOT_SERVICES *bs = app_st->BootServices;
	EFI_GRAPHICS_OUTPUT_PROTOCOL *gop;
	EFI_HANDLE *handles;
	UINTN count;

	if (EFI_ERROR(bs->LocateHandleBuffer(ByProtocol, &guid, NULL, &count, &handles)))
		return;
	for (UINTN i = 0; i < count; i++) {
		if (EFI_ERROR(bs->HandleProtocol(handles[i], &guid, (void **)&gop)) ||
		    !usable_mode(gop->Mode))
			continue;
		info_framebuffer(
			&info, gop->Mode->FrameBufferBase, gop->Mode->Info->PixelsPerScanLine * 4,
			gop->Mode->Info->HorizontalResolution, gop->Mode->Info->VerticalResolution);
		break;
	}
	bs->FreePool(handles);
}

/* What is free once the boot services have ended. */
static bool usable_memory(const EFI_MEMORY_DESCRIPTOR *d)
{
	if (d->Attribute & (EFI_MEMORY_RUNTIME | MEMORY_SPECIFIC) ||
	    !(d->Attribute & EFI_MEMORY_WB))
		return false;
	return d->Type == EfiLoaderCode || d->Type == EfiLoaderData ||
	       d->Type == EfiBootServicesCode || d->Type == EfiBootServicesData ||
	       d->Type == EfiConventionalMemory;
}

/* Ends the boot services; only then the memory map is final. */
static void leave_firmware(void)
{
	EFI_BOOT_SERVICES *bs = app_st->BootServices;
	UINTN room = 0, bytes, key, step = 0;
	EFI_STATUS s = EFI_LOAD_ERROR;
	UINT32 version;
	u8 *map;

	bs->GetMemoryMap(&room, NULL, &key, &step, &version);
	room += MAP_ROOM;
	map = memory_alloc(room, EfiLoaderData);
	if (!map || room / step > INFO_MAP_ENTRY_MAX)
		app_fail("no memory for the memory map of %lu bytes", (u64)room);
	for (u32 i = 0; i < EXIT_TRIES && EFI_ERROR(s); i++) { /* it may change in between */
		bytes = room;
		s = bs->GetMemoryMap(&bytes, (void *)map, &key, &step, &version);
		if (!EFI_ERROR(s))
			s = bs->ExitBootServices(app_image, key);
	}
	if (EFI_ERROR(s))
		app_fail("the firmware does not end its boot services");
	for (u64 at = 0; at + step <= bytes; at += step) {
		const EFI_MEMORY_DESCRIPTOR *d = (const void *)(map + at);

		info_memory(&info, d->PhysicalStart, d->NumberOfPages * PAGE_SIZE,
			    usable_memory(d));
	}
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st)
{
	handoff_fn handoff;
	void *buf;
	u64 entry;

	app_image = image;
	app_st = st;
	st->BootServices->SetWatchdogTimer(0, 0, 0, NULL);
	volume_open();
	read_config();
	buf = memory_alloc(INFO_BYTES, EfiLoaderData);
	handoff = memory_alloc(handoff_bytes, EfiLoaderCode);
	if (!buf || !handoff)
		app_fail("no memory is free below 4 GiB");
	memcpy((void *)handoff, handoff_start, handoff_bytes);
	info_begin(&info, buf, INFO_BYTES);
	info_string(&info, MB2_TAG_CMDLINE, config.args);
	info_string(&info, MB2_TAG_LOADER_NAME, "BOOTX64.EFI");
	load_kernel(&entry);
	load_modules();
	add_rsdp();
	add_screen();
	app_say("%s and %u modules are loaded", config.kernel, config.modules);
	leave_firmware();
	/* Never NULL: INFO_BYTES hold all modules and INFO_MAP_ENTRY_MAX entries. */
	handoff(entry, (u64)info_end(&info));
	return EFI_LOAD_ERROR;
}

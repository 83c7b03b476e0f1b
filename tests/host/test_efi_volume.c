// SOURCES: boot/efi/volume.c
// CFLAGS: -isystem /usr/include/efi -isystem /usr/include/efi/x86_64 -fshort-wchar
/* Where the UEFI application looks for its files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/efi/app.h"

static EFI_LOADED_IMAGE image;
static EFI_FILE_IO_INTERFACE volume;
static EFI_FILE root;
static EFI_BOOT_SERVICES services;
static EFI_SYSTEM_TABLE table = {.BootServices = &services};
EFI_SYSTEM_TABLE *app_st = &table;
EFI_HANDLE app_image;
static char opened[256];

void app_fail(const char *fmt, ...)
{
	fail();
	abort();
}

void *memory_alloc(u64 bytes, EFI_MEMORY_TYPE type) { return NULL; }

static EFI_STATUS EFIAPI handle_protocol(EFI_HANDLE h, EFI_GUID *id, void **out)
{
	static const EFI_GUID image_guid = LOADED_IMAGE_PROTOCOL;

	*out = memcmp(id, &image_guid, sizeof(*id)) ? (void *)&volume : (void *)&image;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI open_volume(EFI_FILE_IO_INTERFACE *fs, EFI_FILE_HANDLE *out)
{
	*out = &root;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI open_file(EFI_FILE_HANDLE f, EFI_FILE_HANDLE *out, CHAR16 *name,
				   UINT64 mode, UINT64 attributes)
{
	u32 n = 0;

	do
		opened[n] = (char)name[n];
	while (name[n++]);
	return EFI_NOT_FOUND;
}

static u32 node(u8 *at, u8 type, u8 sub, const char *text)
{
	size_t chars = text ? strlen(text) + 1 : 0, bytes = 4 + 2 * chars;

	at[0] = type;
	at[1] = sub;
	at[2] = (u8)bytes;
	at[3] = 0;
	for (size_t i = 0; i < chars; i++)
		((CHAR16 *)(at + 4))[i] = (CHAR16)text[i];
	return (u32)bytes;
}

/* The file that is opened for a name, when the application was loaded by these parts of a path. */
static const char *opens(const char *first, const char *second, const char *name)
{
	static u8 path[512] __aligned(2);
	struct file f;
	EFI_STATUS status;
	u32 at = node(path, HARDWARE_DEVICE_PATH, HW_PCI_DP, NULL);

	at += node(path + at, MEDIA_DEVICE_PATH, MEDIA_FILEPATH_DP, first);
	if (second)
		at += node(path + at, MEDIA_DEVICE_PATH, MEDIA_FILEPATH_DP, second);
	node(path + at, END_DEVICE_PATH_TYPE, END_ENTIRE_DEVICE_PATH_SUBTYPE, NULL);
	services.HandleProtocol = handle_protocol;
	volume.OpenVolume = open_volume;
	root.Open = open_file;
	image.FilePath = (EFI_DEVICE_PATH *)path;
	volume_open();
	assert_false(volume_read(name, &f, &status));
	assert_int_equal(status, EFI_NOT_FOUND);
	return opened;
}

static void a_file_is_looked_for_in_the_applications_folder(void **state)
{
	static const char *const app[][2] = {
		{"\\EFI\\BOOT\\BOOTX64.EFI", NULL},
		{"\\EFI\\BOOT", "BOOTX64.EFI"}, /* as GRUB and the shell have it */
		{"\\EFI\\BOOT\\", "BOOTX64.EFI"},
		{"\\EFI", "BOOT\\BOOTX64.EFI"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(app); i++) {
		assert_string_equal(opens(app[i][0], app[i][1], "caisson.cfg"),
				    "\\EFI\\BOOT\\caisson.cfg");
		assert_string_equal(opens(app[i][0], app[i][1], "/boot/init"), "\\boot\\init");
	}
	assert_string_equal(opens("caisson.efi", NULL, "caisson.cfg"), "\\caisson.cfg");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_looked_for_in_the_applications_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

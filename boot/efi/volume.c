/*
 * Where the UEFI application's files come from: the file system of the device that it was loaded
 * from. (iPXE offers what it downloaded as such a file system, too.)
 */
#include "boot/efi/app.h"

#include "boot/efi/config.h"
#include "lib/string.h"

#define READ_STEP MiB(1) /* some firmware fails on larger reads */

static EFI_FILE_HANDLE root;
static CHAR16 folder[CONFIG_PATH]; /* of the application, with a \ at its end */

/* The application's folder from the path that it was loaded by, which may come in several parts. */
static void find_folder(const EFI_DEVICE_PATH *p)
{
	u32 n = 0, end = 0;

	for (; p && !IsDevicePathEnd(p); p = NextDevicePathNode(p)) {
		const CHAR16 *name = ((const FILEPATH_DEVICE_PATH *)p)->PathName;
		u32 chars = (u32)(DevicePathNodeLength(p) - sizeof(*p)) / sizeof(*name);

		if (DevicePathType(p) != MEDIA_DEVICE_PATH ||
		    DevicePathSubType(p) != MEDIA_FILEPATH_DP)
			continue;
		if (n && folder[n - 1] != '\\') {
			folder[n++] = '\\';
			end = n;
		}
		for (u32 i = 0; i < chars && name[i] && n < CONFIG_PATH - 2; i++) {
			folder[n++] = name[i];
			if (name[i] == '\\')
				end = n;
		}
	}
	if (!end)
		folder[end++] = '\\';
	folder[end] = 0;
}

void volume_open(void)
{
	static EFI_GUID image_guid = LOADED_IMAGE_PROTOCOL, fs_guid = SIMPLE_FILE_SYSTEM_PROTOCOL;
	EFI_BOOT_SERVICES *bs = app_st->BootServices;
	EFI_FILE_IO_INTERFACE *fs;
	EFI_LOADED_IMAGE *image;
	EFI_STATUS s;

	s = bs->HandleProtocol(app_image, &image_guid, (void **)&image);
	if (EFI_ERROR(s))
		app_fail("the firmware does not say where BOOTX64.EFI was loaded from");
	s = bs->HandleProtocol(image->DeviceHandle, &fs_guid, (void **)&fs);
	if (!EFI_ERROR(s))
		s = fs->OpenVolume(fs, &root);
	if (EFI_ERROR(s))
		app_fail(
			"what BOOTX64.EFI was loaded from has no file system that this firmware reads: "
			"put it on a FAT volume, or load it by iPXE with its files");
	find_folder(image->FilePath);
}

/* The path in the firmware's form. False: too long. */
static bool make_path(const char *name, CHAR16 *out)
{
	u32 n = 0;

	if (name[0] != '/' && name[0] != '\\')
		for (; folder[n]; n++)
			out[n] = folder[n];
	for (; *name; name++) {
		if (n == 2 * CONFIG_PATH - 1)
			return false;
		out[n++] = *name == '/' ? '\\' : (CHAR16)(u8)*name;
	}
	out[n] = 0;
	return true;
}

static EFI_STATUS file_size(EFI_FILE_HANDLE f, u64 *bytes)
{
	static EFI_GUID guid = EFI_FILE_INFO_ID;
	static union {
		EFI_FILE_INFO info;
		u8 room[sizeof(EFI_FILE_INFO) + 2 * 1024]; /* with the file's name */
	} u;
	UINTN size = sizeof(u);
	EFI_STATUS s = f->GetInfo(f, &guid, &size, &u);

	if (EFI_ERROR(s))
		return s;
	*bytes = u.info.FileSize;
	return u.info.Attribute & EFI_FILE_DIRECTORY ? EFI_INVALID_PARAMETER : EFI_SUCCESS;
}

static EFI_STATUS read_all(EFI_FILE_HANDLE f, struct file *out)
{
	for (u64 at = 0; at < out->bytes;) {
		UINTN n = MIN(out->bytes - at, READ_STEP);
		EFI_STATUS s = f->Read(f, &n, (u8 *)out->data + at);

		if (EFI_ERROR(s))
			return s;
		if (!n)
			return EFI_END_OF_FILE;
		at += n;
	}
	return EFI_SUCCESS;
}

bool volume_read(const char *name, struct file *out, EFI_STATUS *status)
{
	CHAR16 path[2 * CONFIG_PATH];
	EFI_FILE_HANDLE f;

	*status = EFI_NOT_FOUND;
	if (!make_path(name, path))
		return false;
	*status = root->Open(root, &f, path, EFI_FILE_MODE_READ, 0);
	if (EFI_ERROR(*status))
		return false;
	*status = file_size(f, &out->bytes);
	if (!EFI_ERROR(*status)) {
		out->data = memory_alloc(out->bytes, EfiLoaderData);
		*status = out->data ? read_all(f, out) : EFI_OUT_OF_RESOURCES;
	}
	f->Close(f);
	return !EFI_ERROR(*status);
}

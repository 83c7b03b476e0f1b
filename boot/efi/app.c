/* The UEFI application's console. */
#include "boot/efi/app.h"

#include "lib/assert.h"
#include "lib/fmt.h"

#define KEY_WAIT_S 60
#define TENTH_S_US 100000

EFI_SYSTEM_TABLE *app_st;
EFI_HANDLE app_image;

static void put(const char *s)
{
	CHAR16 one[2] = {0, 0};

	for (; *s; s++) {
		one[0] = (CHAR16)(u8)*s;
		app_st->ConOut->OutputString(app_st->ConOut, one);
	}
}

static void say(const char *fmt, va_list ap)
{
	char line[512];

	fmt_vsnprintf(line, sizeof(line), fmt, ap);
	put("Caisson: ");
	put(line);
	put("\r\n");
}

void app_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

static void wait_key(void)
{
	EFI_INPUT_KEY key;

	app_st->ConIn->Reset(app_st->ConIn, FALSE);
	for (u32 i = 0; i < KEY_WAIT_S * 10; i++) {
		if (!EFI_ERROR(app_st->ConIn->ReadKeyStroke(app_st->ConIn, &key)))
			return;
		app_st->BootServices->Stall(TENTH_S_US);
	}
}

void app_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	app_say("not started; a key leads back to the firmware");
	wait_key();
	memory_free_all();
	app_st->BootServices->Exit(app_image, EFI_LOAD_ERROR, 0, NULL);
	for (;;)
		;
}

const char *app_status(EFI_STATUS s)
{
	static const struct {
		EFI_STATUS status;
		const char *text;
	} texts[] = {
		{EFI_NOT_FOUND, "not found"},
		{EFI_DEVICE_ERROR, "device error"},
		{EFI_OUT_OF_RESOURCES, "no memory"},
		{EFI_VOLUME_CORRUPTED, "the file system is damaged"},
		{EFI_ACCESS_DENIED, "access denied"},
		{EFI_NO_MEDIA, "no medium"},
		{EFI_MEDIA_CHANGED, "the medium was changed"},
		{EFI_TIMEOUT, "time-out"},
		{EFI_END_OF_FILE, "it is shorter than its directory says"},
		{EFI_INVALID_PARAMETER, "it is a folder"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(texts); i++)
		if (texts[i].status == s)
			return texts[i].text;
	return "the firmware can't read it";
}

void assert_fail(const char *expr, const char *file, int line)
{
	app_fail("%s:%d: assertion failed: %s", file, line, expr);
}

/* The first bytes of every program: the image header and the entry point. */
#include "lib/assert.h"
#include "uapi/image.h"
#include "user/internal.h"
#include "user/rt.h"
#include "user/sys.h"

/* user/program.ld; the sizes are absolute symbols, so their addresses are their values */
extern const char BASE[], _text_size[], _rodata_size[], _data_size[], _bss_size[];

void _start(void);
void rt_start(void *arg, struct rt_thread_info *self);

__attribute__((section(".image_header"), used)) const struct image_header image_header = {
	.magic = IMAGE_MAGIC,
	.uapi_version = UAPI_VERSION,
	.header_size = sizeof(struct image_header),
	.base = (u64)BASE,
	.entry = (u64)_start,
	.text_size = (u64)_text_size,
	.rodata_size = (u64)_rodata_size,
	.data_size = (u64)_data_size,
	.bss_size = (u64)_bss_size,
};

/*
 * The creator gives rdi = argument and rsp = end of the stack, aligned to RT_STACK_SIZE. The top of
 * each stack holds the thread's own information.
 */
__asm__(".section .text.start, \"ax\", @progbits\n"
	".global _start\n"
	"_start:\n"
	"	xorl %ebp, %ebp\n"
	"	subq $64, %rsp\n"
	"	movq %rsp, %rsi\n"
	"	call rt_start\n"
	"	ud2\n"
	".text\n");
static_assert(sizeof(struct rt_thread_info) == 64, "_start reserves as much");

/* The main thread of every program has its message page at the same place. */
void rt_start(void *arg, struct rt_thread_info *self)
{
	self->msg = (struct msg_page *)INIT_MSG_VA;
	domain_exit((u32)program_main(arg));
}

bool rt_populate_image(void)
{
	const struct image_header *h = &image_header;
	u64 bytes = h->data_size + h->bss_size;

	return rt_populate((const void *)(h->base + h->text_size + h->rodata_size), bytes) == bytes;
}

void assert_fail(const char *expr, const char *file, int line)
{
	rt_log("%s:%d: broken invariant: %s", file, line, expr);
	domain_exit(RT_EXIT_ASSERT);
}

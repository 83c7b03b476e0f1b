/* Programs, and the domains that run them. */
#pragma once

#include "uapi/image.h"

/* A program of the archive. Text and read-only data are shared by all its instances. [I] all */
struct program {
	const char *name;
	struct image_header header;
	const u8 *file;
	handle_t text, rodata;
};

/* One instance: handles are HANDLE_NONE when not there. */
struct process {
	handle_t domain, thread, data, stack, start;
};

/* Finds and loads a program. On failure a negative error, and *why says what is wrong. */
int program_load(struct program *p, const char *name, const u8 *archive, size_t n,
		 const char **why);

/* A domain with the program and a stack in it, not running. On failure nothing is left. */
int process_create(struct process *out, const struct program *p, const char *name, u64 quota);
/* A handle of ours in its table. HANDLE_NONE gives HANDLE_NONE. Negative: error. */
s64 process_give(const struct process *p, handle_t h, u32 rights);
/* Its main thread, stopped. */
int process_thread(struct process *p, const struct program *program);
/* Not on these CPUs. -E_INVAL: no other is up; then it runs where it did. */
int thread_keep_off(handle_t thread, u64 cpus);
/* Maps a copy of the start block at START_VA and starts the main thread with it. */
int process_run(struct process *p, const void *start, size_t bytes);
/* Ends the domain and everything in it. Nothing happens to one that is not there. */
void process_destroy(struct process *p);

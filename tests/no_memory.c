/*
 * Loaded by the tests (LD_PRELOAD): of the allocations since the program's start the one whose number
 * NO_MEMORY_AT gives fails, and with NO_MEMORY_FOR=ever all that follow. When that has happened there
 * is something in the file NO_MEMORY_TOLD, which is opened at the start: a confined process makes no file.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);

static atomic_long calls;
static long failing; /* 0: none, yet */
static int told = -1;
static bool for_ever;

__attribute__((constructor)) static void begin(void)
{
	const char *at = getenv("NO_MEMORY_AT");
	const char *path = getenv("NO_MEMORY_TOLD");
	int file = path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

	told = file < 0 ? -1 : fcntl(file, F_DUPFD_CLOEXEC, 900); /* out of the program's way */
	close(file);

	for_ever = getenv("NO_MEMORY_FOR") != NULL;
	failing = at ? atol(at) : 0;
}

static bool fails(void)
{
	long call = failing ? ++calls : 0;

	if (!call || call < failing || (call > failing && !for_ever))
		return false;
	if (call == failing && told >= 0 && write(told, "", 1) < 0)
		abort();
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
	return fails() ? NULL : __libc_realloc(block, size);
}

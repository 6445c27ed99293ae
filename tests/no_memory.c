/*
 * Loaded by the tests (LD_PRELOAD): of the allocations since the program's start the one whose number
 * NO_MEMORY_AT gives fails, and with NO_MEMORY_FOR=ever all that follow. When that has happened there
 * is a file NO_MEMORY_TOLD.
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
static bool for_ever;

__attribute__((constructor)) static void begin(void)
{
	const char *at = getenv("NO_MEMORY_AT");

	for_ever = getenv("NO_MEMORY_FOR") != NULL;
	failing = at ? atol(at) : 0;
}

static bool fails(void)
{
	long call = failing ? ++calls : 0;
	const char *told;

	if (!call || call < failing || (call > failing && !for_ever))
		return false;
	told = getenv("NO_MEMORY_TOLD");
	if (told && call == failing)
		close(open(told, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
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

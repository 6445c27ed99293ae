/*
 * Loaded into a program by LD_PRELOAD: counts what it has allocated and not freed, in a file that LIVE_HEAP
 * names and that others may look at meanwhile. What is resident tells less: the heap keeps holes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct live_heap {
	atomic_int_least64_t blocks;
	atomic_int_least64_t bytes;
};

static struct live_heap before_main;
static struct live_heap *heap = &before_main;

/* glibc's own, below those that it lets others replace. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

__attribute__((constructor)) static void share(void)
{
	const char *path = getenv("LIVE_HEAP");
	int fd = path ? open(path, O_RDWR | O_CREAT, 0600) : -1;
	struct live_heap *shared = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, sizeof(*shared)) == 0)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (shared == MAP_FAILED)
		return;
	atomic_store(&shared->blocks, before_main.blocks);
	atomic_store(&shared->bytes, before_main.bytes);
	heap = shared;
}

static void *taken(void *block)
{
	if (block) {
		atomic_fetch_add(&heap->blocks, 1);
		atomic_fetch_add(&heap->bytes, (int64_t)malloc_usable_size(block));
	}
	return block;
}

static void given_back(void *block)
{
	if (block) {
		atomic_fetch_sub(&heap->blocks, 1);
		atomic_fetch_sub(&heap->bytes, (int64_t)malloc_usable_size(block));
	}
}

void *malloc(size_t size)
{
	return taken(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
	return taken(__libc_calloc(count, size));
}

void *realloc(void *block, size_t size)
{
	size_t before = block ? malloc_usable_size(block) : 0;
	void *moved = __libc_realloc(block, size);

	if (!moved && size)
		return NULL; /* and the block is as it was */
	if (block) {
		atomic_fetch_sub(&heap->blocks, 1);
		atomic_fetch_sub(&heap->bytes, (int64_t)before);
	}
	return taken(moved);
}

void *memalign(size_t alignment, size_t size)
{
	return taken(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
	void *found = memalign(alignment, size);

	if (!found)
		return ENOMEM;
	*block = found;
	return 0;
}

void free(void *block)
{
	given_back(block);
	__libc_free(block);
}

#include "mux.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CACHE_LINE = 64 };

static unsigned char *next_line(void *memory)
{
	return (unsigned char *)memory + (-(uintptr_t)memory & (CACHE_LINE - 1));
}

struct mux_buf *mux_buf_new(size_t size)
{
	struct mux_buf *buf = malloc(sizeof(*buf) + CACHE_LINE - 1 + size);

	if (buf) {
		buf->refs = 1;
		buf->size = size;
		buf->pages = NULL;
		buf->data = next_line(buf + 1);
	}
	return buf;
}

ssize_t mux_buf_map(struct mux_buf **mapped, const unsigned char **data, mux_fd fd)
{
	struct mux_buf *buf = mux_buf_new(sizeof(struct os_pages));
	struct os_pages *pages = buf ? (struct os_pages *)(void *)buf->data : NULL;
	ssize_t n = buf ? os_map_next(fd, pages, data) : -ENOMEM;

	if (n >= 0) {
		buf->pages = pages;
	} else {
		mux_buf_unref(buf);
		buf = NULL;
	}
	*mapped = buf;
	return n;
}

struct mux_buf *mux_buf_ref(struct mux_buf *buf)
{
	buf->refs++;
	return buf;
}

void mux_buf_unref(struct mux_buf *buf)
{
	if (!buf || --buf->refs)
		return;
	if (buf->pages)
		os_unmap(buf->pages);
	free(buf);
}

struct mux_buf *mux_buf_keep(struct mux_buf *buf, const unsigned char **data, size_t length)
{
	if (length > buf->size / 4 || buf->pages)
		return mux_buf_ref(buf);

	struct mux_buf *copy = mux_buf_new(length);

	if (copy) {
		memcpy(copy->data, *data, length);
		*data = copy->data;
	}
	return copy;
}

#include "mux.h"

#include <stdlib.h>
#include <string.h>

struct mux_buf *mux_buf_new(size_t size)
{
	struct mux_buf *buf = malloc(sizeof(*buf) + size);

	if (buf) {
		buf->refs = 1;
		buf->size = size;
	}
	return buf;
}

struct mux_buf *mux_buf_ref(struct mux_buf *buf)
{
	buf->refs++;
	return buf;
}

void mux_buf_unref(struct mux_buf *buf)
{
	if (buf && --buf->refs == 0)
		free(buf);
}

struct mux_buf *mux_buf_keep(struct mux_buf *buf, const unsigned char **data, size_t length)
{
	if (length > buf->size / 4)
		return mux_buf_ref(buf);

	struct mux_buf *copy = mux_buf_new(length);

	if (copy) {
		memcpy(copy->data, *data, length);
		*data = copy->data;
	}
	return copy;
}

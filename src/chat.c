#include "chat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	LINE = 8 * 1024, /* a longer line is passed on in pieces */
	PREFIX = 32,     /* room for "<userN> " */
};

/* Room for what there is of the line and `n` bytes more, each line behind its prefix. */
static struct mux_buf *text_buffer(const struct chat *chat, const unsigned char *data, size_t n)
{
	size_t lines = 1;

	for (size_t i = 0; i < n; i++)
		lines += data[i] == '\n';
	return mux_buf_new(chat->length + n + lines * PREFIX + 1);
}

/* Keep the `length` bytes at `data` as the line that has been begun. */
static int keep(struct chat *chat, const unsigned char *data, size_t length)
{
	mux_buf_unref(chat->line);
	chat->line = length ? mux_buf_new(length) : NULL;
	chat->length = chat->line ? length : 0;
	if (chat->line)
		memcpy(chat->line->data, data, length);
	return chat->length == length ? 0 : -ENOMEM;
}

int chat_take(struct chat *chat, uint64_t user, const unsigned char *data, size_t n, bool end,
	struct mux_buf **message, size_t *length)
{
	struct mux_buf *text;
	size_t filled = chat->length;
	int error;

	*message = NULL;
	*length = 0;
	if (!filled && !n)
		return 0;
	text = text_buffer(chat, data, n);
	if (!text)
		return -ENOMEM;
	if (chat->line)
		memcpy(text->data, chat->line->data, filled);
	for (size_t i = 0; i < n; i++) {
		if (filled == 0 || text->data[filled - 1] == '\n')
			filled += (size_t)sprintf((char *)text->data + filled, "<user%llu> ",
				(unsigned long long)user);
		text->data[filled++] = data[i];
	}

	const unsigned char *last = memrchr(text->data, '\n', filled);
	size_t whole = last ? (size_t)(last + 1 - text->data) : 0;

	if (whole < filled && (end || filled - whole > LINE)) {
		text->data[filled++] = '\n';
		whole = filled;
	}
	error = keep(chat, text->data + whole, filled - whole);
	*length = whole;
	if (whole)
		*message = text;
	else
		mux_buf_unref(text);
	return error;
}

void chat_close(struct chat *chat)
{
	mux_buf_unref(chat->line);
	chat->line = NULL;
}

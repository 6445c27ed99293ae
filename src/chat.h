/*
 * What a subscriber of `fanout --chat` sends, cut into whole lines, each behind its sender's name.
 */
#ifndef MUXCAT_CHAT_H
#define MUXCAT_CHAT_H

#include "mux.h"

/* What there is of a line so far, behind its prefix. Zeroed memory is nothing. */
struct chat {
	struct mux_buf *line;
	size_t length;
};

/*
 * Take `n` bytes that user number `user` has sent. *message gets the whole lines that are there
 * now, one reference, and *length its bytes; NULL and 0 if there is none. `end`: nothing more
 * comes, and the line ends here. An overlong line is passed on in pieces, each a line. 0 or
 * -ENOMEM.
 */
int chat_take(struct chat *chat, uint64_t user, const unsigned char *data, size_t n, bool end,
	struct mux_buf **message, size_t *length);

void chat_close(struct chat *chat);

#endif
